"""The twisted diffusion sampler: the potential of the expected output as the twist, its gradient as the proposal, resampling always.

    x_s ~ N(mean + std^2 grad log h_t(x_t), std^2),   h_t = exp potential(x0_hat(x_t))               (Wu et al. 2023, arXiv:2306.17775)

With a sharp likelihood it diverges, as its twist has no width: `smc` with its default twist is the same sampler with one.
"""

from sciddm.denoiser import Denoiser
from sciddm.particles.result import Result
from sciddm.particles.smc import smc


def tds(
    key, denoiser: Denoiser, potential, shape, *, num_particles: int | None = None, budget: int | None = None, **options
) -> Result:
    """Weighted particles of p(x_0) exp(potential); arguments as in `smc`."""
    options = {"twist": "plain", "ess_threshold": 1.0} | options
    return smc(key, denoiser, potential, shape, num_particles=num_particles, budget=budget, **options)
