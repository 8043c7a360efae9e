"""How uncertain x_0 is at x_t: Cov[x_0 | x_t] from the denoiser's own Jacobian, in a form that steps draw from and weigh by.

    C = Cov[x_0 | x_t] = (sigma^2/alpha) Sigma J^T,   J = d x0_hat / d x_t   (second-order Tweedie; Rozet et al. 2024, arXiv:2405.13712)

Sigma is the noise law's covariance, and C is kept by what it does to noise of that law: T = C Sigma^+ has eigenvalues c, the variances
beside the noise's, and any f(T) is as cheap as T. What is asked is the square root of std^2 Sigma + share^2 C, its inverse and determinant.

    exact       all axes, d vector-Jacobian products; a network's Jacobian is made symmetric, and negative variances are none
    diagonal    the variance of each entry: d products, or the mean of z * (C z) over a few probes z of random signs (Bekas et al. 2007)
    low_rank    `probes` axes of a randomised range finder (Halko et al. 2011, arXiv:0909.4061) and one variance for all others
"""

import abc
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from sciddm.arithmetic import batch_size, cast, divide, expand, inner, widen
from sciddm.errors import Refusal
from sciddm.keys import fold
from sciddm.lapack import each
from sciddm.noise import ByCondition, Masked, Noise, PerLeaf, White
from sciddm.traces import AT_ONCE

# No variance is below this share of that of x_0 under a unit prior: an exactly known direction has no density.
LEAST = 1e-4
REST = 2  # probes of the variance that is left beside a low rank


class Spread(eqx.Module):
    """C of a batch. f: a function of variances c, (B, ...), elementwise; u: pytree of (B, ...) in the support of the noise law."""

    @abc.abstractmethod
    def apply(self, noise: Noise, f: Callable, u):
        """f(T) u, like u: of f(c) = c and u = Sigma v it is C v; of f(c) = sqrt(c) and noise u a draw of N(0, C)."""

    @abc.abstractmethod
    def log_determinant(self, noise: Noise, f: Callable):
        """(B,) log det f(T) on the support."""


class Axes(Spread):
    """T = sum_i c_i g_i g_i^T Sigma^+ + rest (1 - sum_i g_i g_i^T Sigma^+), g_i^T Sigma^+ g_j = 1 where i = j, else 0.

    axes: (B, r, d), flat; values: c_i, (B, r); there: (B, r), 1 at axes in the support, others are 0; rest: (B,), None: no axis is left;
    size: (B,), dimension of the support.
    """

    axes: jax.Array
    values: jax.Array
    there: jax.Array
    rest: jax.Array | None
    size: jax.Array

    def apply(self, noise, f, u):
        flat, unflat = _flatten(u)
        along = jnp.einsum("brd,bd->br", self.axes, _flatten(noise.each("precision", u))[0])
        if self.rest is None:
            return unflat(jnp.einsum("br,brd->bd", f(self.values) * along, self.axes))
        off = flat - jnp.einsum("br,brd->bd", along, self.axes)
        return unflat(f(self.rest)[:, None] * off + jnp.einsum("br,brd->bd", f(self.values) * along, self.axes))

    def log_determinant(self, noise, f):
        known = jnp.sum(jnp.where(self.there > 0, jnp.log(f(self.values)), 0.0), -1)
        if self.rest is None:
            return known
        return known + (self.size - jnp.sum(self.there, -1)) * jnp.log(f(self.rest))


class Entries(Spread):
    """C diagonal in the entries of x, which the noise law draws independently, Sigma of 0 and 1. values: like x."""

    values: Any

    def apply(self, noise, f, u):
        return jax.tree.map(lambda c, leaf: (f(c) * leaf).astype(leaf.dtype), self.values, u)

    def log_determinant(self, noise, f):
        there = noise.each("covariance", jax.tree.map(jnp.ones_like, self.values))
        return inner(jax.tree.map(lambda c: jnp.log(f(c)), self.values), there)


