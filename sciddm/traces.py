"""The trace of a denoiser's Jacobian on the noise law's support, from backward passes alone: tr(P J P), P the projection.

    exact        sum over coordinates, v = P e_i:  sum_i v^T J v
    hutchinson   mean over probes, v = P r, r of random signs:  E[v^T J v] = tr(P J P)      (Hutchinson 1990)
    hutch++      the same, but exactly on the span of a few J^T v, which is where most of the trace is
                 (Meyer et al. 2021, algorithm 1, arXiv:2010.09649; the probes' length as in Epperly et al. 2024, arXiv:2301.07825)

All are unbiased for any J, symmetric or not. Random signs are exact where J is diagonal.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from sciddm.lapack import each

# Backward passes made at once; the rest wait, so that memory does not grow with the dimension.
AT_ONCE = 16


class Trace(NamedTuple):
    """estimate(transpose, project, dim, x, probes) -> (B,), and how many backward passes and random probes that takes.

    transpose: v -> J^T v; project: v -> P v; both on pytrees like x (B, ...); dim: (B,) of the support.
    probes: pytree of (number, B, ...), projected.
    passes(entries of one x, probes): backward passes; draws(probes): normal ones and random signs to draw.
    """

    estimate: Callable
    passes: Callable
    draws: Callable


def draw_probes(keys, draws, project, x):
    """(number, B, ...) projected probes, draws = (normal ones, random signs); probe j of sample i depends on keys[i] and j alone."""

    def one(kind, j, key, like):
        flat, unravel = ravel_pytree(like)
        return unravel(kind(jax.random.fold_in(key, j), flat.shape, flat.dtype))

    normal, signs = (
        jax.vmap(lambda j, kind=kind: project(jax.vmap(partial(one, kind, j))(keys, x)))(numbers)
        for kind, numbers in zip(
            (jax.random.normal, jax.random.rademacher), jnp.split(jnp.arange(sum(draws)), draws[:1]), strict=True
        )
    )
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), normal, signs)


def _exact(transpose, project, dim, x, probes):
    flat, unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], x))

    def coordinate(i):
        axis = unravel(jnp.zeros_like(flat).at[i].set(1.0))
        v = project(jax.tree.map(lambda leaf, all: jnp.broadcast_to(leaf, all.shape), axis, x))
        return _dot(v, transpose(v))

    return jax.lax.map(coordinate, jnp.arange(flat.size), batch_size=AT_ONCE).sum(0)


def _hutchinson(transpose, project, dim, x, probes):
    return jax.lax.map(lambda v: _dot(v, transpose(v)), probes, batch_size=AT_ONCE).mean(0)


def _hutch_plus_plus(transpose, project, dim, x, probes):
    number = jax.tree.leaves(probes)[0].shape[0]
    sketched, left = jax.tree.map(lambda p: p[: number // 2], probes), jax.tree.map(lambda p: p[number // 2 :], probes)
    images = jax.lax.map(lambda v: project(transpose(v)), sketched, batch_size=AT_ONCE)
    # (B, columns, d), orthonormal; fewer columns than probes where d is smaller
    span = each(jnp.linalg.qr, _flat(images).transpose(1, 2, 0))[0].transpose(2, 0, 1)
    # What the images do not span, where they are few, may point off the support.
    axes = jax.vmap(lambda q: project(_unflat(q, x)))(span)
    inside = jax.lax.map(lambda v: _dot(v, transpose(v)), axes, batch_size=AT_ONCE).sum(0)
    # Normal probes of what is left have a uniform direction; at the length of their expectation they add no spread of their own.
    outside = _flat(left) - jnp.einsum("kbd,kbe,jbe->jbd", span, span, _flat(left))
    outside = jax.vmap(lambda v: project(_unflat(v, x)))(outside)
    freedom = jnp.maximum(dim - jax.vmap(_dot)(axes, axes).sum(0), 0.0)
    length = jnp.maximum(jax.vmap(_dot)(outside, outside), jnp.finfo(span.dtype).tiny)
    rest = freedom / length * jax.lax.map(lambda v: _dot(v, transpose(v)), outside, batch_size=AT_ONCE)
    return inside + rest.mean(0)


TRACES: dict[str, Trace] = {
    "exact": Trace(_exact, lambda size, probes: size, lambda probes: (0, 0)),
    "hutchinson": Trace(_hutchinson, lambda size, probes: probes, lambda probes: (0, probes)),
    # A third of the passes finds the span, a third takes the trace on it, a third estimates what is left. Its probes are normal:
    # two vectors of signs in few dimensions may be parallel, and then rounding would choose the span.
    "hutch++": Trace(_hutch_plus_plus, lambda size, probes: probes // 3 * 3, lambda probes: (probes // 3 * 2, 0)),
}


def _dot(a, b):
    products = jax.tree.map(lambda u, v: jnp.sum(u * v, axis=tuple(range(1, u.ndim))), a, b)
    return sum(jax.tree.leaves(products))


def _flat(trees):
    """(n, B, ...) pytree as (n, B, d)."""
    return jax.vmap(jax.vmap(lambda one: ravel_pytree(one)[0]))(trees)


def _unflat(flat, x):
    """(B, d) as a pytree like x."""
    return jax.vmap(ravel_pytree(jax.tree.map(lambda leaf: leaf[0], x))[1])(flat)
