import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import sciddm as sd
from sciddm.lookahead import Clipped, Gaussian, Laplace, Observation, Poisson, Quantised

A = jnp.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]])
Y = jnp.array([0.7, -0.4])
IDENTITY = lambda x: x  # noqa: E731


def test_log_likelihood_is_normalised():
    obs = Observation(A, Y, jnp.array([0.3, 0.8]))
    x = jax.random.normal(jax.random.key(0), (6, 3))
    expected = scipy.stats.norm(Y, [0.3, 0.8]).logpdf(np.asarray(x @ A.T)).sum(1)
    np.testing.assert_allclose(obs.log_likelihood(x), expected, rtol=1e-4)
    np.testing.assert_array_equal(obs(x, 0.5), obs.log_likelihood(x))
    each = Observation(lambda v: v[:, :2], x[:, :2], 1.0)
    np.testing.assert_allclose(each.log_likelihood(x), np.full(6, -np.log(2 * np.pi)), rtol=1e-5)


def test_a_value_or_noise_that_does_not_fit_is_named():
    prior = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0, 0.0]], 1.0).denoiser(sd.GaussianProcess.vp())
    with pytest.raises(ValueError, match="value of shape"):
        sd.lookahead.pigdm(prior, Observation(A, jnp.zeros(3), 0.1))(jnp.zeros((4, 3)), 0.5)
    with pytest.raises(ValueError, match="noise_std of shape"):
        Observation(A, Y, Laplace(jnp.ones(3)))(jnp.zeros((4, 3)))
    with pytest.raises(ValueError, match="noise_std has the structure"):
        Observation(A, Y, {"a": 1.0})(jnp.zeros((4, 3)))
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
    total = np.sum(np.exp(np.asarray(eqx.filter_jit(law.log_density)(rows, PREDICTIONS), np.float64)), 0) * weights
    if isinstance(law, Clipped):
        total += sum(np.exp(law.log_density(np.full(5, end, np.float32), PREDICTIONS)) for end in (-0.5, 3.0))
    np.testing.assert_allclose(total, 1.0, atol=1e-3)


@pytest.mark.parametrize("law", [Gaussian(0.7), Laplace(0.7), Quantised(0.7, 1.0), Clipped(0.7, -9.0, 90.0), Poisson(2.0)],
    ids=lambda law: type(law).__name__)  # fmt: skip
def test_simulated_y_has_the_laws_moments_and_no_sample_sees_the_batch(law):
    predictions = np.abs(PREDICTIONS[[0, 3, 4]])  # positive rates of at least one count
    x = jnp.broadcast_to(predictions, (20000, 3))
    obs = Observation(IDENTITY, 0.0, law)
    simulate = eqx.filter_jit(obs.simulate)
    y = simulate(jax.random.key(0), x)
    residual = np.asarray(Observation(IDENTITY, y, law).residual(x))
    variance = np.broadcast_to(obs.variance(x[:1])[0] if jnp.ndim(obs.variance(x)) else obs.variance(x), (3,))
    np.testing.assert_allclose(residual.mean(0), 0.0, atol=4 * np.sqrt(variance.max() / 20000))
    np.testing.assert_allclose(residual.var(0), variance, rtol=0.08)  # 5 standard errors of a Laplace variance
    np.testing.assert_array_equal(simulate(jax.random.key(0), x[:7]), y[:7])


def test_a_clipped_instrument_ends_at_its_limits_as_often_as_its_law_says():
    law = Clipped(0.7, -0.5, 1.0)
    y = eqx.filter_jit(Observation(IDENTITY, 0.0, law).simulate)(jax.random.key(0), jnp.full((20000, 1), 0.4))
    for end in (-0.5, 1.0):
        expected = float(jnp.exp(law.log_density(jnp.full((1,), end), jnp.full((1,), 0.4)))[0])
        assert float((y == end).mean()) == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 20000))
    # beyond the limit anything explains a saturated y; on this side of it there is something to explain
    np.testing.assert_allclose(
        law.residual(jnp.array([1.0, 1.0, -0.5, 0.2]), jnp.array([5.0, 0.5, -3.0, 5.0])), [0, 0.5, 0, -4.8]
    )


