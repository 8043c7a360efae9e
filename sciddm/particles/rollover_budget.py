"""Rollover budget forcing: children of one path, one after the other, until one is better than all before; what is not spent rolls over.

    quota_n = (budget - initial) / (steps - 1) + what earlier steps left;   x_s is the first child with r(x0_hat(x_s)) above the
    best so far, or the best child of the quota                                                   (Kim et al. 2025, arXiv:2503.19385)

The last step with children has nothing to leave: all of its quota is spent there and the best child taken, as the released code does.
A search, for rewards without gradient. Published on flow models turned into SDEs: solver="flow-sde", or `sd.match_snr` onto a VP path.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.arithmetic import batch_size
from sciddm.denoiser import Denoiser, Draws
from sciddm.errors import Refusal
from sciddm.keys import fold, one_key, sample_keys, whole
from sciddm.lookahead.observe.observation import need_density
from sciddm.particles.engine import by_chunks, checked_chunk, population
from sciddm.particles.result import Result
from sciddm.reverse import reverse_step
from sciddm.sample import fill_defaults, grid_times, start_from_noise
from sciddm.solvers.base import AncestralSolver


def rollover_budget(
    key, denoiser: Denoiser, potential, shape, *, budget: int = 500, cond=None, initial: int | None = None, batch: int = 1, solver="ddpm",
    steps: int = 10, grid="logsnr", chunk=None,
) -> Result:  # fmt: skip
    """One particle; arguments as in `smc`, and

    Args:
        budget: network calls in all, of which it leaves less than a batch. initial: draws of noise to begin with, None: a twentieth of
            the budget; batch: children at once, of which the first that is better goes on. Released are two such searches of half of
            500 calls, 25 of them to begin with, and the better of the two.
    Returns: info: `tried`, (steps - 1,) children of each step; `best`, (steps,) the best potential so far.
    Raises: ValueError where the budget does not pay for a batch of children a step, or on a solver without noise.
    """
    need_density(potential, "rollover_budget")
    key, (solver, steps, grid) = one_key(key), fill_defaults(denoiser, solver, steps, grid)
    if not (isinstance(solver, AncestralSolver) and solver.draws_noise()):
        raise Refusal(
            f"solver {type(solver).__name__} has no children that differ: take 'ddpm', 'ddim-eta' or 'flow-sde'"
        )
    if any(part.network_calls(2) for part in denoiser.sampling.corrections):
        raise Refusal("rollover_budget pays for one look at each child, and the denoiser's corrections ask the network besides")
    units, batch = whole(budget, "budget") // denoiser.calls, whole(batch, "batch")
    initial = max(units // 20, 1) if initial is None else whole(initial, "initial")
    least = initial + (steps - 1) * batch
    if units < least:
        raise ValueError(
            f"budget = {budget}: the least is {least * denoiser.calls} network calls; give as many, or fewer steps"
        )
    chunk = checked_chunk(chunk, initial)
    keys, process = sample_keys(key, initial), denoiser.given(cond).process
    start = start_from_noise(keys, process, population(shape, initial), steps, grid)
    quotas = np.diff(np.arange(steps) * ((units - initial) // batch) // max(steps - 1, 1))  # in batches of children
    x_0, value, tried, best = _search(
        key, denoiser, potential, cond, solver, steps, grid, start, jnp.asarray(quotas), batch, chunk
    )
    calls = (initial + batch * int(quotas.sum())) * denoiser.calls
    info = {"network_calls": calls, "tried": tried, "best": best, "potential": value}
    return Result(x_0, jnp.zeros(1), jnp.full((), jnp.nan), info)


@eqx.filter_jit
def _search(key, denoiser, potential, cond, solver, steps, grid, start, quotas, batch, chunk):
    times, initial, corrections = grid_times(grid, denoiser.process, steps), batch_size(start), denoiser.sampling.corrections
    denoiser = denoiser.given(cond)

    def look(x, t, keys):
        answer = Draws.refresh(denoiser, keys).evaluate(x, t, cond)
        return answer, potential(answer.x0_hat, t)

    def children(keys, t, s, x_t, answer, drawn=True):
        def advance(term):
            step = solver.transition(term, t, s, x_t, answer.x0_hat)
            return (step.sample(term.keys) if drawn else step.mean), None, answer

        return reverse_step(denoiser, advance, keys, t, s, x_t, cond=cond, corrections=corrections)[0]

    def pick(chosen, *trees):
        return jax.tree.map(lambda leaf: leaf[chosen][None], trees)

    keys = sample_keys(key, initial)
    answers, values = by_chunks(lambda args: look(args[0], times[0], args[1]), (start, fold(keys, 1)), chunk)
    chosen = jnp.argmax(values)
    x, answer = pick(chosen, start, answers)

    def step(carry, now):
        x_t, answer, record, left = carry
        index, t, s, quota = now
        quota, last = quota + left, index == steps - 2
        repeated = jax.tree.map(lambda leaf: jnp.repeat(leaf, batch, axis=0), (x_t, answer))

        def going(state):
            used, found = state[0], state[3]
            return (used < quota) & (last | (found <= record))

        def another(state):
            used, child, child_answer, found = state
            child_keys = sample_keys(jax.random.fold_in(jax.random.fold_in(key, index + 1), used), batch)
            fresh = children(child_keys, t, s, *repeated)
            fresh_answers, values = look(fresh, s, child_keys)
            # the first that is better, else the best
            better = (values > record) & ~last
            chosen = jnp.where(jnp.any(better), jnp.argmax(better), jnp.argmax(values))
            candidate = *pick(chosen, fresh, fresh_answers), values[chosen]
            wins = (values[chosen] > found) | (used == 0)
            kept = jax.tree.map(lambda new, old: jnp.where(wins, new, old), candidate, (child, child_answer, found))
            return used + 1, *kept

        used, x_s, answer, found = jax.lax.while_loop(going, another, (jnp.int32(0), x_t, answer, record))
        record = jnp.maximum(record, found)
        return (x_s, answer, record, quota - used), (used, record)

    now = jnp.arange(steps - 1), times[:-2], times[1:-1], quotas
    carry, (used, best) = jax.lax.scan(step, (x, answer, values[chosen], jnp.int32(0)), now)
    x, answer, _, _ = carry
    x_0 = children(fold(keys[:1], steps), times[-2], times[-1], x, answer, drawn=False)
    best = jnp.append(values[chosen], best)
    return x_0, potential(x_0, jnp.zeros(())), batch * used, best
