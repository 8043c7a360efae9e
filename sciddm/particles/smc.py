"""Sequential Monte Carlo: particles of p(x_0) exp(potential) with weights that make them exact, and the evidence.

Any guide proposes; a twist guesses how good each x_t will turn out; where weights have become uneven, particles are resampled
(Del Moral et al. 2006; Wu et al. 2023, arXiv:2306.17775). The law is that of the model's own chain of steps: exact in the limit of many
particles whatever the twist, and nearly so with few where the twist is good.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from sciddm.denoiser import Denoiser
from sciddm.grids import log_snr_bounds
from sciddm.lookahead.observe.observation import Observation, need_density
from sciddm.particles.budget import particles_for
from sciddm.particles.engine import Resampling, run
from sciddm.particles.exceeds import Exceeds, Tail
from sciddm.particles.result import Result
from sciddm.particles.twists import KnownTwist, MomentMatched, Plain, Tilted, Twist, Unknowing
from sciddm.sample import fill_defaults


def smc(
    key, denoiser: Denoiser, potential, shape, *, num_particles: int | None = None, budget: int | None = None, cond=None, proposal=None,
    solver="ddpm", steps: int = 100, grid=None, twist="mmps", resample="systematic", ess_threshold: float = 0.5, chunk=None,
    sharding=None,
) -> Result:  # fmt: skip
    """Weighted particles of p(x_0) exp(potential), and log E[exp potential].

    Args:
        potential: an Observation, an `Exceeds`, or any (x_0, t) -> (K,) in nats.
        shape: of one particle, no batch axis, or a pytree of them.
        num_particles: K; or budget: network calls in all, as many particles as it pays for.
        cond: handed to the denoiser, one for all particles or one each.
        proposal: a guide around the same model that steps in the twist's place, at network calls of its own; `denoiser` itself: the
            model's own step.
        solver: one whose steps have a density: "ddpm", "ddim-eta", "flow-sde" or an object of theirs; `DDPM(covariance="exact")` has those
            of the right width, and with twist "mmps" of an Observation of few values the step given what is measured.
        grid: as in `sample`; None: "logsnr", and for data at least WIDE times as wide as the noise `Shifted`.
        twist: "mmps" (the denoiser's own covariance; `MomentMatched` of an Observation, `Tail` of an `Exceeds`, else `Tilted`), "pigdm" (of
            an Observation), "plain" (potential of x0_hat), "tempered" (the same, let in slowly), "none" (weights at the end alone), a
            function (x_t, t) -> (K,) of log h, or a `Twist`.
        resample: "systematic", "stratified", "residual", "multinomial", "ssp", or a function; ess_threshold: see `Resampling`.
        chunk: particles that go through the network at once, a divisor of K; None: all.
        sharding: a jax.sharding.Sharding of the particle axis; particles meet across devices at resampling.
    Returns: `Result`; info: `ess`, `resampled`, (steps,); `ancestors` (steps, K), see `lineage`; `times`; what guides report, (steps, K).
    Raises: ValueError on an unknown name, a twist that does not fit the potential, exact observations (noise_std 0), a solver without a
        density, or guides that bring samplers or corrections of their own.
    """
    need_density(potential, "smc")
    guess = make_twist(twist, potential)
    grid = particle_grid(denoiser) if grid is None else grid
    own_step = proposal is denoiser
    proposal = None if own_step else proposal
    calls = denoiser.calls + (0 if proposal is None else proposal.calls)
    count = particles_for(num_particles, budget, fill_defaults(denoiser, solver, steps, grid)[1] * calls)
    return run(
        key, denoiser, guess, potential, shape, count, cond=cond, proposal=proposal, own_step=own_step, solver=solver,
        steps=steps, grid=grid, resampling=Resampling(resample, ess_threshold), chunk=chunk, sharding=sharding,
    )  # fmt: skip


WIDE = 3.0  # widths of the noise; data that are no wider take "logsnr"


class Shifted(eqx.Module):
    """The grid "logsnr", but where std, of the data, is at least WIDE: uniform in log-SNR between -5 - 2 log std and 10 - 2 log std.

    Outside of it such data are noise, and all but known. A plug-in step of length D in log-SNR is too narrow by about D SNR Cov[x_0 | x_t],
    so that the weights of modes are off by the steps at which they are decided, and these are few on a grid for data of unit width.
    """

    std: Any

    def __call__(self, process, steps: int):
        low, high = log_snr_bounds(process)
        shift = 2.0 * jnp.log(self.std)
        last = jnp.where(self.std < WIDE, high, jnp.clip(10.0 - shift, low, high))
        first = jnp.where(self.std < WIDE, low, jnp.clip(-5.0 - shift, low, last))
        inner = process.time(first + jnp.arange(1, steps) / steps * (last - first))
        return jnp.concatenate([jnp.ones(1), inner, jnp.zeros(1)])


def particle_grid(denoiser: Denoiser):
    """The grid of particles where none is given: by what the denoiser says of the width of its data."""
    std = getattr(denoiser.sampling.grid, "data_std", None)
    return "logsnr" if std is None else Shifted(std)


TWISTS: dict[str, Callable[[Any], Twist]] = {
    "mmps": lambda potential: _matched(potential) or Tilted(potential),
    "pigdm": lambda potential: _matched(potential, 1.0),
    "plain": Plain,
    "tempered": lambda potential: Plain(potential, gamma=0.008),
    "none": lambda potential: Unknowing(),
}


def make_twist(twist, potential) -> Twist:
    """A twist from a name of `TWISTS`, a function (x_t, t) -> (K,), or a `Twist` itself; see `smc`."""
    if isinstance(twist, Twist):
        return twist
    if callable(twist):
        return KnownTwist(twist)
    if twist not in TWISTS:
        raise ValueError(f"twist {twist!r} is none of {sorted(TWISTS)}, no function (x_t, t) -> (K,), and no Twist")
    made = TWISTS[twist](potential)
    if made is None:
        raise ValueError(
            f"twist {twist!r} needs an Observation, got {type(potential).__name__}: take 'mmps' or 'plain'"
        )
    return made


def _matched(potential, prior_variance=None):
    if isinstance(potential, Observation):
        return MomentMatched(potential, prior_variance)
    return Tail(potential) if isinstance(potential, Exceeds) and prior_variance is None else None