def spread_of(kind: str, process, vjp, x_t, t, keys, probes: int | None = None) -> Spread:
    """Cov[x_0 | x_t] at time t, where alpha > 0.

    Args: kind: a key of `KINDS`; vjp: of the denoiser at x_t, u -> J^T u; keys: (B,), of the probes; probes: see above, None: all
        entries of "diagonal", 8 axes of "low_rank".
    Raises: Refusal of a diagonal where the noise law makes entries depend on each other, or of a denoiser without a Jacobian.
    """
    alpha, sigma = process.alpha(t), process.sigma(t)
    least = LEAST * sigma**2 / (alpha**2 + sigma**2)

    def product(u):
        try:
            image = process.noise.each("covariance", vjp(u))
        except ValueError as error:
            if "Reverse-mode" not in str(error):
                raise
            raise Refusal(
                f"covariance = {kind!r} takes the Jacobian of the denoiser, and that of a guide that searches or solves is not to be had: "
                "take covariance=None, or particles.smc, which steers by itself"
            ) from error
        # a guide may have a kink, where nothing is known
        return jax.tree.map(lambda leaf: jnp.where(jnp.isfinite(leaf), expand(sigma**2 / alpha, leaf) * leaf, 0.0), image)

    return KINDS[kind](process.noise, product, x_t, least, fold(keys, jnp.uint32(2**31 + 2**16)), probes)


def _exact(noise, product, x_t, least, keys, probes):
    flat = _flatten(x_t)[0]
    size, d, one = noise.each("dimension", x_t), flat.shape[1], jnp.eye(flat.shape[1], dtype=flat.dtype)
    units = jnp.broadcast_to(one[:, None], (d, batch_size(x_t), d))
    covariance = _symmetric(_images(product, x_t, units))
    if isinstance(noise, White):
        values, vectors = each(jnp.linalg.eigh, covariance)
        axes, there = jnp.swapaxes(vectors, 1, 2), jnp.ones_like(values)
    else:
        # Sigma + Q = R R^T, Q the projector off the support: whitened by R, with what is off the support below all else
        support = _images(lambda u: noise.each("project", u), x_t, units)
        off = one - support
        root = each(jnp.linalg.cholesky, _symmetric(_images(lambda u: noise.each("covariance", u), x_t, units)) + off)

        def whitened(matrix):
            solve = partial(jax.scipy.linalg.solve_triangular, lower=True)
            return each(lambda root, matrix: solve(root, solve(root, matrix).T), root, matrix)

        seen = whitened(covariance)
        below = (1.0 + jnp.sum(jnp.abs(seen), (1, 2)))[:, None, None]
        values, vectors = each(jnp.linalg.eigh, _symmetric(seen - below * whitened(off)))
        there = (jnp.arange(d) >= d - size[:, None]).astype(values.dtype)
        axes = jnp.einsum("bij,bjr->bri", root, vectors) * there[..., None]
    return Axes(axes, jnp.maximum(values, least), there, None, size)


def _diagonal(noise, product, x_t, least, keys, probes):
    if not _entries_apart(noise):
        raise Refusal(
            f"covariance = 'diagonal' wants noise whose entries are independent, not {type(noise).__name__}: take 'exact' or 'low_rank'"
        )
    flat, unflat = _flatten(x_t)
    d = flat.shape[1]
    if probes is None:

        def entry(i):
            unit = jnp.zeros_like(flat).at[:, i].set(1.0)
            return _flatten(product(unflat(unit)))[0][:, i]

        found = jnp.moveaxis(jax.lax.map(entry, jnp.arange(d), batch_size=AT_ONCE), 0, 1)
    else:
        signs = _probes(noise, keys, x_t, probes)
        found = jnp.mean(jnp.swapaxes(signs, 0, 1) * _images(product, x_t, signs), 1)
    return Entries(unflat(jnp.maximum(found, least)))


