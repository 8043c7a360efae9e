"""Rigid motion: the rotation and shift that lay one set of points nearest upon another.

min over rotations R and shifts c of sum_i w_i |R p_i + c - q_i|^2:  R = V diag(1, 1, det(V U^T)) U^T of the singular value
decomposition U S V^T of sum_i w_i (p_i - mean p)(q_i - mean q)^T                                    (Kabsch 1976)
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.lapack import each
from sciddm.lookahead.constraints import CentreOfMass


def superpose(points, onto, weights=None):
    """`points` turned and shifted, never mirrored, to lie nearest upon `onto`.

    Args: points: (B, m, 3), or (m, 3) for all; onto: (B, m, 3); weights: (m,), None: all the same. Returns: (B, m, 3).
    """
    share = jnp.ones(onto.shape[-2]) if weights is None else jnp.asarray(weights)
    share = (share / share.sum())[:, None]
    points = jnp.broadcast_to(points, onto.shape)
    middle, target = (jnp.sum(share * p, -2, keepdims=True) for p in (points, onto))
    covariance = jnp.swapaxes(share * (points - middle), -1, -2) @ (onto - target)
    u, _, vt = each(jnp.linalg.svd, covariance)
    handed = jnp.sign(jnp.linalg.det(u @ vt))
    turn = (u * jnp.stack([jnp.ones_like(handed), jnp.ones_like(handed), handed], -1)[..., None, :]) @ vt
    return (points - middle) @ turn + target


class Rigid(eqx.Module):
    """A constraint for `constrain`: some points of a leaf of (B, n, 3) keep their places among each other, wherever they are.

    x is a dictionary. points: (m, 3), where they lie; indices: (m,), which of the leaf `name` they are; fixed: name -> value (m, f) of
    leaves of (B, n, f), or (m, m, f) of leaves of (B, n, n, f), that they keep besides; mask: (n,) of points that are there, whose centre
    of mass is 0.
    """

    points: jax.Array
    indices: jax.Array
    fixed: dict
    mask: jax.Array
    name: str = eqx.field(static=True, default="positions")

    def __call__(self, x):
        at = self.indices
        kept = superpose(self.points, x[self.name][:, at])
        out = x | {self.name: CentreOfMass(self.mask)(x[self.name].at[:, at].set(kept))}
        for name, value in self.fixed.items():
            place = (slice(None), at) if x[name].ndim == 3 else (slice(None), at[:, None], at[None])
            out[name] = x[name].at[place].set(value)
        return out
