"""Longer than the model: window after window, each conditioned on the end of the window before, or steered to begin with it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from sciddm.arithmetic import as_structs, batch_size
from sciddm.denoiser import Denoiser
from sciddm.keys import fold, sample_keys, whole
from sciddm.sample import sample


def rollout(
    key, denoiser: Denoiser, shape, *, cond, advance: Callable, windows: int, guide: Callable | None = None, **options
):  # fmt: skip
    """Autoregressive samples: x^1 ~ p(x | cond), x^{k+1} ~ p(x | advance(x^k)).

    Exact for a chain whose windows depend on their past through `advance` and `guide` alone. Sample i depends on (key, i) alone,
    and its first windows don't change when more follow.

    Args:
        shape: of one window with its batch axis, or a pytree as for `sample`; cond: of the first window.
        advance: a batch of windows (B, ...) -> cond of the next ones, with an entry a sample; windows: how many.
        guide: a batch of windows (B, ...) -> the denoiser of the next ones; None: `denoiser` for all of them.
        options: of `sample` (solver, steps, grid, corrections).
    Returns: pytree of (B, windows, ...); info: `network_calls` in all.
    Raises: ValueError on less than one window.
    """
    windows = whole(windows, "windows")
    keys, parts, calls = sample_keys(key, batch_size(as_structs(shape))), [], 0
    for window in range(windows):
        x, info = sample(fold(keys, window), denoiser, shape, cond=cond, **options)
        parts.append(x)
        calls += info["network_calls"]
        if window + 1 < windows:
            cond, denoiser = advance(x), denoiser if guide is None else guide(x)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves, 1), *parts), {"network_calls": calls}
