import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_posterior import mixture_draws

import sciddm as sd
from sciddm.observed_order import DRAWS, Impulse

VARIANCE = 0.3


def gaussian(process):
    """The exact denoiser of N(0, VARIANCE)."""

    def expected(x_t, t, cond):
        alpha, sigma = process.alpha(t), process.sigma(t)
        return alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2) * x_t

    return sd.FunctionDenoiser(expected, process)


@pytest.mark.parametrize("strength", [0.05, 0.5])
def test_many_moves_reach_the_law_of_their_level_up_to_the_known_bias(strength, x64):
    process = sd.GaussianProcess.vp(noise=Impulse())
    denoiser = gaussian(process)
    t, s = 0.5, 0.45
    like = jax.ShapeDtypeStruct((1, DRAWS), jnp.float64)
    langevin = sd.lookahead.Langevin(moves=120 if strength > 0.1 else 400, strength=strength)
    x, _ = sd.sample(
        jax.random.key(1),
        denoiser,
        like,
        solver="ddim",
        grid=[t, s],
        start=np.zeros(like.shape),
        corrections=(langevin,),
    )
    alpha, sigma = (float(f(jnp.asarray(s))) for f in (process.alpha, process.sigma))
    # The fixed point of x <- (alpha c + e^-K (1 - alpha c)) x + sigma sqrt(1 - e^-2K) z, c the denoiser's slope.
    marginal = alpha**2 * VARIANCE + sigma**2
    shrink = alpha**2 * VARIANCE / marginal
    factor = shrink + np.exp(-strength) * (1 - shrink)
    biased = sigma**2 * -np.expm1(-2 * strength) / (1 - factor**2)
    np.testing.assert_allclose(np.sum(np.asarray(x) ** 2), biased, rtol=1e-3)
    assert abs(biased / marginal - 1) < strength


def test_corrections_repair_a_wrong_start(mixture, sliced):
    # Started with half of the noise, a solver alone misses the law; moves between its steps forget the start.
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    truth = mixture_draws(mixture.weights, np.asarray(mixture.means), 0.2 * np.eye(3), 2000, 9)
    start = 0.3 * np.random.default_rng(0).normal(size=(2000, 3)).astype(np.float32)
    alone, plain = sd.sample(jax.random.key(1), denoiser, (2000, 3), steps=40, start=start)
    moves = sd.lookahead.Langevin(moves=4)
    both, info = sd.sample(jax.random.key(1), denoiser, (2000, 3), steps=40, start=start, corrections=(moves,))
    assert sliced(both, truth) < 0.5 * sliced(alone, truth)
    assert info["network_calls"] == plain["network_calls"] + 4 * 39
    assert info["langevin_move"].shape == (40, 2000) and np.max(np.asarray(info["langevin_move"])[-1]) == 0.0


def test_a_sample_s_moves_do_not_depend_on_the_batch():
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: jnp.tanh(x), sd.GaussianProcess.rectified())
    options = {"solver": "ddim", "steps": 6, "corrections": (sd.lookahead.Langevin(2),)}
    many, _ = sd.sample(jax.random.key(3), denoiser, (9, 3), **options)
    few, _ = sd.sample(jax.random.key(3), denoiser, (2, 3), **options)
    np.testing.assert_allclose(np.asarray(many)[:2], few, atol=1e-5)
    assert np.all(np.isfinite(many))
