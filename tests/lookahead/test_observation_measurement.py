import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from gaussian_posterior import gaussian_denoiser

import sciddm as sd
from sciddm.lookahead import Clipped, Gaussian, Laplace, Observation, Poisson, Quantised

A = np.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]])
Y = np.array([0.7, -0.4])
IDENTITY = lambda x: x  # noqa: E731
NORMAL = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


@eqx.filter_jit
def asked(observation, x, t=0.5):
    """The potential and the log likelihood, by one program."""
    return observation(x, t), observation.log_likelihood(x)


@eqx.filter_jit
def log_density(law, y, prediction):
    return law.log_density(y, prediction)


def test_log_likelihood_is_normalised():
    value, likelihood = asked(Observation(A, Y, np.array([0.3, 0.8])), NORMAL)
    expected = scipy.stats.norm(Y, [0.3, 0.8]).logpdf(NORMAL @ A.T).sum(1)
    np.testing.assert_allclose(likelihood, expected, rtol=1e-4)
    np.testing.assert_array_equal(value, likelihood)
    _, each = asked(Observation(lambda v: v[:, :2], NORMAL[:, :2], 1.0), NORMAL)
    np.testing.assert_allclose(each, np.full(6, -np.log(2 * np.pi)), rtol=1e-5)


def test_a_value_or_noise_that_does_not_fit_is_named():
    prior = gaussian_denoiser(sd.GaussianProcess.vp(), 1.0)
    x = jax.ShapeDtypeStruct((4, 3), jnp.float32)
    with pytest.raises(ValueError, match="value of shape"):
        jax.eval_shape(lambda x: sd.lookahead.pigdm(prior, Observation(A, np.zeros(3), 0.1))(x, 0.5), x)
    with pytest.raises(ValueError, match="noise_std of shape"):
        jax.eval_shape(Observation(A, Y, Laplace(np.ones(3))), x)
    with pytest.raises(ValueError, match="noise_std has the structure"):
        jax.eval_shape(Observation(A, Y, {"a": 1.0}), x)
    with pytest.raises(ValueError, match="negative"):
        Observation(A, Y, -0.1)
    for wrong in (
        lambda: Laplace(0.0),
        lambda: Poisson(-1.0),
        lambda: Quantised(1.0, 0.0),
        lambda: Clipped(0.1, 1.0, 0.0),
    ):
        with pytest.raises(ValueError, match="expected"):
            wrong()


PREDICTIONS = np.array([-3.0, 0.0, 0.4, 2.0, 40.0], np.float32)


@pytest.mark.parametrize("law", [
    Gaussian(0.7), Laplace(0.7), Quantised(0.7, 0.5), Quantised(0.05, 1.0), Quantised(1.0, 0.01), Clipped(0.7, -0.5, 3.0), Poisson(2.0),
], ids=lambda law: type(law).__name__)  # fmt: skip
def test_a_law_sums_to_one_over_all_y(law):
    if isinstance(law, Poisson):
        y = np.arange(300.0)
    elif isinstance(law, Quantised):
        y = float(law.step) * np.arange(-round(12 / law.step), round(48 / law.step) + 1)
    elif isinstance(law, Clipped):
        y = np.linspace(-0.5, 3.0, 3502)[1:-1]
    else:
        y = np.linspace(-20.0, 60.0, 40001)
    rows = np.broadcast_to(y.astype(np.float32)[:, None], (len(y), len(PREDICTIONS)))
    weights = 1.0 if isinstance(law, (Poisson, Quantised)) else y[1] - y[0]
    total = np.sum(np.exp(np.asarray(log_density(law, rows, PREDICTIONS), np.float64)), 0) * weights
    if isinstance(law, Clipped):
        ends = np.broadcast_to(np.array([[-0.5], [3.0]], np.float32), (2, 5))
        total += np.exp(log_density(law, ends, PREDICTIONS)).sum(0)
    np.testing.assert_allclose(total, 1.0, atol=1e-3)


@pytest.mark.parametrize("law", [Gaussian(0.7), Laplace(0.7), Quantised(0.7, 1.0), Clipped(0.7, -9.0, 90.0), Poisson(2.0)],
    ids=lambda law: type(law).__name__)  # fmt: skip
def test_simulated_y_has_the_laws_moments_and_no_sample_sees_the_batch(law):
    predictions = np.abs(PREDICTIONS[[0, 3, 4]])  # positive rates of at least one count
    x = np.broadcast_to(predictions, (20000, 3))

    @eqx.filter_jit
    def simulated(key, law, x):
        y = Observation(IDENTITY, 0.0, law).simulate(key, x)
        seen = Observation(IDENTITY, y, law)
        return y, seen.residual(x), jnp.broadcast_to(seen.variance(x), x.shape)[0]

    y, residual, variance = (np.asarray(v) for v in simulated(jax.random.key(0), law, x))
    np.testing.assert_allclose(residual.mean(0), 0.0, atol=4 * np.sqrt(variance.max() / 20000))
    np.testing.assert_allclose(residual.var(0), variance, rtol=0.08)  # 5 standard errors of a Laplace variance
    np.testing.assert_array_equal(simulated(jax.random.key(0), law, x[:7])[0], y[:7])


