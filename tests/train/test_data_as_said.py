"""Training elements are what the domain says, or are refused before anything is trained."""

import grain
import jax
import numpy as np
import pytest
from toy_domain import Toy, toy_config

import sciddm as sd
from sciddm.train.data import check_dataset


def elements(make):
    return grain.MapDataset.source(np.arange(64)).map(lambda i: make(int(i)))


@pytest.mark.parametrize(
    "dataset, said",
    [
        ([{"x": np.zeros(2)}] * 64, "gives a list; expected a grain.MapDataset"),
        (elements(lambda i: {"y": np.zeros(2)}), r"an element is a dict of \['y'\]; expected a dict with 'x'"),
        (elements(lambda i: np.zeros(2)), "an element is a ndarray"),
        (elements(lambda i: {"x": np.zeros((1, 2))}), r"x of an element has shapes \(1, 2\); expected \(2,\), those of `example`"),
        (elements(lambda i: {"x": np.zeros(2), "cond": {"a": np.zeros(1)}}), "cond of an element .* those of `cond_example`"),
    ],
)
def test_elements_of_other_shapes_or_kinds_are_named(dataset, said):
    with pytest.raises(sd.UserError, match=said):
        check_dataset(toy_config(), Toy(toy_config()), dataset)


def test_data_off_the_support_of_the_noise_law_are_refused():
    domain = Toy(toy_config())
    domain.noise = sd.Masked(np.array([1.0, 0.0], np.float32))
    with pytest.raises(sd.UserError, match="lives on a part of the space that the data are not in"):
        check_dataset(toy_config(), domain, domain.dataset("train"))
    domain.example, domain.noise = jax.ShapeDtypeStruct((2,), np.float32), sd.SpectralField.power_law((8, 8), 2.0, 3.0)
    with pytest.raises(sd.UserError, match="noise does not go with x"):
        check_dataset(toy_config(), domain, domain.dataset("train"))


def test_a_domain_without_a_noise_law_or_normalizer_is_refused(monkeypatch):
    for name in ("noise", "normalizer"):
        with monkeypatch.context() as patch:
            patch.setattr(Toy, "__init__", lambda self, config, stored=None, name=name: setattr(self, name, None))
            with pytest.raises(sd.UserError, match=f"Toy.{name} is missing|Toy.normalizer is missing"):
                sd.get_domain(toy_config())
