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

from sciddm.answer import Answer
from sciddm.arithmetic import as_structs, batch_size
from sciddm.denoiser import Denoiser, Draws, Guide
from sciddm.errors import Refusal
from sciddm.keys import fold, one_key, sample_keys, whole
from sciddm.lookahead.observe.observation import need_density
from sciddm.particles.resample import effective_sample_size, log_mean_exp, resolve
from sciddm.particles.result import Result
from sciddm.particles.twists.base import Look, Twist, Unknowing
from sciddm.reverse import reverse_step
from sciddm.sample import fill_defaults, grid_times, start_from_noise
from sciddm.solvers.base import AncestralSolver, DenoiserTerm
from sciddm.time_travel import TimeTravel

RESAMPLING = np.uint32(2**31)  # keys of resampling are apart from those of particles


class Resampling(NamedTuple):
    """resample: a name of `RESAMPLERS` or a function like them; threshold: of ESS / K below which it happens, 1: wherever weights
    differ, 0: never; every: at every so many steps alone; interval: (low, high) of t in which it may happen."""

    resample: Any = "systematic"
    threshold: float = 0.5
    every: int = 1
    interval: tuple = (0.0, 1.0)

    def ancestors(self, key, log_weights, index, t):
        """(K,) who goes on, the log weights then, ESS, and whether any was drawn, before step `index` from t on."""
        count = log_weights.shape[0]
        ess, (low, high) = effective_sample_size(log_weights), self.interval
        due = (ess < self.threshold * count) & (index % self.every == 0) & (t >= low) & (t <= high)
        chosen = self.resample(jax.random.fold_in(key, RESAMPLING + index.astype(jnp.uint32)), log_weights)
        ancestors = jnp.where(due, chosen, jnp.arange(count, dtype=chosen.dtype))
        return ancestors, jnp.where(due, log_mean_exp(log_weights), log_weights), ess, due


class State(NamedTuple):
    """A population between two steps. x: pytree of (K, ...); log_weights: (K,), of which h at x is not a part; memory: the twist's,
    (K, ...); cond: one for all, or with leaves of (K, ...), which go where their particle goes."""

    x: Any
    log_weights: jax.Array
    memory: Any
    cond: Any


class Population(eqx.Module):
    """The loop, opened, so that weights may enter and leave between stretches of it: `state = population.init(x)`, then down the times
    `state, info = population.step(key, state, index, t, s)`, then `population.end(state, potential)`. `run` closes it."""

    denoiser: Denoiser
    twist: Twist
    solver: AncestralSolver
    resampling: Resampling
    proposal: Denoiser | None = None
    own_step: bool = eqx.field(static=True, default=False)
    chunk: int | None = eqx.field(static=True, default=None)
    sharding: Any = eqx.field(static=True, default=None)

    def init(self, x, cond=None, log_weights=None) -> State:
        """x: pytree of (K, ...) at the first time; log_weights: (K,), None: all 0."""
        count = batch_size(x)
        log_weights = jnp.zeros(count, jnp.result_type(float)) if log_weights is None else log_weights
        return State(self._placed(x), log_weights, self.twist.memory(count), cond)

    def step(self, key, state: State, index, t, s, tilted_start=False) -> tuple[State, dict]:
        """The population at s < t. key: of the whole path; index: of the step; tilted_start: x of the first one is of a law N h already."""
        count, index = batch_size(state.x), jnp.asarray(index)
        keys = fold(sample_keys(key, count), index + 1)
        seen, memory = self._look(state, t, index, keys, tilted_start)
        weighed = state.log_weights + seen.log_h
        weighed = jnp.where(tilted_start & (index == 0), state.log_weights, weighed)
        ancestors, log_weights, ess, due = self.resampling.ancestors(key, weighed, index, t)
        x_t, seen, memory, cond = self._placed(goes_on((state.x, seen, memory, state.cond), ancestors))

        def advance(term):
            x_s, log_ratio = self._propose(term, t, s, x_t, seen)
            return x_s, log_ratio, Answer(seen.x0_hat, seen.report)

        x_s, log_ratio, report = reverse_step(self.denoiser, advance, keys, t, s, x_t, cond=cond)
        info = {"ess": ess, "resampled": due, "ancestors": ancestors, **report}
        return State(x_s, log_weights + log_ratio - seen.log_h, memory, cond), info

    def end(self, state: State, potential):
        """(K,) log weights of particles that have arrived at the data."""
        return state.log_weights + self.twist.final(potential, state.x, state.memory)

    def _look(self, state, t, index, keys, tilted_start):
        def part(args):
            x, memory, keys, cond = args
            cond = eqx.combine(cond, shared)
            model = Draws.refresh(self.denoiser.given(cond), keys)
            at = self.solver.asks_at(model.process, t)
            seen, memory = look_at(self.twist, model, x, t, cond, index, memory, at)
            # what the compiler finds to be the same network call is one
            seen = seen._replace(spread=self.solver.spread(DenoiserTerm(Unmoved(model), cond, keys), at, x))
            if self.proposal is None:
                return (seen._replace(steered=seen.x0_hat) if self.own_step else seen), memory
            answer = Draws.refresh(self.proposal.given(cond), keys).evaluate(x, at, cond)
            return seen._replace(steered=answer.x0_hat, report=seen.report | answer.report, kick=answer.kick), memory

        own, shared = eqx.partition(state.cond, _one_each(state.cond, batch_size(state.x)))
        return by_chunks(part, (state.x, state.memory, keys, own), self.chunk)

    def _propose(self, term, t, s, x_t, seen: Look):
        model = self.solver.transition(term, t, s, x_t, seen.x0_hat, *seen.spread)
        # The data are never met exactly: the last step has the spread of x_0 | x_t under a unit prior.
        process = term.denoiser.process
        last = process.sigma(t) / jnp.sqrt(process.alpha(t) ** 2 + process.sigma(t) ** 2)
        model = model.smeared(last)
        proposed = self.solver.transition(term, t, s, x_t, seen.steered, *seen.spread).mean
        if seen.kick is not None:
            proposed, _ = seen.kick.move(x_t, proposed, term.level(t), term.level(s))
        # a proposal that is given, or the model's own, is no matter of the twist
        propose = self.twist.propose if self.proposal is None and not self.own_step else Unknowing().propose
        return propose(seen, model, model.to(proposed), term.keys, term.level(s))

    def _placed(self, x):
        if self.sharding is None:
            return x
        return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, self.sharding), x)


