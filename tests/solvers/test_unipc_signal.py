"""UniPC in the share of signal: on a path of Gaussian data of the width it is told, two answers are enough."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from solvers.common import process_of

import sciddm as sd
from sciddm.process import Level
from sciddm.solvers import DenoiserTerm, UniPCSignal
from sciddm.solvers.adams_bashforth import History
from sciddm.solvers.unipc_signal import gap_of_shares

MEAN = 0.7


def on_the_path(process, std, t):
    """x_t and x0_hat of two paths of the flow of N(MEAN, std^2)."""
    level = process.level(t)
    width = jnp.sqrt(level.alpha**2 * std**2 + level.sigma**2)
    ahead = width * jnp.array([[1.5], [-0.4]])
    return level.alpha * MEAN + ahead, MEAN + level.alpha * std**2 / width**2 * ahead


@jax.jit
def step(process, std, told, before, t, s):
    """x_s of the step from t on the path, after one from `before` on it."""
    solver, (x_t, now), (_, earlier) = UniPCSignal(2, told), on_the_path(process, std, t), on_the_path(process, std, before)
    answers = sd.FunctionDenoiser(lambda x, t, c: now, process)
    levels = [process.level(time) for time in (before, t)]
    places = [solver._place(level) for level in levels]
    came = solver._weights(places[::-1], *levels, jnp.asarray(2))
    history = History((earlier, earlier), (places[0], places[0]), jnp.asarray(1))
    memory = history, came[0] * now + came[1] * earlier, jnp.asarray(1), jnp.asarray(before)
    return solver.advance(DenoiserTerm(answers, None, None), t, s, x_t, memory)[0]


def test_two_answers_carry_gaussian_data_of_its_width_along_the_exact_flow_and_onto_the_data():
    for name in ("vp", "cosine", "edm"):
        process = process_of(name)
        for std in (0.2, 1.0, 4.0):
            for before, t, s in ((1.0, 0.7, 0.3), (1.0, 0.4, 0.0), (0.5, 0.45, 0.1), (0.3, 0.29, 0.285)):
                exact, _ = on_the_path(process, std, s)
                if s == 0.0:
                    exact = MEAN + std * jnp.array([[1.5], [-0.4]])  # ve and edm stop before
                np.testing.assert_allclose(step(process, std, std, before, t, s), exact, rtol=2e-4, atol=2e-4 * std)
    exact, _ = on_the_path(process_of("cosine"), 0.2, 0.0)
    assert np.abs(step(process_of("cosine"), 0.2, 1.0, 0.6, 0.3, 0.0) - exact).max() > 0.02  # of another width it is not


@pytest.mark.parametrize("order", [1, 2, 3])
def test_weights_are_the_integrals_of_powers_of_the_share(order):
    def level(log_snr):
        return Level(jnp.sqrt(jax.nn.sigmoid(log_snr)), jnp.sqrt(jax.nn.sigmoid(-log_snr)), jnp.asarray(log_snr))

    def share(place):
        return 1.0 / np.sqrt(1.0 + np.exp(-2.0 * place))

    solver, (low, high), nodes = UniPCSignal(3, 2.0), (-3.0, 1.0), [-1.5, -2.2, -4.0]
    places = [jnp.asarray(0.5 * node + np.log(2.0)) for node in nodes]
    weights = solver._weights(places, level(low), level(high), jnp.asarray(order))
    assert all(float(w) == 0.0 for w in weights[order:])
    h = (high - low) / 2.0
    for degree in range(order):
        found = sum(float(w) * share(float(place)) ** degree for w, place in zip(weights, places, strict=True))
        exact = scipy.integrate.quad(
            lambda v, i=degree: h * np.exp(h * (v - 1)) * share(low / 2 + v * h + np.log(2.0)) ** i, 0, 1
        )[0]
        assert found == pytest.approx(exact, rel=2e-4)


def test_gaps_of_shares_keep_their_digits_at_both_ends_and_answers_that_agree_in_all_count_once():
    places = np.array([-20.0, -10.0, -0.1, 0.1, 3.0, 8.0, 9.0], np.float64)
    exact = 1.0 / np.sqrt(1.0 + np.exp(-2.0 * places))
    missing = -np.expm1(-0.5 * np.log1p(np.exp(-2.0 * places)))  # 1 - share
    for i in range(len(places)):
        for k in range(i):
            gap = missing[k] - missing[i] if places[k] > 0 else exact[i] - exact[k]
            assert float(gap_of_shares(jnp.float32(places[i]), jnp.float32(places[k]))) == pytest.approx(gap, rel=1e-4)
    assert float(gap_of_shares(jnp.inf, -jnp.inf)) == 1.0
    assert np.isfinite(jax.grad(gap_of_shares, (0, 1))(jnp.inf, jnp.asarray(2.0))).all()  # as a search by gradients needs it
    level = Level(jnp.asarray(1.0), jnp.asarray(1e-9), jnp.asarray(41.4))
    data = Level(jnp.asarray(1.0), jnp.asarray(0.0), jnp.asarray(jnp.inf))
    weights = UniPCSignal(2)._weights([jnp.asarray(60.0), jnp.asarray(60.0)], level, data, jnp.asarray(2))
    np.testing.assert_allclose(weights, [1.0, 0.0])
