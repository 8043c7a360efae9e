"""The sampling times that serve a model best at a given number of steps, found by descent on its own error.

    min over log-SNRs of  E |x_few - x_many|,  x_many the end of a fine path from the same noise

in the spirit of Align Your Steps (Sabour et al. 2024, arXiv:2404.14507), which bounds that error instead of differentiating it.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from sciddm import grids, solvers
from sciddm.activity import Bar
from sciddm.arithmetic import as_structs
from sciddm.denoiser import Denoiser, Guide
from sciddm.keys import one_key, whole
from sciddm.sample import sample

FINE = {"solver": "dpmpp3m", "steps": 120, "grid": "logsnr"}


class Rematerialised(Guide):
    """A denoiser whose activations are computed again in the backward pass: memory holds the states of the path alone."""

    def evaluate(self, x_t, t, cond=None):
        return jax.checkpoint(lambda x, s: self.denoiser.evaluate(x, s, cond))(x_t, t)


def distance(x, y):
    """(B,) root mean square difference over all entries of each sample."""
    squares = [
        jnp.sum((a - b) ** 2, axis=tuple(range(1, a.ndim)))
        for a, b in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True)
    ]
    return jnp.sqrt(sum(squares) / sum(leaf[0].size for leaf in jax.tree.leaves(x)) + 1e-12)


def search(
    key, denoisers: Denoiser | Sequence[Denoiser], shapes, *, steps: int, solver="unipc2", cond=None, iterations: int = 100,
    learning_rate: float = 0.05, start=None, progress: bool = False,
):  # fmt: skip
    """Log-SNRs of the `steps` - 1 inner times of the best grid, increasing, and the mean error before and after each iteration.

    Args:
        denoisers, shapes: one, or several with a batch shape each, which then share the grid. solver: deterministic.
        start: log-SNRs to begin with; None: uniform. iterations: of Adam, each a backward pass through `steps` steps a denoiser.
    Returns: (steps - 1,) numpy array for `grids.LogSNR`; (iterations + 1,) errors in units of the normalised data.
    Raises: ValueError if steps < 2, where there is no inner time, and on a solver that draws noise.
    """
    key, steps = one_key(key), whole(steps, "steps", 0)
    if steps < 2:
        raise ValueError(f"steps = {steps}: a grid of one step has no inner time to choose")
    if solvers.resolve(solver).draws_noise():
        raise ValueError(f"solver {solver!r} draws noise: a grid is searched with a deterministic one")
    denoisers, shapes = ([denoisers], [shapes]) if isinstance(denoisers, Denoiser) else (list(denoisers), list(shapes))
    problems = []
    for i, (denoiser, shape) in enumerate(zip(denoisers, shapes, strict=True)):
        like, noise_key = as_structs(shape), jax.random.fold_in(key, i)
        end, info = sample(noise_key, denoiser, like, cond=cond, return_path=True, **FINE)
        first = jax.tree.map(lambda leaf: leaf[0], info["path"])
        problems.append((Rematerialised(denoiser), like, first, end))
    low, high = grids.log_snr_bounds(denoisers[0].process)
    inner = (
        np.asarray(start, np.float32)
        if start is not None
        else np.linspace(low, high, steps + 1)[1:-1].astype(np.float32)
    )
    gaps = jnp.log(jnp.asarray(np.diff(inner, prepend=np.float32(low))))
    optimiser = optax.adam(optax.cosine_decay_schedule(learning_rate, iterations))

    def error(gaps, problem):
        denoiser, like, first, end = problem
        grid = grids.LogSNR(jnp.minimum(low + jnp.cumsum(jnp.exp(gaps)), high))
        few, _ = sample(key, denoiser, like, cond=cond, solver=solver, steps=steps, grid=grid, start=first)
        return jnp.mean(distance(few, end))

    @eqx.filter_jit
    def value_and_gradient(gaps, problem):
        return jax.value_and_grad(error)(gaps, problem)

    state, best, errors = optimiser.init(gaps), None, []
    with Bar(range(iterations + 1), desc="grid", disable=not progress) as bar:
        for _ in bar:
            pairs = [value_and_gradient(gaps, problem) for problem in problems]
            errors.append(float(np.mean([value for value, _ in pairs])))
            if best is None or errors[-1] < best[0]:
                best = errors[-1], gaps
            # Each denoiser weighs the same: the logarithm of its error is what falls.
            gradient = sum(slope / value for value, slope in pairs) / len(pairs)
            updates, state = optimiser.update(gradient, state)
            gaps = optax.apply_updates(gaps, updates)
    return np.asarray(jnp.minimum(low + jnp.cumsum(jnp.exp(best[1])), high)), np.asarray(errors)