class Unmoved(Guide):
    """The model whose own steps are weighed: a kick of its guides has no density."""

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        if answer.kick is not None:
            raise Refusal("the denoiser moves x between steps, which has no density to weigh: give it as `proposal`")
        return answer


def look_at(twist: Twist, denoiser: Denoiser, x_t, t, cond, index, memory, at=None) -> tuple[Look, Any]:
    """The twist's look, with h = 1 where x_t holds nothing of x_0 (alpha = 0): there its guess has no spread, and is falsely sharp.
    at: the time that the denoiser is told, None: t."""
    seen, memory = twist.look(Unmoved(denoiser), x_t, t if at is None else at, cond, index, memory)
    return seen._replace(log_h=jnp.where(denoiser.process.alpha(t) > 0, seen.log_h, 0.0)), memory


def goes_on(tree, ancestors):
    """Leaves of (K, ...) with the rows of the ancestors; what is one for all stays."""
    count = ancestors.shape[0]
    return jax.tree.map(lambda leaf: leaf[ancestors] if one_each(leaf, count) else leaf, tree)


def one_each(leaf, count: int) -> bool:
    """Whether a leaf has a row for each of `count` particles."""
    return jnp.ndim(leaf) > 0 and jnp.shape(leaf)[0] == count


def _one_each(tree, count):
    return jax.tree.map(lambda leaf: one_each(leaf, count), tree)


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
    Raises: ValueError where the solver's steps have no density; Refusal where the denoiser moves x besides.
    """
    key = one_key(key)
    need_density(potential, "a particle method")
    for guide in (denoiser, proposal):
        if guide is not None:
            guide.sampling.refuse("give steps that have no density", "take a plain guide")
    chunk = checked_chunk(chunk, count)
    solver, steps, grid = fill_defaults(denoiser, solver, steps, grid)
    if not (isinstance(solver, AncestralSolver) and solver.draws_noise()):
        raise Refusal(
            f"solver {type(solver).__name__} has no transition density to weigh: take 'ddpm', 'ddim-eta' or 'flow-sde'"
        )
    if isinstance(grid, TimeTravel) or (isinstance(grid, np.ndarray) and grid[-1] > 0):
        raise ValueError(
            "the grid does not go straight down to t = 0: particles are weighed by their potential there, so it must end at the data"
        )
    like = population(shape, count)
    if start is None:
        start = start_from_noise(sample_keys(key, count), denoiser.given(cond).process, like, steps, grid)
    loop = Population(
        denoiser, twist, solver, resampling._replace(resample=resolve(resampling.resample)), proposal, own_step, chunk, sharding
    )  # fmt: skip
    particles, log_weights, info = _run(key, loop, potential, cond, steps, grid, start, tilted_start)
    evidence = jnp.full((), jnp.nan) if tilted_start else log_mean_exp(log_weights)
    calls = count * steps * (denoiser.calls + (0 if proposal is None else proposal.calls))
    return Result(particles, log_weights, evidence, {"network_calls": calls, **info})


@eqx.filter_jit
def _run(key, loop: Population, potential, cond, steps, grid, start, tilted_start):
    times = grid_times(grid, loop.denoiser.process, steps)

    def step(state, now):
        return loop.step(key, state, *now, tilted_start)

    state, info = jax.lax.scan(step, loop.init(start, cond), (jnp.arange(len(times) - 1), times[:-1], times[1:]))
    return state.x, loop.end(state, potential), {"times": times, **info}


def checked_chunk(chunk, count: int) -> int | None:
    """`chunk` of `by_chunks`, None or a divisor of the `count` particles. Raises: ValueError."""
    if chunk is None:
        return None
    if count % (chunk := whole(chunk, "chunk")):
        raise ValueError(f"chunk = {chunk}: expected a divisor of the {count} particles")
    return chunk


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
