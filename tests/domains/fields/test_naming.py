"""Names and units of what a user brings, in a model's own words."""

import numpy as np
import pytest
from fields_domains import domain_of
from small_fields import small_dataset

from domains.fields import naming, questions
from sciddm.errors import UserError


@pytest.fixture(scope="module")
def domain(tmp_path_factory):
    return domain_of(small_dataset(samples=12).isel(time=0, drop=True), tmp_path_factory.mktemp("naming"))


def test_a_variable_is_known_in_any_case_and_another_one_is_refused_with_the_near_match(domain):
    name = domain.variables[0]
    assert naming.variable_of(domain, name.lower(), "f") == naming.variable_of(domain, f" {name.upper()} ", "f") == name
    with pytest.raises(UserError, match=f"f: no variable '{name}z' in the model; expected one of .*did you mean"):
        naming.variable_of(domain, f"{name}z", "f")


def test_values_are_converted_with_their_zero_and_errors_without_it():
    np.testing.assert_allclose(naming.in_units(np.array([20.0]), "degC", "K", "t"), [293.15])
    np.testing.assert_allclose(naming.errors_in_units(np.array([0.5]), "degC", "K", "t"), [0.5])
    np.testing.assert_allclose(naming.errors_in_units(np.array([9.0]), "degF", "K", "t"), [5.0])
    with pytest.raises(UserError, match="they measure different things"):
        naming.in_units(np.array([1.0]), "m", "K", "t")


def test_codes_of_missing_values_are_refused_where_they_lie_far_from_all_data(domain):
    layout, name = domain.layout, domain.variables[0]
    with pytest.raises(UserError, match="row 1 is -9999, which stands for a missing one; leave it out"):
        naming.refuse_fill(domain, layout, name, np.array([0.1, -9999.0]), np.array([0.1, -9999.0]), lambda i: f"row {i}", "leave it out")
    fine = np.array([domain.facts.least[0], domain.facts.most[0]])
    naming.refuse_fill(domain, layout, name, fine, fine, str, "leave it out")


def test_what_is_far_outside_of_the_training_data_is_said_and_the_rest_is_not(domain, capsys):
    values = np.array([domain.facts.most[0], 3 * domain.facts.most[0] + 99.0])
    naming.say_what_is_far(domain, domain.layout, np.zeros(2, int), values, lambda i: f"row {i}")
    said = capsys.readouterr().err
    assert said.startswith("row 1: ") and "row 0" not in said and "far outside" in said


def test_words_have_the_model_s_own_names_units_and_ranges(domain):
    words = questions.measured_in_words(domain)
    for name in domain.variables:
        assert f"{name} [{domain.layout.units(name)}]" in words
    dim = domain.layout.space[0]
    values = domain.layout.coordinate(dim)
    assert f"{dim} ({values.min():.4g} to {values.max():.4g}" in questions.span_in_words(domain)
