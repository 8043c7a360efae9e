"""A guide has the same law by every solver, with guidance inside."""

import jax
import numpy as np
import pytest
from gaussian_posterior import gaussian_denoiser, gaussian_posterior
from lookahead.common import A, Y, law_of_the_end

import sciddm as sd

# dopri8 is tsit5 with a longer table, five times as long to compile as any other; unipc-signal is unipc2-signal with one more answer
SLOW = {"dopri8", "unipc-signal"}
SOLVERS = sorted(set(sd.solvers.SOLVERS) - {"dpmpp1", "ancestral"} - SLOW)


@pytest.mark.parametrize("solver", [*SOLVERS, *(pytest.param(name, marks=pytest.mark.slow) for name in sorted(SLOW))])
def test_guides_compose_with_every_solver_and_with_guidance(solver):
    mean, covariance = gaussian_posterior(np.zeros(3), np.eye(3), A, Y, 0.5)
    conditional = sd.guidance.classifier_free(gaussian_denoiser(sd.GaussianProcess.vp(), 1.0), 1.0)
    guided = sd.lookahead.mmps(conditional, sd.lookahead.Observation(A, Y, 0.5))
    steps = 6 if solver in ("tsit5", "dopri8") else 100
    if solver in ("ddpm", "ddim-eta", "sde-dpmpp2m", "seeds2", "edm", "flow-sde", "euler-maruyama"):
        count = 2000
        samples, info = sd.sample(jax.random.key(0), guided, (count, 3), solver=solver, steps=steps)
        found, variance = np.mean(samples, 0), np.var(samples, 0)
    else:
        count = 4
        found, spread, info = law_of_the_end(guided, solver=solver, steps=steps)
        variance = np.diag(spread)
    np.testing.assert_allclose(found, mean, atol=0.06)
    np.testing.assert_allclose(variance, np.diag(covariance), rtol=0.12)
    if solver != "euler-maruyama":
        assert info["residual"].shape == info["guidance_norm"].shape == (steps, count)
        assert np.mean(info["residual"][-1]) < np.mean(info["residual"][0])