def _low_rank(noise, product, x_t, least, keys, probes):
    size = noise.each("dimension", x_t)
    rank, d = probes or 8, _flatten(x_t)[0].shape[1]
    if rank >= d:
        return _exact(noise, product, x_t, least, keys, probes)
    axes = _orthonormal(noise, x_t, _images(product, x_t, _probes(noise, keys, x_t, rank, signs=False)))
    dual = _dual(noise, x_t, axes)
    images = _images(product, x_t, jnp.swapaxes(dual, 0, 1))
    values, vectors = each(jnp.linalg.eigh, _symmetric(jnp.einsum("brd,bsd->brs", dual, images)))
    axes, dual = (jnp.einsum("bri,brd->bid", vectors, rows) for rows in (axes, dual))
    there = (jnp.einsum("bid,bid->bi", axes, dual) > 0.5).astype(values.dtype)
    # the mean variance off these axes, z^T C z / z^T Sigma z of probes z without their part along them
    others = _probes(noise, fold(keys, jnp.uint32(2**16)), x_t, REST)
    others = others - jnp.einsum("brd,nbr->nbd", dual, jnp.einsum("brd,nbd->nbr", axes, others))
    left, whole = (
        jnp.einsum("nbd,bnd->b", others, _images(image, x_t, others)) for image in (product, lambda u: noise.each("covariance", u))
    )
    rest = jnp.maximum(divide(left, whole), least)
    return Axes(axes, jnp.maximum(values, least), there, rest, size)


KINDS: dict[str, Callable] = {"exact": _exact, "diagonal": _diagonal, "low_rank": _low_rank}


def _orthonormal(noise, like, rows):
    """(B, r, d) axes of the span of the rows, orthonormal by Sigma^+; zeros where the rows depend on each other."""
    for _ in range(2):  # squared once, a condition number loses half of the digits
        length = jnp.sqrt(jnp.einsum("brd,brd->br", rows, _dual(noise, like, rows)))[..., None]
        rows = jnp.where(length > 0, rows / jnp.where(length > 0, length, 1.0), 0.0)
        values, vectors = each(jnp.linalg.eigh, _symmetric(jnp.einsum("brd,bsd->brs", rows, _dual(noise, like, rows))))
        kept = values > 1e-5 * values[:, -1:]
        scale = jnp.where(kept, jax.lax.rsqrt(jnp.where(kept, values, 1.0)), 0.0)
        rows = scale[..., None] * jnp.einsum("bri,brd->bid", vectors, rows)
    return rows


def _dual(noise, like, rows):
    # (B, r, d) Sigma^+ g of each row
    return rows if isinstance(noise, White) else _images(lambda u: noise.each("precision", u), like, jnp.swapaxes(rows, 0, 1))


def _probes(noise, keys, like, count, signs=True):
    """(count, B, d) z with E[z z^T] = Sigma^+; signs: of random signs where entries are independent, else normal."""
    _, unflat = _flatten(like)

    def one(j):
        mine = fold(keys, j)
        if signs and _entries_apart(noise):
            shape = _flatten(like)[0].shape[1:]
            z = unflat(jax.vmap(lambda key: jax.random.rademacher(key, shape, jnp.result_type(float)))(mine))
            return _flatten(noise.each("project", z))[0]
        return _flatten(noise.each("precision", noise.sample_batch(mine, like)))[0]

    return jax.vmap(one)(jnp.arange(count, dtype=jnp.uint32))


def _entries_apart(noise) -> bool:
    # whether Sigma is diagonal, of 0 and 1
    if isinstance(noise, PerLeaf):
        return all(_entries_apart(law) for law in jax.tree.leaves(noise.laws, is_leaf=lambda node: isinstance(node, Noise)))
    if isinstance(noise, (Masked, ByCondition)):
        return _entries_apart(noise.law)
    return isinstance(noise, White)


def _images(product, like, rows):
    """(B, n, d) of rows (n, B, d), a few at a time."""
    _, unflat = _flatten(like)
    return jnp.moveaxis(jax.lax.map(lambda u: _flatten(product(unflat(u)))[0], rows, batch_size=AT_ONCE), 0, 1)


def _symmetric(matrix):
    return 0.5 * (matrix + jnp.swapaxes(matrix, 1, 2))


def _flatten(x):
    """(B, d) of a pytree of (B, ...), in at least float32, and the way back."""
    wide = widen(x)
    _, unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], wide))
    return jax.vmap(lambda one: ravel_pytree(one)[0])(wide), lambda flat: cast(jax.vmap(unravel)(flat), x)
