import jax
import numpy as np
import pytest
from toy_domain import Net, Toy, toy_config

import sciddm as sd
from sciddm.config import validate
from sciddm.train.state import loss_weight_of, make_denoiser


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
    assert sd.get_domain(config).name == "points"
    for name, message in (("no.such.package", "No module named"), ("json", "json has no sciddm.Domain")):
        config.domain = name
        with pytest.raises(sd.UserError, match=message):
            sd.get_domain(config)


def test_the_normalizer_counts_the_free_entries_alone_in_its_change_of_variables():
    normalizer = sd.Normalizer(0.0, np.array([2.0, 3.0, 5.0], np.float32), "m")
    x = jax.numpy.zeros((2, 4, 3))
    per_point = np.log(30.0)
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 0]], np.float32)
    for noise, points in (
        (sd.White(), [4, 4]),
        (sd.ZeroCentreOfMass(), [3, 3]),
        (sd.ZeroCentreOfMass(mask), [1, 2]),
        (sd.Masked(mask[:, :, None]), [2, 3]),
    ):
        np.testing.assert_allclose(normalizer.log_abs_det(x, noise), per_point * np.array(points), rtol=1e-5)
    tree = sd.Normalizer({"p": 2.0, "v": 3.0}, {"p": np.float32(4.0), "v": np.full((2,), 0.5)}, {"p": "Pa", "v": "m/s"})
    both = {"p": jax.numpy.zeros((1, 5)), "v": jax.numpy.zeros((1, 3, 2))}
    np.testing.assert_allclose(tree.log_abs_det(both, sd.White()), 5 * np.log(4.0) - 6 * np.log(2.0), rtol=1e-5)


def test_names_of_version_0_1_work_for_one_version_with_a_word():
    with pytest.warns(DeprecationWarning) as said:

        class Older(Toy):
            def told(self, keys):
                return "drawn"

            def told_of(self, x):
                return "of x"

            def network(self, config, rngs):
                return Net(config.width, rngs=rngs)

    words = [str(one.message) for one in said]
    for old, new in (("told is", "draw_cond"), ("told_of is", "cond_of"), ("network is", "`networks`")):
        assert any(old in word and new in word for word in words)
    domain = Older(toy_config())
    assert domain.draw_cond(None) == "drawn" and domain.cond_of(None) == "of x"
    denoiser = make_denoiser(toy_config(), domain, 1.0)
    assert denoiser(np.zeros((2, 2), np.float32), 0.5).shape == (2, 2)
    with pytest.warns(DeprecationWarning, match="loss_weight"):
        assert loss_weight_of({"x": 0, "counted": 3}) == 3
    assert loss_weight_of({"x": 0}) is None and loss_weight_of({"loss_weight": 2}) == 2


def test_a_package_of_version_0_1_makes_its_domain_by_a_function(tmp_path, monkeypatch):
    text = "from toy_domain import Toy\n\n\ndef get_domain(config, normalizer=None):\n    return Toy(config)\n"
    (tmp_path / "of_version_01.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    config = toy_config()
    config.domain, config.tasks = "of_version_01", {}
    validate(config)
    with pytest.warns(DeprecationWarning, match="DOMAIN = 'package.module:Name'"):
        assert sd.get_domain(config).name == "points"
