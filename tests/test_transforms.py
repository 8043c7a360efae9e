"""Transforms of one variable: there and back, and their Jacobians against numerical derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciddm.transforms import TRANSFORMS, transform

CASES = {
    "identity": (-3.0, 3.0), "log": (0.1, 9.0), "log(offset=2.0)": (-1.9, 9.0), "asinh": (-5.0, 5.0), "asinh(scale=0.1)": (-2.0, 2.0),
    "logit": (0.01, 0.99), "logit(low=-1.0,high=4.0)": (-0.9, 3.9), "cbrt": (0.2, 8.0),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_transform_goes_there_and_back_and_its_slope_is_the_derivative_of_the_inverse(name, x64):
    one, x = transform(name), np.linspace(*CASES[name], 41)
    y = one.forward(x)
    assert np.all(np.diff(y) > 0)
    np.testing.assert_allclose(one.inverse(y), x, rtol=1e-12)
    slope = jax.vmap(jax.grad(one.inverse))(jnp.asarray(y))
    np.testing.assert_allclose(one.log_slope(x), np.log(slope), atol=1e-12)
    for function, of in ((one.forward, x), (one.inverse, y), (one.log_slope, x)):  # numpy and jax give the same
        np.testing.assert_allclose(function(of), function(jnp.asarray(of)), rtol=1e-12, atol=1e-14)


def test_cube_roots_take_both_signs():
    one = transform("cbrt")
    np.testing.assert_allclose(one.inverse(one.forward(np.array([-8.0, -1e-3, 8.0]))), [-8.0, -1e-3, 8.0], rtol=1e-12)
    np.testing.assert_allclose(one.log_slope(np.array([-8.0])), np.log(12.0))


def test_a_range_is_that_of_the_logarithm():
    assert transform("log(offset=2.0)").low == -2.0 and transform("logit(low=1.0,high=3.0)").high == 3.0
    assert transform("asinh").low == -np.inf


@pytest.mark.parametrize(
    "name, said",
    [("lgo", "did you mean log"), ("log(ofset=1)", "did you mean offset"), ("asinh(scale=0)", "expected a positive"),
     ("logit(low=2,high=1)", "expected low < high"), ("log(offset='a')", "expected"), ("log(", "can't be read")],
)  # fmt: skip
def test_a_wrong_transform_says_what_is_wrong(name, said):
    with pytest.raises(ValueError, match=said):
        transform(name)


def test_every_transform_is_tried_here():
    assert set(TRANSFORMS) == {name.partition("(")[0] for name in CASES}
