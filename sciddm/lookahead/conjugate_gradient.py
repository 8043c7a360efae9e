"""Conjugate gradients on a batch of systems at once, each with its own step sizes, so that no sample sees its neighbours."""

import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine, expand, inner

THROWN_OFF = 10.0  # residuals of a search that is right grow too, by less, before they fall


def conjugate_gradient(system, b, iterations: int, tolerance: float = 1e-4, diagonal=0.0):
    """Solve diagonal x + system(x) = b for each sample: symmetric positive, matrix free (Hestenes & Stiefel 1952).

    Stops after `iterations`, or as soon as |b - system(x)| <= tolerance |b| for every sample; a sample that has arrived
    stays where it is while others go on, so the answer does not depend on the batch.

    A network's Jacobian is only nearly symmetric and positive: a sample whose search meets a direction of negative curvature
    of `system` ends there, before the inverse of a wrong sign throws it far off; and one that in the end leaves many times what no
    solution would, |b - system(x)| > THROWN_OFF |b|, has the iterate that left least.

    Args: system: pytree (B, ...) -> like it, acting on each sample alone; b, diagonal: pytrees of (B, ...), diagonal >= 0.
    Returns: x like b.
    """
    bound = tolerance**2 * inner(b, b)
    if jax.tree.structure(diagonal) != jax.tree.structure(b):
        diagonal = jax.tree.map(lambda _: diagonal, b)

    def unfinished(state):
        count, _, _, _, rho, _, _ = state
        return (count < iterations) & jnp.any(rho > bound)

    def step(state):
        count, x, r, p, rho, best, least = state
        going = rho > bound
        image, ridge = system(p), jax.tree.map(jnp.multiply, diagonal, p)
        going = going & (inner(p, image) >= 0)
        image = combine(1.0, image, 1.0, ridge)
        curvature = inner(p, image)
        going = going & (curvature > 0)
        length = jnp.where(going, rho / jnp.where(going, curvature, 1.0), 0.0)
        x, r = combine(1.0, x, length, p), combine(1.0, r, -length, image)
        left = inner(r, r)
        best, least = where(left < least, x, best), jnp.minimum(left, least)
        rho_next = jnp.where(going, left, 0.0)
        p = combine(1.0, r, rho_next / jnp.where(rho > 0, rho, 1.0), p)
        return count + 1, x, r, p, rho_next, best, least

    none = jax.tree.map(jnp.zeros_like, b)
    _, x, r, _, _, best, _ = jax.lax.while_loop(unfinished, step, (0, none, b, b, inner(b, b), none, inner(b, b)))
    return where(inner(r, r) <= THROWN_OFF**2 * inner(b, b), x, best)  # so of what is NaN, too


def where(some, x, y):
    """x of the samples where `some` (B,) is true, else y."""
    return jax.tree.map(lambda a, b: jnp.where(expand(some, a), a, b), x, y)
