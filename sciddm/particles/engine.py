"""The loop that particle methods share: look, weigh, resample, step.

    w <- w h_t(x_t) / h_u(x_u) p(x_t | x_u) / q(x_t | x_u),  u the time before,        at the end  w <- w exp potential(x_0) / h

(Del Moral 2004; Doucet & Johansen 2009). Where nothing is resampled the weights are carried on. On resampling all of a population's log
weights become their log-mean-exp, so that this is the running log evidence, always.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.denoiser import Denoiser, Draws
from sciddm.noise import as_structs
from sciddm.particles.resample import effective_sample_size, log_mean_exp, resolve
from sciddm.particles.result import Result
from sciddm.particles.twists.base import Look, Twist
from sciddm.process import sample_keys
from sciddm.sample import grid_times, settle, start_from_noise
from sciddm.solvers.base import AncestralSolver, DenoiserTerm, fold
from sciddm.time_travel import TimeTravel

RESAMPLING = np.uint32(2**31)  # keys of resampling are apart from those of particles


class Resampling(NamedTuple):
    """resample: a name of `RESAMPLERS` or a function like them; threshold: of ESS / K below which it happens, 1: wherever weights
    differ, 0: never; every: at every so many steps alone; interval: (low, high) of t in which it may happen."""

    resample: Any = "systematic"
    threshold: float = 0.5
    every: int = 1
    interval: tuple = (0.0, 1.0)


def population(shape, count: int):
    """Structs of `count` particles of one particle's shape, a shape or a pytree of them."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), as_structs(shape))


def run(
    key, denoiser: Denoiser, twist: Twist, potential, shape, count: int, *, cond=None, proposal=None, solver="ddpm", steps=100,
    grid="logsnr", own_step=False, resampling=Resampling(), start=None, tilted_start=False, chunk=None, sharding=None,
) -> Result:  # fmt: skip
    """A weighted population by one twist; see `smc` for the arguments.

    own_step: the model's own step is proposed whatever the twist.
    tilted_start: `start` is of the law N(0, sigma^2 Sigma) h already, up to its constant, and the evidence is not known.
    Raises: ValueError where the solver's steps have no density, or the denoiser moves x besides.
    """
    for name, guide in (("denoiser", denoiser), ("proposal", proposal)):
        if guide is not None and (guide.sampling.sampler or guide.sampling.corrections):
            raise ValueError(
                f"the {name} brings a sampler or corrections along, whose steps have no density: take a plain guide"
            )
    if denoiser.sampling.kicks:
        raise ValueError("the denoiser moves x between steps, which has no density: give it as `proposal`")
    if chunk is not None and count % chunk:
        raise ValueError(f"chunk = {chunk}: expected a divisor of the {count} particles")
    solver, steps, grid = settle(denoiser, solver, steps, grid)
    if not (isinstance(solver, AncestralSolver) and solver.draws_noise()):
        raise ValueError(
            f"solver {type(solver).__name__} has no transition density to weigh: take 'ddpm', 'ddim-eta' or 'flow-sde'"
        )
    if isinstance(grid, TimeTravel) or (isinstance(grid, np.ndarray) and grid[-1] > 0):
        raise ValueError(
            "the grid does not go straight down to t = 0: particles are weighed by their potential there, so it must end at the data"
        )
    resampling = resampling._replace(resample=resolve(resampling.resample))
    like = population(shape, count)
    if start is None:
        start = start_from_noise(key, denoiser.process, like, steps, grid)
    particles, log_weights, info = _run(
        key, denoiser, proposal, own_step, twist, potential, cond, solver, steps, grid, resampling, start, tilted_start, chunk, sharding
    )  # fmt: skip
    evidence = jnp.full((), jnp.nan) if tilted_start else log_mean_exp(log_weights)
    calls = count * steps * (denoiser.calls + (0 if proposal is None else proposal.calls))
    return Result(particles, log_weights, evidence, {"network_calls": calls, **info})


