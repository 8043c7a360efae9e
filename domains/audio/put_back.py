"""What is certain of a sound put back into an answer, such that the answer goes on smoothly where nothing is certain."""

import jax
import jax.numpy as jnp

TURNS = 4  # of conjugate gradients in a network; sampling takes more
LEAST = 1e-20  # of a squared norm: less is zero


def distance(known):
    """(B, n) of 0 and 1 -> (B, n) samples to the nearest 1, as floating point; infinity where there is none."""
    at, none = jnp.arange(known.shape[1]), 2 * known.shape[1]
    before = jax.lax.cummax(jnp.where(known > 0, at, -none), axis=1)
    after = jax.lax.cummin(jnp.where(known > 0, at, 2 * none), axis=1, reverse=True)
    far = jnp.minimum(at - before, after - at)
    return jnp.where(far >= none, jnp.inf, far.astype(known.dtype))


def continued(residual, known, wave, inverse, turns: int = TURNS):
    """Delta, which is `residual` where `known` is 1, and elsewhere what makes the normalised coefficients of all of it least:

        min |W^-1 Delta|^2,   Delta_k = residual_k   <=>   Q_uu Delta_u = -Q_uk residual_k,   Q = W^-T W^-1

    That is the projection that is orthogonal in the space of the noise, and the mean of noise at what is unknown given that at what is
    known. A replacement of samples alone would leave a click at every border: loud in the high frequencies, where sounds are faint. By
    conjugate gradients, preconditioned by the covariance (W W^T)_uu, which is the inverse of Q_uu but for the borders: Q alone spreads
    over the square of the range of the spectrum, a million and more. Gradients go through residual alone.

    Args: residual, known: (B, ...), the latter of 0 and 1; wave: the linear map W of normalised coefficients to both; inverse: W^-1.
    """

    def gradient(delta):
        z, back = jax.vjp(inverse, delta)
        return (1.0 - known) * back(z)[0]

    def conditioned(left):
        (z,) = jax.linear_transpose(wave, jax.eval_shape(inverse, left))(left)
        return (1.0 - known) * wave(z)

    def product(a, b):
        return jnp.sum(a * b, axis=tuple(range(1, a.ndim)), keepdims=True)

    def turn(state, _):
        delta, left, along, size = state
        ahead = gradient(along)
        step = jax.lax.stop_gradient(size / jnp.maximum(product(along, ahead), LEAST))
        delta, left = delta + step * along, left - step * ahead
        towards = conditioned(left)
        new = product(left, towards)
        return (delta, left, towards + jax.lax.stop_gradient(new / jnp.maximum(size, LEAST)) * along, new), None

    delta = known * residual
    left = -gradient(delta)
    along = conditioned(left)
    (delta, *_), _ = jax.lax.scan(turn, (delta, left, along, product(left, along)), None, length=turns)
    return delta