def test_a_clipped_instrument_ends_at_its_limits_as_often_as_its_law_says():
    law, ends = Clipped(0.7, -0.5, 1.0), np.array([[-0.5], [1.0]], np.float32)
    y = np.asarray(
        eqx.filter_jit(Observation(IDENTITY, 0.0, law).simulate)(jax.random.key(0), np.full((20000, 1), 0.4, np.float32))
    )
    shares = np.exp(log_density(law, ends, np.full((2, 1), 0.4, np.float32)))
    for end, expected in zip(ends, shares, strict=True):
        assert np.mean(y == end) == pytest.approx(float(expected[0]), abs=4 * np.sqrt(0.25 / 20000))
    # beyond the limit anything explains a saturated y; on this side of it there is something to explain
    residual = eqx.filter_jit(law.residual)(
        np.array([1.0, 1.0, -0.5, 0.2], np.float32), np.array([5.0, 0.5, -3.0, 5.0], np.float32)
    )
    np.testing.assert_allclose(residual, [0, 0.5, 0, -4.8], rtol=1e-6)


@pytest.mark.parametrize("law,y,expected", [
    (Gaussian(0.1), 0.0, 500.0), (Laplace(0.1), 0.0, 10.0), (Quantised(0.1, 0.05), 0.0, (5.0 - 0.025) / 0.01),
    (Clipped(0.1, 0.0, 1.0), 0.0, 500.2), (Clipped(0.1, -1.0), 0.0, 500.0), (Poisson(2.0), 3.0, 3.0 * 2.0 / 0.01),
])  # fmt: skip
def test_gradients_fifty_standard_deviations_away_are_right_in_float32(law, y, expected):
    # log Phi(-z) has slope z + 1/z + ...; a lattice cell lies in its near edge; negative rates are pushed back by y gain / floor
    prediction = np.array([-5.0 if isinstance(law, Poisson) else 5.0], np.float32)
    value, slope = jax.jit(jax.value_and_grad(lambda p: law.log_density(jnp.array([y]), p)[0]))(prediction)
    assert np.isfinite(value) and value < -40
    assert abs(float(slope[0])) == pytest.approx(expected, rel=2e-3)
    assert np.sign(slope[0]) == np.sign(y - prediction[0])  # back towards y


def test_noise_one_a_channel_and_one_a_point_equal_the_dense_formula():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 5, 3)).astype(np.float32), rng.normal(size=(5, 3)).astype(np.float32)
    for std in (
        np.array([0.2, 1.0, 3.0]),
        np.linspace(0.1, 1.0, 5)[:, None],
        np.linspace(0.1, 1.0, 4)[:, None, None],
    ):
        dense = np.broadcast_to(std, (4, 5, 3))
        _, likelihood = asked(Observation(IDENTITY, y, std), x)
        np.testing.assert_allclose(likelihood, scipy.stats.norm(x, dense).logpdf(y).sum((1, 2)), rtol=1e-4)
        variance = np.asarray(Observation(IDENTITY, y, std).variance(x))
        np.testing.assert_allclose(np.broadcast_to(variance, (4, 5, 3)), dense**2, rtol=1e-6)
        value, _ = asked(Observation(IDENTITY, y, Laplace(std)), x)
        np.testing.assert_allclose(value, scipy.stats.laplace(x, dense).logpdf(y).sum((1, 2)), rtol=1e-4)


def test_every_leaf_of_a_pytree_may_have_its_own_law():
    x = {"level": np.ones((2, 3), np.float32), "counts": np.full((2, 4), 5.0, np.float32)}
    value = {"level": np.zeros(3), "counts": np.arange(4.0)}
    obs = Observation(IDENTITY, value, {"level": 0.5, "counts": Laplace(2.0)})
    expected = (
        scipy.stats.norm(1.0, 0.5).logpdf(np.zeros(3)).sum() + scipy.stats.laplace(5.0, 2.0).logpdf(np.arange(4)).sum()
    )
    np.testing.assert_allclose(eqx.filter_jit(obs)(x), np.full(2, expected), rtol=1e-5)
    twice, zeros = Observation(IDENTITY, {"a": 0.0, "b": 0.0}, 1.0), np.zeros((2, 3), np.float32)
    drawn = eqx.filter_jit(twice.simulate)(jax.random.key(0), {"a": zeros, "b": zeros})
    assert not np.allclose(drawn["a"], drawn["b"])


def test_guides_by_second_moments_see_counts_in_units_of_the_prediction():
    prior = gaussian_denoiser(sd.GaussianProcess.vp(), 1.0, np.array([4.0, 5.0, 6.0]))
    x_t, counts, gain = np.array([[2.0, 3.0, 3.0]], np.float32), np.array([120.0, 90.0]), 20.0
    some = np.eye(3)[:2]

    @jax.jit
    def both(x_t):
        guided = sd.lookahead.mmps(prior, Observation(some, counts, Poisson(gain)))(x_t, 0.3)
        std = jnp.sqrt(prior(x_t, 0.3)[:, :2] / gain)
        return guided, sd.lookahead.mmps(prior, Observation(some, counts / gain, std))(x_t, 0.3)

    np.testing.assert_allclose(*both(x_t), rtol=1e-4)
