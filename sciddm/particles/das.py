"""Diffusion alignment as sampling: twisted particles of a reward that is let in slowly.

    h_t = exp(lambda_t scale r(x0_hat)),   lambda_t = min((1 + gamma)^n - 1, 1) after n steps      (Kim et al. 2025, arXiv:2501.05803)

SSP resampling where ESS falls below half. The released code returns the best particle, not a sample: `result.best()`.
"""

from sciddm.denoiser import Denoiser
from sciddm.particles.budget import scaled
from sciddm.particles.result import Result
from sciddm.particles.smc import smc
from sciddm.particles.twists import Plain


def das(
    key, denoiser: Denoiser, potential, shape, *, num_particles: int | None = None, budget: int | None = None, scale=1.0, gamma=0.008,
    **options,
) -> Result:  # fmt: skip
    """Weighted particles of p(x_0) exp(scale potential); arguments as in `smc`, and

    Args: scale: 1/alpha, 100 to 10,000 as published for image rewards with 4 particles; gamma: of the tempering, .008 for 100 steps.
    """
    potential = scaled(potential, scale)
    options = {"twist": Plain(potential, gamma=gamma), "resample": "ssp"} | options
    return smc(key, denoiser, potential, shape, num_particles=num_particles, budget=budget, **options)