@pytest.mark.parametrize("law,y,expected", [
    (Gaussian(0.1), 0.0, 500.0), (Laplace(0.1), 0.0, 10.0), (Quantised(0.1, 0.05), 0.0, (5.0 - 0.025) / 0.01),
    (Clipped(0.1, 0.0, 1.0), 0.0, 500.2), (Clipped(0.1, -1.0), 0.0, 500.0), (Poisson(2.0), 3.0, 3.0 * 2.0 / 0.01),
])  # fmt: skip
def test_gradients_fifty_standard_deviations_away_are_right_in_float32(law, y, expected):
    # log Phi(-z) has slope z + 1/z + ...; a lattice cell lies in its near edge; negative rates are pushed back by y gain / floor
    prediction = jnp.array([-5.0 if isinstance(law, Poisson) else 5.0])
    value, slope = jax.jit(jax.value_and_grad(lambda p: law.log_density(jnp.array([y]), p)[0]))(prediction)
    assert np.isfinite(value) and value < -40
    assert abs(float(slope[0])) == pytest.approx(expected, rel=2e-3)
    assert np.sign(slope[0]) == np.sign(y - prediction[0])  # back towards y


def test_noise_one_a_channel_and_one_a_point_equal_the_dense_formula():
    x = jax.random.normal(jax.random.key(0), (4, 5, 3))
    y = jax.random.normal(jax.random.key(1), (5, 3))
    for std in (
        jnp.array([0.2, 1.0, 3.0]),
        jnp.linspace(0.1, 1.0, 5)[:, None],
        jnp.linspace(0.1, 1.0, 4)[:, None, None],
    ):
        dense = np.broadcast_to(std, (4, 5, 3))
        obs = Observation(IDENTITY, y, std)
        expected = scipy.stats.norm(np.asarray(x), dense).logpdf(np.asarray(y)).sum((1, 2))
        np.testing.assert_allclose(obs.log_likelihood(x), expected, rtol=1e-4)
        np.testing.assert_allclose(np.broadcast_to(obs.variance(x), (4, 5, 3)), dense**2, rtol=1e-6)
        expected = scipy.stats.laplace(np.asarray(x), dense).logpdf(np.asarray(y)).sum((1, 2))
        np.testing.assert_allclose(Observation(IDENTITY, y, Laplace(std))(x), expected, rtol=1e-4)


def test_every_leaf_of_a_pytree_may_have_its_own_law():
    x = {"level": jnp.ones((2, 3)), "counts": jnp.full((2, 4), 5.0)}
    value = {"level": jnp.zeros(3), "counts": jnp.arange(4.0)}
    obs = Observation(IDENTITY, value, {"level": 0.5, "counts": Laplace(2.0)})
    expected = (
        scipy.stats.norm(1.0, 0.5).logpdf(np.zeros(3)).sum() + scipy.stats.laplace(5.0, 2.0).logpdf(np.arange(4)).sum()
    )
    np.testing.assert_allclose(obs(x), np.full(2, expected), rtol=1e-5)
    twice = Observation(IDENTITY, {"a": 0.0, "b": 0.0}, 1.0)
    drawn = eqx.filter_jit(twice.simulate)(jax.random.key(0), {"a": jnp.zeros((2, 3)), "b": jnp.zeros((2, 3))})
    assert not np.allclose(drawn["a"], drawn["b"])


def test_guides_by_second_moments_see_counts_in_units_of_the_prediction():
    prior = sd.oracle.GaussianMixture([1.0], [[4.0, 5.0, 6.0]], 1.0).denoiser(sd.GaussianProcess.vp())
    x_t, counts, gain = jnp.array([[2.0, 3.0, 3.0]]), jnp.array([120.0, 90.0]), 20.0
    some = jnp.eye(3)[:2]
    guided = eqx.filter_jit(sd.lookahead.mmps(prior, Observation(some, counts, Poisson(gain))))(x_t, 0.3)
    std = jnp.sqrt(prior(x_t, 0.3)[:, :2] / gain)
    gaussian = eqx.filter_jit(sd.lookahead.mmps(prior, Observation(some, counts / gain, std)))(x_t, 0.3)
    np.testing.assert_allclose(guided, gaussian, rtol=1e-4)
