"""The sampling times of a model's own data: three numbers that say where its steps lie, by the error of a few steps beside many.

    min over (centre, left, right) of  E |x_few - x_many|^2,   x_many the end of a fine path from the same noise

A search by coordinates: forward passes alone, the same ones whenever it is asked, and one program for all numbers of steps.
"""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.activity import Bar
from sciddm.arithmetic import as_structs, batch_size, inner
from sciddm.denoiser import Denoiser
from sciddm.errors import Refusal
from sciddm.grids import OPTIMISED, Logistic
from sciddm.keys import fold, one_key, sample_keys
from sciddm.reverse import by, reverse_step
from sciddm.sample import fill_defaults, start_from_noise
from sciddm.solvers.base import DenoiserTerm

STEPS = (5, 10, 20)
FINE = 60  # steps of the path that is held to be exact
MOST = 60  # looks, about
FEWEST = 8  # samples
SURE = 1.1  # standard errors of the samples' differences: what one sample alone gains is 1 of them
STRIDES = (0.8, 0.3)  # of the centre; of the logarithms of left and right half as much
CENTRE, SCALES = 4.0, 4.0  # as far as the search goes, from 0 and by a factor


def search_own(
    key, denoiser: Denoiser, shape, *, cond=None, solver=None, sharding=None, progress: bool = False, given_up=lambda: False
) -> Logistic | None:
    """The grid that serves `denoiser` best, at STEPS and in between, for `sd.sample`.

    Args: shape: of a batch, some 32 samples; cond: as for `sd.sample`; solver: a deterministic one, None: the denoiser's default;
    sharding: of the batch; given_up: asked before every look, True ends the search with None.
    Raises: Refusal of a solver that draws noise, or takes steps of its own; ValueError on less than FEWEST samples.
    """
    like, process, asked = as_structs(shape), denoiser.given(cond).process, solver
    if batch_size(like) < FEWEST:
        raise ValueError(f"a batch of {batch_size(like)} says too little of a grid: expected at least {FEWEST} samples, some 32 are good")
    if own := denoiser.sampling.sampler:
        raise Refusal(f"{own} is a sampler of its own, with times of its own: search those of the denoiser within")
    solver, _, begin = fill_defaults(denoiser, solver)
    if solver.draws_noise() or solver.network_calls(1) is None:
        name = type(solver).__name__
        by_default = f"{type(denoiser).__name__} is sampled by {name} where no solver is given"
        said = by_default if asked is None else f"solver {asked!r}" if isinstance(asked, str) else f"solver {name}"
        raise Refusal(f"{said}: expected a deterministic one of fixed steps, such as solver='unipc2-signal'")
    begin = begin if isinstance(begin, Logistic) else Logistic()
    keys = sample_keys(one_key(key), batch_size(like))
    noise = start_from_noise(key, process, like, 1, "t")
    if sharding is not None:
        keys, noise = jax.device_put((keys, noise), sharding)
    if given_up():
        return None
    exact = _ends(denoiser, solver, cond, keys, noise, *_padded(begin, process, FINE))
    found = {}
    with Bar(total=MOST, desc="sampling times", disable=not progress, leave=False) as bar:

        def squares(shape, steps):
            if given_up():
                raise _GivenUp
            bar.update(1)
            times = _padded(Logistic(((steps, *shape),), begin.data_std), process, steps)
            return np.asarray(_squares(_ends(denoiser, solver, cond, keys, noise, *times), exact), np.float64)

        try:
            for steps in STEPS:
                found[steps] = by_coordinates(partial(squares, steps=steps), begin.shape(steps))
        except _GivenUp:
            return None
    rows = ((steps, *(round(value, 3) for value in found[steps])) for steps in STEPS)
    return Logistic((*rows, OPTIMISED[-1]), begin.data_std)


class _GivenUp(Exception):
    """Ends a search, from within it."""


def by_coordinates(squares: Callable, begin) -> tuple[float, float, float]:
    """(centre, left, right) by steps along one coordinate at a time, taken where the samples' differences say so.

    squares: (centre, left, right) -> (B,) squared errors. A few samples that end in another mode would lead the search astray otherwise.
    """

    def at(place):
        return squares((float(place[0]), *map(float, np.exp(place[1:]))))

    place = np.array([begin[0], *np.log(begin[1:])])
    least = at(place)
    for stride in STRIDES:
        for unit in np.diag([stride, stride / 2.0, stride / 2.0]):
            for way in (unit, -unit):
                before = place
                while abs((new := place + way)[0]) <= CENTRE and np.all(np.abs(new[1:]) <= np.log(SCALES)):
                    fall = least - (now := at(new))
                    if not (np.isfinite(now).all() and fall.mean() > SURE * fall.std(ddof=1) / np.sqrt(len(fall))):
                        break
                    least, place = now, new
                if place is not before:
                    break
    return float(place[0]), *map(float, np.exp(place[1:]))


def _padded(grid, process, steps):
    # times filled up to FINE + 1, and how many steps count: one program for all numbers of steps
    times = np.zeros(FINE + 1, np.float32)
    times[: steps + 1] = grid(process, steps)
    return times, steps


@eqx.filter_jit
def _ends(denoiser, solver, cond, keys, noise, times, steps):
    denoiser = denoiser.given(cond)

    def step(i, carry):
        x_t, memory = carry
        t, s = times[i], times[i + 1]
        x_s, memory, _ = reverse_step(
            denoiser, by(solver, t, s, x_t, memory), fold(keys, i + 1), t, s, x_t, cond=cond, remaining=steps - 1.0 - i
        )
        return x_s, memory

    memory = solver.init(DenoiserTerm(denoiser, cond, keys), times[0], times[1], noise, None)
    return jax.lax.fori_loop(0, jnp.asarray(steps), step, (noise, memory))[0]


@jax.jit
def _squares(x, y):
    """(B,) squared distances."""
    difference = jax.tree.map(jnp.subtract, x, y)
    return inner(difference, difference)
