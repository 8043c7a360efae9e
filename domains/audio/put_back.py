"""What is certain of a sound put back into an answer, such that the answer goes on smoothly where nothing is certain."""

import jax
import jax.numpy as jnp

TURNS = 5  # of conjugate gradients in a network; sampling takes more
LEAST = 1e-20  # of a squared norm: less is zero


def distance(known):
    """(B, n) of 0 and 1 -> (B, n) samples to the nearest 1, as floating point; infinity where there is none."""
    at, none = jnp.arange(known.shape[1]), 2 * known.shape[1]
    before = jax.lax.cummax(jnp.where(known > 0, at, -none), axis=1)
    after = jax.lax.cummin(jnp.where(known > 0, at, 2 * none), axis=1, reverse=True)
    far = jnp.minimum(at - before, after - at)
    return jnp.where(far >= none, jnp.inf, far.astype(known.dtype))


def continued(residual, known, inverse, turns: int = TURNS):
    """Delta, which is `residual` where `known` is 1, and elsewhere what makes the normalised coefficients of all of it least:

        min |W^-1 Delta|^2,   Delta_k = residual_k   <=>   Q_uu Delta_u = -Q_uk residual_k,   Q = W^-T W^-1

    That is the projection that is orthogonal in the space of the noise, and the mean of noise at what is unknown given that at what is
    known. A replacement of samples alone would leave a click at every border: loud in the high frequencies, where sounds are faint. By
    conjugate gradients, of which the first turns take the clicks away; gradients go through residual alone.

    Args: residual, known: (B, ...), the latter of 0 and 1; inverse: the linear map W^-1 of both to normalised coefficients.
    """

    def gradient(delta):
        z, back = jax.vjp(inverse, delta)
        return (1.0 - known) * back(z)[0]

    def product(a, b):
        return jnp.sum(a * b, axis=tuple(range(1, a.ndim)), keepdims=True)

    def turn(state, _):
        delta, left, along, size = state
        ahead = gradient(along)
        step = jax.lax.stop_gradient(size / jnp.maximum(product(along, ahead), LEAST))
        delta, left = delta + step * along, left - step * ahead
        new = product(left, left)
        return (delta, left, left + jax.lax.stop_gradient(new / jnp.maximum(size, LEAST)) * along, new), None

    delta = known * residual
    left = -gradient(delta)
    (delta, *_), _ = jax.lax.scan(turn, (delta, left, left, product(left, left)), None, length=turns)
    return delta
