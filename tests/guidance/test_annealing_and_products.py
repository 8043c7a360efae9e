"""What a multiplied score samples: known, and not the annealed law. No guide may "mend" it; weights do (Feynman-Kac correctors)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm.answer import Answer
from sciddm.observed_order import DRAWS, Impulse

VARIANCE, SIGMA_MAX = 0.5, 100.0


class Annealed(sd.Denoiser):
    """The denoiser whose score is beta times that of N(0, VARIANCE); beta = 2 is the product of two equal experts."""

    process: sd.GaussianProcess
    beta: jax.Array

    def evaluate(self, x_t, t, cond=None):
        shrink = VARIANCE / (VARIANCE + self.process.sigma(t) ** 2)
        return Answer((1.0 - self.beta * (1.0 - shrink)) * x_t, {})


@pytest.mark.parametrize("beta", [pytest.param(1.0, marks=pytest.mark.slow), 3.0])
def test_a_multiplied_score_in_the_reverse_equation_has_variance_over_twice_beta_minus_one(beta, x64):
    # not VARIANCE / beta, the variance of the annealed law
    process = sd.GaussianProcess.ve(0.01, SIGMA_MAX, noise=Impulse())
    like = jax.ShapeDtypeStruct((1, DRAWS), jnp.float64)
    grid = process.time(-2.0 * np.log(np.geomspace(SIGMA_MAX, 0.01, 600)))
    grid = np.append(grid[:-1], 0.0)
    x, _ = sd.sample(
        jax.random.key(1), Annealed(process, jnp.asarray(beta)), like, solver=sd.solvers.DPMpp2M(eta=1.0), grid=grid
    )
    np.testing.assert_allclose(np.sum(np.asarray(x) ** 2), VARIANCE / (2 * beta - 1), rtol=5e-3)


def test_a_multiplied_score_in_the_flow_collapses(x64):
    process = sd.GaussianProcess.ve(0.001, SIGMA_MAX)
    start = SIGMA_MAX * jnp.ones((1, 1), jnp.float64)
    x, _ = sd.sample(
        jax.random.key(1), Annealed(process, jnp.asarray(2.0)), (1, 1), solver="heun", steps=1500, grid="logsnr", start=start
    )
    np.testing.assert_allclose(float(x[0, 0]) ** 2, VARIANCE**2 * SIGMA_MAX**-2.0, rtol=2e-3)
