"""Problems of fields say what was seen in physical units, and classical answers agree with it."""

import jax
import numpy as np
import pytest
from fields_domains import domain_of
from small_fields import small_dataset

from domains.fields import answers, tasks


@pytest.fixture
def domain(tmp_path):
    return domain_of(small_dataset(samples=40), tmp_path)


@pytest.fixture
def example(domain):
    return domain.dataset("test")[0]["x"]


def misfit(domain, problem, x):
    return np.asarray(problem.observation.residual(domain.normalizer.normalize(x)[None])).ravel()


def test_sensors_are_drawn_without_repetition_and_their_noise_is_really_put_in(domain, example):
    task = tasks.Observe(domain, variable="T", sensors=30, noise=0.1)
    problem = task.problem(jax.random.key(0), example)
    std = 0.1 * domain.scales[1]
    (places, values) = problem.extras["observed"]["T"]
    assert places.shape == (30, 2) and len({*map(tuple, places)}) == 30 and problem.extras["std"] == pytest.approx(std)
    error = misfit(domain, problem, example)
    assert 0.5 * std < error.std() < 1.6 * std
    other = example.copy()
    other[..., 0] += 1.0  # the other variable was not seen
    np.testing.assert_allclose(misfit(domain, problem, other), error, atol=1e-4)
    with pytest.raises(ValueError, match="variable = 'q': expected one of c, T"):
        tasks.Observe(domain, variable="q")


def test_problems_of_one_shape_share_the_structure_that_a_program_is_compiled_for(domain, example):
    task = tasks.Observe(domain)
    first, second = (task.problem(jax.random.key(i), example).observation for i in (0, 1))
    assert jax.tree.structure(first) == jax.tree.structure(second)
    sharp = tasks.SuperResolve(domain, factor=2)
    first, second = (sharp.problem(jax.random.key(i), example).observation for i in (0, 1))
    assert jax.tree.structure(first) == jax.tree.structure(second)


def test_a_hole_is_a_box_of_the_share_and_all_around_it_is_seen_and_only_the_hole_is_scored(domain, example):
    task = tasks.Fill(domain, share=0.5)
    problem = task.problem(jax.random.key(0), example)
    hidden = ~problem.extras["seen"][..., 0]
    rows, columns = np.flatnonzero(hidden.any(1)), np.flatnonzero(hidden.any(0))
    assert len(rows) == 3 and len(columns) == 5 and hidden.sum() == 15
    wrong = np.stack([example, example])
    wrong[:, ~hidden] += 100.0
    assert task.metrics(wrong, problem)["CRPS of c [mg/L]"] == pytest.approx(0.0, abs=1e-6)
    found = task.baseline(problem)["radial basis"]
    np.testing.assert_allclose(found[~hidden], example[~hidden], rtol=1e-6)


def test_splines_have_the_block_means_that_were_seen(domain, example):
    problem = tasks.SuperResolve(domain, factor=2, noise=1e-3).problem(jax.random.key(0), example)
    found = answers.sharpened(domain, problem.extras["coarse"], 2)["cubic splines"]
    means = found.reshape(3, 2, 5, 2, 2).mean((1, 3))
    np.testing.assert_allclose(means, problem.extras["coarse"], rtol=1e-4)


def test_kriging_comes_near_the_sensors_and_regression_brings_the_other_variable_along(domain, example):
    task = tasks.Observe(domain, sensors=25, noise=0.02)
    problem = task.problem(jax.random.key(0), example)
    found = task.baseline(problem)
    ensemble, climate = found["kriging"], found["training ensemble"]
    assert ensemble.shape == (answers.MEMBERS, *example.shape)
    scores = {name: task.metrics(one, problem) for name, one in (("kriging", ensemble), ("climate", climate))}
    for name in ("CRPS of c [mg/L]", "CRPS of T [degC]"):
        assert scores["kriging"][name] < 0.8 * scores["climate"][name]


def test_forecasts_are_given_the_first_frames_alone_and_scored_on_the_others(tmp_path):
    domain = domain_of(small_dataset(samples=40), tmp_path, window=4, past=2)
    element = domain.dataset("test")[0]
    task = tasks.Forecast(domain)
    problem = task.problem_of(jax.random.key(0), element)
    np.testing.assert_allclose(problem.cond["concat"][0], element["cond"]["concat"], atol=1e-6)
    members = np.stack([element["x"]] * 2)
    members[:, :2] += 100.0
    assert task.metrics(members, problem)["CRPS of c [mg/L]"] == pytest.approx(0.0, abs=1e-6)
    found = task.baseline(problem)
    np.testing.assert_array_equal(found["persistence"][2], found["persistence"][3])
    scores = {name: task.metrics(found[name] if found[name].ndim == 5 else found[name][None], problem) for name in found}
    assert scores["regression"]["CRPS of c [mg/L]"] < scores["training ensemble"]["CRPS of c [mg/L]"]


def test_a_wide_answer_is_so_many_times_larger_in_space_alone(domain):
    problem = tasks.WideFields(domain, size=1.5).problem(jax.random.key(0), None)
    assert problem.truth.shape == (9, 15, 2)
