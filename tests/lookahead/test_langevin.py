import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm.observed_order import DRAWS, Impulse

VARIANCE = 0.3


def gaussian(process):
    """The exact denoiser of N(0, VARIANCE), and the variance of x_t."""

    def expected(x_t, t, cond):
        alpha, sigma = process.alpha(t), process.sigma(t)
        return alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2) * x_t

    return sd.FunctionDenoiser(expected, process), lambda t: process.alpha(t) ** 2 * VARIANCE + process.sigma(t) ** 2


@pytest.mark.parametrize("strength", [0.05, 0.5])
def test_many_moves_reach_the_law_of_their_level_up_to_the_known_bias(strength, x64):
    process = sd.GaussianProcess.vp(noise=Impulse())
    denoiser, marginal = gaussian(process)
    t, s = 0.5, 0.45
    like = jax.ShapeDtypeStruct((1, DRAWS), jnp.float64)
    langevin = sd.lookahead.Langevin(moves=120 if strength > 0.1 else 400, strength=strength)
    x, _ = sd.sample(
        jax.random.key(1),
        denoiser,
        like,
        solver="ddim",
        grid=[t, s],
        start=jnp.zeros(like.shape),
        corrections=(langevin,),
    )
    alpha, sigma = process.alpha(s), process.sigma(s)
    # The fixed point of x <- (alpha c + e^-K (1 - alpha c)) x + sigma sqrt(1 - e^-2K) z, c the denoiser's slope.
    shrink = alpha**2 * VARIANCE / marginal(s)
    factor = shrink + np.exp(-strength) * (1 - shrink)
    biased = sigma**2 * -np.expm1(-2 * strength) / (1 - factor**2)
    np.testing.assert_allclose(jnp.sum(x**2), biased, rtol=1e-3)
    assert abs(biased / marginal(s) - 1) < strength


def test_corrections_repair_a_wrong_start(mixture, sliced):
    # Started with half of the noise, a solver alone misses the law; moves between its steps forget the start.
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    truth = mixture.sample(jax.random.key(9), 2000)
    start = 0.3 * jax.random.normal(jax.random.key(0), (2000, 3))
    alone, plain = sd.sample(jax.random.key(1), denoiser, (2000, 3), steps=40, start=start)
    moves = sd.lookahead.Langevin(moves=4)
    both, info = sd.sample(jax.random.key(1), denoiser, (2000, 3), steps=40, start=start, corrections=(moves,))
    assert sliced(both, truth) < 0.5 * sliced(alone, truth)
    assert info["network_calls"] == plain["network_calls"] + 4 * 39
    assert info["langevin_move"].shape == (40, 2000) and float(info["langevin_move"][-1].max()) == 0.0


def test_a_sample_s_moves_do_not_depend_on_the_batch(mixture):
    denoiser, moves = mixture.denoiser(sd.GaussianProcess.rectified()), (sd.lookahead.Langevin(2),)
    many, _ = sd.sample(jax.random.key(3), denoiser, (9, 3), steps=6, corrections=moves)
    few, _ = sd.sample(jax.random.key(3), denoiser, (2, 3), steps=6, corrections=moves)
    np.testing.assert_allclose(many[:2], few, atol=1e-5)
    assert bool(jnp.all(jnp.isfinite(many)))
