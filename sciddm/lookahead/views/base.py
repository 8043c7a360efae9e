"""Views of a field: what a model of one window, chart or patch sees of the whole, P z, and what it says about the whole, P^T x.

    (P z)_{v p} = sum_k c_{v p k} z_{i_{v p k}},      average(x) = argmin_z sum_{v p} w_{v p} |x_{v p} - (P z)_{v p}|^2

For views that only pick points this is sum_v w_v P_v^T x_v / sum_v w_v P_v^T 1. For views that interpolate, that quotient is
where the least squares start from and are drawn to, so that average(project(z)) gives z back wherever views resolve it.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.lookahead.conjugate_gradient import conjugate_gradient

# Of the least squares, towards their start: without it, contradictions between views grow twentyfold where they resolve little.
RIDGE = 0.05


class Views(eqx.Module):
    """V views of a canonical field. Made by `windows`, `patches`, `sphere` and `mesh`; the arrays serve any linear view.

    Fields x: pytrees of (B, ...), whose `axes` are the canonical ones in every leaf; batches of views: (B V, ...), row b V + v,
    with the view's axes in their place.

    Args:
        shape: of the canonical axes, N points; view_shape: of one view, P points; axes: canonical axes of the batched arrays, from 1.
        indices: (V, P, k) into the flattened canonical axes; coefficients: (V, P, k), all 0 where a view sees nothing there, or None
            for views that pick one point each (k = 1).
        weights: (V, P) of `average`, or None for ones; central: (V, P), weights of the most central view of each point.
        points: (V, P, 3) positions of a view's points, or None; overlaps: of windows, ((sign, Views), ...), else None.
        fill: (canonical points, pixels, shares), (U,), (U, j) into V P, and (U, j): points that lie between the views' pixels more
            than under them take the answer interpolated there; or None.
    """

    indices: jax.Array
    shape: tuple[int, ...] = eqx.field(static=True)
    view_shape: tuple[int, ...] = eqx.field(static=True)
    axes: tuple[int, ...] = eqx.field(static=True)
    coefficients: jax.Array | None = None
    weights: jax.Array | None = None
    central: jax.Array | None = None
    points: jax.Array | None = None
    overlaps: Any = None
    fill: Any = None
    iterations: int = eqx.field(static=True, default=12)

    @property
    def count(self) -> int:
        """V, the number of views."""
        return self.indices.shape[0]

    @property
    def noise_gain(self):
        """(V,) root mean square of the standard deviation of P times white noise, 1 or less; None where views pick points: 1."""
        if self.coefficients is None:
            return None
        row, seen = jnp.sum(self.coefficients**2, -1), self._mask()
        return jnp.sqrt(jnp.sum(row, -1) / jnp.maximum(jnp.sum(seen, -1), 1))

    def weighted(self, weights) -> "Views":
        """The same views with other weights in `average`: (*view_shape) for all, or (V, *view_shape); not negative."""
        weights = jnp.broadcast_to(jnp.asarray(weights), (self.count, *self.view_shape))
        return eqx.tree_at(
            lambda v: v.weights, self, weights.reshape(self.count, -1), is_leaf=lambda leaf: leaf is None
        )

    def project(self, z):
        """P z: what each view sees. z: pytree of (B, canonical, ...). Returns (B V, view, ...), 0 where a view sees nothing.

        Raises: ValueError where a leaf does not have `shape` at `axes`.
        """
        return jax.tree.map(lambda leaf: self._row(self._gather(self._flat(leaf))), z)

    def unproject(self, x):
        """P^T x, the exact adjoint of `project`: sums over views. x: pytree of (B V, view, ...). Returns (B, canonical, ...)."""
        return jax.tree.map(lambda leaf: self._field(self._scatter(self._split(leaf))), x)

    def average(self, x, weights=None):
        """The field that views of (B V, view, ...) agree upon, in weighted least squares; see above. Linear in x, to a thousandth
        where conjugate gradients solve for it.

        Args: weights: (V, P) instead of the views' own. Returns: (B, canonical, ...).
        """
        weights = self.weights if weights is None else weights
        weights = jnp.ones(self.indices.shape[:2]) if weights is None else weights
        return jax.tree.map(lambda leaf: self._field(self._solve(self._split(leaf), weights)), x)

    def residual(self, x, z):
        """x - P z, and 0 where a view sees nothing. Like x."""

        def leaf(own, common):
            seen = _trailing(self._mask()[None], own := self._split(own))
            return self._row((own - self._gather(self._flat(common))) * seen.astype(own.dtype))

        return jax.tree.map(leaf, x, z)

    def weigh(self, x):
        """x times the weights of `average`. Like x, (B V, view, ...)."""
        if self.weights is None:
            return x
        return jax.tree.map(lambda leaf: self._row(_trailing(self.weights[None], s := self._split(leaf)) * s), x)

    def root_mean_square(self, x):
        """(B,) over all points that views see. x: (B V, view, ...)."""
        leaves = [_trailing(self._mask()[None], s := self._split(leaf)) * s**2 for leaf in jax.tree.leaves(x)]
        seen = jnp.sum(self._mask()) * sum(np.prod(leaf.shape[3:], initial=1) for leaf in leaves)
        return jnp.sqrt(sum(jnp.sum(leaf, tuple(range(1, leaf.ndim))) for leaf in leaves) / seen)

    def _solve(self, x, weights):
        weighted = _trailing(weights[None].astype(x.dtype), x)
        total = self._scatter(weights[None].astype(x.dtype))
        inverse = jnp.where(total > 0, 1.0 / jnp.where(total > 0, total, 1.0), 0.0)
        start = self._scatter(weighted * x) * _trailing(inverse, x, 1)
        if self.coefficients is None:
            return start
        if self.fill is not None:
            between, pixels, shares = self.fill
            shares = shares * weights.reshape(-1)[pixels]
            shares = (shares / jnp.maximum(jnp.sum(shares, -1, keepdims=True), 1e-30))[None].astype(x.dtype)
            known = x.reshape(x.shape[0], -1, *x.shape[3:])[:, pixels]
            start = start.at[:, between].set(jnp.sum(known * _trailing(shares, known), 2))
        # Scaled to eigenvalues in [0, 1): smooth fields come first, what no view resolves never comes, and points that are
        # hardly touched, of small total, stay near the start instead of bearing their neighbours' misfit.
        root = _trailing(jax.lax.rsqrt(total + jnp.mean(weights).astype(x.dtype)), x, 1)
        missing = root * self._scatter(weighted * (x - self._gather(start)))

        def system(y):
            return root * self._scatter(weighted * self._gather(root * y)) + RIDGE * y

        def solve(matvec, b):
            return conjugate_gradient(matvec, b, self.iterations, 1e-5)

        return start + root * jax.lax.custom_linear_solve(system, missing, solve, symmetric=True)

    def _mask(self):
        if self.coefficients is None:
            return jnp.ones(self.indices.shape[:2], bool)
        return jnp.any(self.coefficients != 0, -1)

    def _gather(self, z):
        # (B, N, ...) -> (B, V, P, ...), one of the k points at a time: no array of k times the views
        if self.coefficients is None:
            return z[:, self.indices[..., 0]]
        terms = (z[:, self.indices[..., k]] for k in range(self.indices.shape[-1]))
        return sum(
            _trailing(c[None].astype(term.dtype), term) * term for c, term in zip(self._columns(), terms, strict=True)
        )

    def _scatter(self, x):
        # (B, V, P, ...) -> (B, N, ...)
        out = jnp.zeros((x.shape[0], int(np.prod(self.shape)), *x.shape[3:]), x.dtype)
        if self.coefficients is None:
            return out.at[:, self.indices[..., 0]].add(x)
        for k, c in enumerate(self._columns()):
            out = out.at[:, self.indices[..., k]].add(_trailing(c[None].astype(x.dtype), x) * x)
        return out

    def _columns(self):
        return [self.coefficients[..., k] for k in range(self.coefficients.shape[-1])]

    @property
    def _view_axes(self):
        same = len(self.view_shape) == len(self.shape)
        return self.axes if same else tuple(range(self.axes[0], self.axes[0] + len(self.view_shape)))

    def _flat(self, z):
        if z.ndim <= max(self.axes) or tuple(z.shape[a] for a in self.axes) != self.shape:
            raise ValueError(f"z of shape {z.shape}: expected {self.shape} at axes {self.axes}, behind a batch axis")
        z = jnp.moveaxis(z, self.axes, range(1, len(self.axes) + 1))
        return z.reshape(z.shape[0], -1, *z.shape[len(self.axes) + 1 :])

    def _field(self, flat):
        z = flat.reshape(flat.shape[0], *self.shape, *flat.shape[2:])
        return jnp.moveaxis(z, range(1, len(self.axes) + 1), self.axes)

    def _split(self, x):
        axes = self._view_axes
        if x.ndim <= max(axes) or tuple(x.shape[a] for a in axes) != self.view_shape or x.shape[0] % self.count:
            raise ValueError(
                f"x of shape {x.shape}: expected a multiple of {self.count} rows, one a view, and {self.view_shape} at axes {axes}"
            )
        x = jnp.moveaxis(x, axes, range(1, len(axes) + 1))
        return x.reshape(-1, self.count, self.indices.shape[1], *x.shape[len(axes) + 1 :])

    def _row(self, split):
        x = split.reshape(-1, *self.view_shape, *split.shape[3:])
        axes = self._view_axes
        return jnp.moveaxis(x, range(1, len(axes) + 1), axes)


def interpolating(coefficients, **fields) -> Views:
    """Views from numpy arrays, coefficients in the default precision."""
    fields = {
        name: v if isinstance(v, tuple) and name != "fill" else jax.tree.map(jnp.asarray, v)
        for name, v in fields.items()
    }
    return Views(coefficients=jnp.asarray(coefficients, jnp.result_type(float)), **fields)


def nearest_is_own(points, centres, floor=0.05):
    """(V, P): 1 where a view's own centre is the nearest, and `floor` elsewhere, for points that no central pixel touches.

    points: (V, P, 3); centres: (V, 3), numpy arrays.
    """
    squared = np.sum((points[:, :, None] - centres) ** 2, -1)
    own = np.take_along_axis(squared, np.arange(len(centres))[:, None, None], -1)[..., 0]
    return np.where(own <= squared.min(-1) * (1 + 1e-9) + 1e-12, 1.0, floor)


def _trailing(weights, x, skip=0):
    """`weights` with axes added at the end until it has those of x; `skip` of x's leading axes are gone in both."""
    return weights.reshape(weights.shape + (1,) * (x.ndim - skip - weights.ndim))