@eqx.filter_jit
def _run(
    key,
    denoiser,
    proposal,
    own_step,
    twist,
    potential,
    cond,
    solver,
    steps,
    grid,
    resampling,
    start,
    tilted_start,
    chunk,
    sharding,
):
    count = jax.tree.leaves(start)[0].shape[0]
    keys, times = sample_keys(key, count), grid_times(grid, denoiser.process, steps)
    noise, process = denoiser.process.noise, denoiser.process

    def spread_out(x):
        return x if sharding is None else jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, sharding), x)

    def look(x_t, t, index, memory, step_keys):
        def part(args):
            x, memory, keys = args
            seen, memory = twist.look(Draws.refresh(denoiser, keys), x, t, cond, index, memory)
            if proposal is None:
                return (seen._replace(steered=seen.x0_hat) if own_step else seen), memory
            steered, report = Draws.refresh(proposal, keys).evaluate(x, t, cond)
            return seen._replace(steered=steered, report=seen.report | report), memory

        return by_chunks(part, (x_t, memory, step_keys), chunk)

    def propose(term, t, s, x_t, seen: Look):
        mean, std = solver.kernel(term, t, s, x_t, seen.x0_hat)
        proposed, _ = solver.kernel(term, t, s, x_t, seen.steered)
        if "kick" in seen.report:
            proposed, _ = seen.report["kick"].move(x_t, proposed, term.level(t), term.level(s))
        # The data are never met exactly: the last step has the spread of x_0 | x_t under a unit prior.
        last = process.sigma(t) / jnp.sqrt(process.alpha(t) ** 2 + process.sigma(t) ** 2)
        std = jnp.where(std > 0, std, last)
        return twist.propose(noise, seen, mean, proposed, std, term.noise(x_t), term.level(s))

    def step(carry, now):
        x_t, log_weights, memory = carry
        index, t, s = now
        step_keys = fold(keys, index + 1)
        seen, memory = look(x_t, t, index, memory, step_keys)
        log_weights = jnp.where(tilted_start & (index == 0), log_weights, log_weights + seen.log_h)
        ess = effective_sample_size(log_weights)
        low, high = resampling.interval
        due = (ess < resampling.threshold * count) & (index % resampling.every == 0) & (t >= low) & (t <= high)
        chosen = resampling.resample(jax.random.fold_in(key, RESAMPLING + index.astype(jnp.uint32)), log_weights)
        ancestors = jnp.where(due, chosen, jnp.arange(count, dtype=chosen.dtype))
        log_weights = jnp.where(due, log_mean_exp(log_weights), log_weights)
        x_t, seen, memory = spread_out(jax.tree.map(lambda leaf: leaf[ancestors], (x_t, seen, memory)))
        x_s, log_ratio = propose(DenoiserTerm(denoiser, cond, step_keys), t, s, x_t, seen)
        report = {name: value for name, value in seen.report.items() if name != "kick"}
        info = {"ess": ess, "resampled": due, "ancestors": ancestors, **report}
        return (x_s, log_weights + log_ratio - seen.log_h, memory), info

    start = spread_out(start)
    carry = (start, jnp.zeros(count, jnp.result_type(float)), twist.memory(count))
    (x_0, log_weights, memory), info = jax.lax.scan(step, carry, (jnp.arange(len(times) - 1), times[:-1], times[1:]))
    return x_0, log_weights + twist.final(potential, x_0, memory), {"times": times, **info}


def by_chunks(function, args, chunk: int | None):
    """function of a pytree of (K, ...), `chunk` rows at a time, one after the other; None: all at once."""
    if chunk is None:
        return function(args)
    split = jax.tree.map(lambda leaf: leaf.reshape(-1, chunk, *leaf.shape[1:]), args)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), jax.lax.map(function, split))


def lineage(ancestors):
    """(steps, K): which particle at each step the final ones descend from. ancestors: (steps, K), `info["ancestors"]`."""

    def back(later, chosen):
        return chosen[later], chosen[later]

    return jax.lax.scan(back, jnp.arange(ancestors.shape[1]), ancestors, reverse=True)[1]
