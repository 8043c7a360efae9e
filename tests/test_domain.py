import jax
import numpy as np
import pytest
from toy_domain import toy_config

import sciddm as sd


def test_normalizer_goes_there_and_back_through_json_leaf_by_leaf():
    normalizer = sd.Normalizer(
        {"p": np.float32(3.0), "v": np.ones(2)},
        {"p": np.float32(2.0), "v": np.array([1.0, 4.0])},
        {"p": "Pa", "v": "m/s"},
    )
    x = {"p": np.arange(3.0), "v": np.arange(6.0).reshape(3, 2)}
    assert normalizer.normalize(x)["p"][1] == -1.0
    jax.tree.map(np.testing.assert_allclose, normalizer.denormalize(normalizer.normalize(x)), x)
    again = sd.Normalizer.from_json(normalizer.to_json(), x)
    jax.tree.map(np.testing.assert_allclose, again.normalize(x), normalizer.normalize(x))
    assert again.units == {"p": "Pa", "v": "m/s"}
    with pytest.raises(sd.UserError, match="another domain"):
        sd.Normalizer.from_json(normalizer.to_json(), {"q": 0.0})


def test_a_domain_is_named_by_import_path():
    config = toy_config()
    assert sd.get_domain(config).name == "toy"
    for name, message in (("no.such.package", "No module named"), ("json", "has no get_domain")):
        config.domain = name
        with pytest.raises(sd.UserError, match=message):
            sd.get_domain(config)
