"""Search over paths: noise again what is best so far, denoise the copies, keep the best; and so on down to the data.

    N points, K copies each, `back` places up the grid with fresh noise, `forth` places down by the solver, the best N by
    r(x0_hat) go on                                                        (Ma et al. 2025, section 3.2, arXiv:2501.09732)

A search. Diversity comes from the noise that is put back, so the solver may be deterministic.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.arithmetic import batch_size
from sciddm.denoiser import Denoiser, Draws
from sciddm.keys import fold, one_key, sample_keys, whole
from sciddm.lookahead.observe.observation import need_density
from sciddm.particles.engine import by_chunks, checked_chunk, population
from sciddm.particles.result import Result
from sciddm.reverse import by, reverse_step
from sciddm.sample import fill_defaults, grid_times, planned_calls, start_from_noise
from sciddm.solvers.base import DenoiserTerm
from sciddm.time_travel import TimeTravel, noise_again


def search_over_paths(
    key, denoiser: Denoiser, potential, shape, *, num_particles: int = 2, copies: int | None = None, budget: int | None = None, cond=None,
    forth: int | None = None, back: int | None = None, solver="ddim", steps: int = 50, grid="logsnr", chunk=None,
) -> Result:  # fmt: skip
    """The last N * K paths, the best with all the weight; arguments as in `smc`, and

    Args: num_particles: N, 2 as published; copies: K, 5 as published; or budget: network calls in all, K as large as it pays for;
    forth, back: places of the grid, forth > back; None: a fifth of the steps, and half of that, which of 50 are the published 10 and 5.
    Raises: ValueError unless one of copies and budget is given, where the budget does not pay for one copy, or for an adaptive solver.
    """
    need_density(potential, "search_over_paths")
    key, (solver, steps, grid) = one_key(key), fill_defaults(denoiser, solver, steps, grid)
    forth = max(2, steps // 5) if forth is None else whole(forth, "forth", 0)
    back = max(1, forth // 2) if back is None else whole(back, "back", 0)
    num_particles = whole(num_particles, "num_particles")
    if isinstance(grid, TimeTravel) or not 0 < back < forth < steps:
        raise ValueError(
            f"forth = {forth}, back = {back}: expected 0 < back < forth < steps = {steps}, and a grid that does not go back"
        )
    if (copies is None) == (budget is None):
        raise ValueError("expected either copies or budget (network calls in all)")
    calls = planned_calls(denoiser, solver, steps, grid, denoiser.sampling.corrections)
    begins = _begins(steps, forth, back)
    # a look at where a round ends, but at the data, where nothing is to be asked
    rounds = [calls[place : place + forth].sum() + (denoiser.calls if place + forth < steps else 0) for place in begins]
    first, each = int(num_particles * calls[:forth].sum()), int(num_particles * sum(rounds))
    if copies is None:
        copies = (whole(budget, "budget") - first) // max(each, 1)
        if copies < 1:
            raise ValueError(f"budget = {budget}: the least is {first + each} network calls; give as many, or fewer steps")
    copies = whole(copies, "copies")
    chunk = checked_chunk(chunk, num_particles * copies)
    keys, process = sample_keys(key, num_particles), denoiser.given(cond).process
    start = start_from_noise(keys, process, population(shape, num_particles), steps, grid)
    x_0, values, best = _search(
        key, denoiser, potential, cond, solver, steps, grid, start, begins, forth, copies, chunk
    )
    log_weights = jnp.where(jnp.arange(len(values)) == jnp.argmax(values), 0.0, -jnp.inf)
    info = {"network_calls": first + copies * each, "best": best, "potential": values}
    return Result(x_0, log_weights, jnp.full((), jnp.nan), info)


def _begins(steps: int, forth: int, back: int) -> tuple[int, ...]:
    """Places of the grid where rounds begin; the first path ends at `forth`, the last round at `steps`."""
    begins, place = [], forth
    while place < steps:
        begins.append(min(place - back, steps - forth))
        place = begins[-1] + forth
    return tuple(begins)


@eqx.filter_jit
def _search(key, denoiser, potential, cond, solver, steps, grid, start, begins, forth, copies, chunk):
    times, keep, corrections = grid_times(grid, denoiser.process, steps), batch_size(start), denoiser.sampling.corrections
    denoiser = denoiser.given(cond)
    places = np.asarray(begins, int)[:, None] + np.arange(forth + 1)

    def walk(x, keys, stretch):
        # down one stretch of the grid, (forth + 1,) times; a multistep solver starts afresh
        def step(carry, now):
            x_t, memory = carry
            index, t, s = now
            x_s, memory, _ = reverse_step(
                denoiser, by(solver, t, s, x_t, memory), fold(keys, index + 1), t, s, x_t, cond=cond, corrections=corrections
            )  # fmt: skip
            return (x_s, memory), None

        memory = solver.init(DenoiserTerm(denoiser, cond, keys), stretch[0], stretch[1], x, None)
        (x, _), _ = jax.lax.scan(step, (x, memory), (jnp.arange(forth), stretch[:-1], stretch[1:]))
        return x

    def one_round(carry, now):
        x, _, _ = carry
        index, ended, stretch = now
        keys = sample_keys(jax.random.fold_in(key, index + 1), keep * copies)

        def part(args):
            x, keys = args
            term = DenoiserTerm(denoiser, cond, fold(keys, 0))
            up = noise_again(x, term.noise(x), term.level(ended), term.level(stretch[0]))
            down = walk(up, keys, stretch)
            values = jax.lax.cond(
                stretch[-1] > 0,
                lambda: potential(Draws.refresh(denoiser, keys).evaluate(down, stretch[-1], cond).x0_hat, stretch[-1]),
                lambda: potential(down, jnp.zeros(())),
            )
            return down, values

        repeated = jax.tree.map(lambda leaf: jnp.repeat(leaf, copies, axis=0), x)
        everyone, values = by_chunks(part, (repeated, keys), chunk)
        _, chosen = jax.lax.top_k(values, keep)
        return (jax.tree.map(lambda leaf: leaf[chosen], everyone), everyone, values), jnp.max(values)

    x = walk(start, sample_keys(jax.random.fold_in(key, 0), keep), times[: forth + 1])
    ends = np.append(forth, places[:-1, -1])
    now = jnp.arange(len(begins)), times[ends], times[places]
    everyone = jax.tree.map(lambda leaf: jnp.repeat(leaf, copies, axis=0), x)
    value = jax.eval_shape(potential, everyone, times[0])
    carry = (x, everyone, jnp.zeros(value.shape, value.dtype))
    (_, everyone, values), best = jax.lax.scan(one_round, carry, now)
    return everyone, values, best
