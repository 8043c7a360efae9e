"""RePaint: after each step, what is known is put in its place with the noise of that step; time travel makes the rest listen.

    x_s <- x_s + A^+ (alpha_s y + sigma_s A z - A x_s)                     (Lugmayr et al. 2022, eq. 8, arXiv:2201.09865, for a mask A)

With few returns it is biased: the past of the path was not conditioned, and the rest follows only as far as it is walked again.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine, expand, root_mean_square
from sciddm.denoiser import Denoiser, SamplingDefaults
from sciddm.keys import whole
from sciddm.lookahead.nearest import pseudo_inverse
from sciddm.lookahead.observe.observation import Observation
from sciddm.lookahead.prescribed import Prescribed
from sciddm.reverse import Correction
from sciddm.time_travel import TimeTravel


def repaint(
    denoiser: Denoiser, observation: Observation, *, jump: int = 10, repeats: int = 10, iterations: int = 20
) -> Denoiser:
    """`denoiser` with `Replace` after each step, and time travel.

    Args: jump, repeats: of `TimeTravel`, by which it goes along 250 steps of "ddpm" uniform in t unless `sd.sample` is given others.
    The observation is taken as exact; iterations: at most so many conjugate-gradient steps for A^+.
    """
    whole(iterations, "iterations")
    whole(jump, "jump")
    whole(repeats, "repeats")
    grid = TimeTravel("t", jump=jump, repeats=repeats)
    return Prescribed(denoiser, SamplingDefaults("ddpm", 250, grid, (Replace(observation, iterations),)))


class Replace(Correction):
    """The part of x_s that a linear observation sees, replaced by the observation at this noise level."""

    observation: Observation
    iterations: int = eqx.field(static=True, default=20)

    def __call__(self, term, s, x_s):
        level, z = term.level(s), term.noise(x_s)
        seen, prediction = self.observation.operator(z), self.observation.operator(x_s)
        wanted = self.observation.residual_from(jax.tree.map(jnp.zeros_like, seen))  # y, like the operator's output
        gap = jax.tree.map(
            lambda y, n, p: expand(level.alpha, p) * y + expand(level.sigma, p) * n - p, wanted, seen, prediction
        )
        shift = pseudo_inverse(self.observation, x_s, gap, self.iterations)
        return combine(1.0, x_s, 1.0, shift), {"residual": root_mean_square(gap)}
