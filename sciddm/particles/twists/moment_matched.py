"""The likelihood of y under a Gaussian around x0_hat, normalised: what makes particles nearly exact.

    h_t = N(y; A x0_hat, R + A C A^T),   x0_hat' = x0_hat + C A^T (R + A C A^T)^-1 (y - A x0_hat)

C is the denoiser's own Cov[x_0 | x_t] = (sigma^2/alpha) Sigma J^T ("mmps"; TMPD, Boys et al. 2023, arXiv:2310.06721), or the guess
r_t^2 Sigma of pigdm in S = R + A C A^T. With few values seen S is built, m vector-Jacobian products a particle; with more, solves take
conjugate gradients and log det S Lanczos quadrature from one fixed probe (Ubaru et al. 2017), which is a function of x_t like any other.

The step goes to x0_hat' with the model's own width; where the solver's step knows C itself, and values are few, it is p(x_s | x_t, y).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from sciddm.arithmetic import batch_size, combine, expand, inner, root_mean_square
from sciddm.denoiser import linearize
from sciddm.lapack import each
from sciddm.lookahead.conjugate_gradient import conjugate_gradient
from sciddm.lookahead.gradients import gain, guidance_norm
from sciddm.lookahead.observe.observation import Observation
from sciddm.particles.twists.adapted import given_observation
from sciddm.particles.twists.base import Look, Twist
from sciddm.transition import WideTransition

LOG_2PI = float(np.log(2.0 * np.pi))


class MomentMatched(Twist):
    """observation: its variance positive; prior_variance: v of pigdm's r_t^2 = v sigma^2 / (v alpha^2 + sigma^2), None for C itself.

    dense: values up to which S is built; iterations: of conjugate gradients and Lanczos beyond.
    """

    observation: Observation
    prior_variance: float | None = None
    dense: int = eqx.field(static=True, default=16)
    iterations: int = eqx.field(static=True, default=8)

    def look(self, denoiser, x_t, t, cond, index, memory):
        process = denoiser.process
        answer, vjp = linearize(denoiser, x_t, t, cond)
        x0_hat = answer.x0_hat
        prediction, adjoint = self.observation.linearize(x0_hat)
        forward = self.observation.forward(x0_hat)
        residual, variance = self.observation.residual_from(prediction), self.observation.variance(prediction)

        def scaled(factor, u):
            return jax.tree.map(lambda leaf: expand(factor, leaf) * leaf, process.noise.each("covariance", u))

        def covariance(u):
            return scaled(gain(process, t), vjp(u))

        def guess(u):
            alpha, sigma, v = process.alpha(t), process.sigma(t), self.prior_variance
            return covariance(u) if v is None else scaled(v * sigma**2 / (v * alpha**2 + sigma**2), u)

        # Whitened by R: S = R^(1/2) (I + W) R^(1/2), W = R^(-1/2) A C A^T R^(-1/2)
        std = jax.tree.map(lambda v, p: jnp.sqrt(jnp.broadcast_to(v, p.shape)), variance, prediction)
        white = jax.tree.map(jnp.divide, residual, std)

        def system(u):
            return jax.tree.map(jnp.divide, forward(guess(adjoint(jax.tree.map(jnp.divide, u, std)))), std)

        count = _values(prediction)
        solve = _dense if count <= self.dense else _iterative
        solution, quadratic, log_determinant = solve(system, white, self.iterations)
        steered = combine(1.0, x0_hat, 1.0, covariance(adjoint(jax.tree.map(jnp.divide, solution, std))))
        log_std = sum(jnp.sum(jnp.log(leaf), axis=tuple(range(1, leaf.ndim))) for leaf in jax.tree.leaves(std))
        log_h = -0.5 * (quadratic + log_determinant + count * LOG_2PI) - log_std
        norm = guidance_norm(process, x_t, t, x0_hat, steered)
        return Look(
            x0_hat, steered, log_h, answer.report | {"residual": root_mean_square(residual), "guidance_norm": norm}
        ), memory

    def propose(self, look, model, proposal, keys, level):
        if isinstance(model, WideTransition) and self.prior_variance is None:
            if _values(jax.eval_shape(self.observation.operator, look.x0_hat)) <= self.dense:
                return given_observation(self.observation, look.x0_hat, model, keys)
        return super().propose(look, model, proposal, keys, level)


def _values(prediction) -> int:
    """Values of one prediction."""
    return sum(leaf.size for leaf in jax.tree.leaves(prediction)) // batch_size(prediction)


def _dense(system, b, iterations):
    """(I + W)^-1 b, b^T (I + W)^-1 b and log det(I + W), (K,) each, W built column by column and made symmetric and positive."""
    one = jax.tree.map(lambda leaf: leaf[0], b)
    flat, unravel = ravel_pytree(one)

    def rows(tree):
        return jax.vmap(lambda x: ravel_pytree(x)[0])(tree)

    def column(unit):
        return rows(system(jax.tree.map(lambda leaf, like: jnp.broadcast_to(leaf, like.shape), unravel(unit), b)))

    matrix = jnp.moveaxis(jax.vmap(column)(jnp.eye(flat.size, dtype=flat.dtype)), 0, -1)
    # A network's Jacobian is only nearly symmetric and positive: what is negative is no covariance.
    values, vectors = each(jnp.linalg.eigh, 0.5 * (matrix + jnp.swapaxes(matrix, 1, 2)))
    values = 1.0 + jnp.maximum(values, 0.0)
    rotated = jnp.einsum("kij,ki->kj", vectors, rows(b))
    solution = jnp.einsum("kij,kj->ki", vectors, rotated / values)
    return jax.vmap(unravel)(solution), jnp.sum(rotated**2 / values, -1), jnp.sum(jnp.log(values), -1)


def _iterative(system, b, iterations):
    """The same from `iterations` products with W for the solve, and as many for the determinant."""
    solution = conjugate_gradient(system, b, iterations, diagonal=1.0)
    return solution, inner(b, solution), lanczos_log_determinant(system, b, iterations)


def lanczos_log_determinant(system, like, iterations: int):
    """(K,) log det(I + W) ~ m e_1^T log(I + T) e_1, T the Lanczos matrix of W from one vector of random signs, the same for all.

    Args: system: u -> W u, pytrees like `like`, (K, ...), m entries each.
    """
    one, unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], like))
    m = one.size
    signs = unravel(jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], m) / np.sqrt(m), one.dtype))
    start = jax.tree.map(lambda leaf, full: jnp.broadcast_to(leaf, full.shape), signs, like)

    def step(carry, _):
        v, before, beta = carry
        w = combine(1.0, system(v), -beta, before)
        alpha = inner(w, v)
        w = combine(1.0, w, -alpha, v)
        length = jnp.sqrt(inner(w, w))
        found = length > 1e-6
        inverse = jnp.where(found, 1.0 / jnp.where(found, length, 1.0), 0.0)
        return (jax.tree.map(lambda leaf: expand(inverse, leaf) * leaf, w), v, jnp.where(found, length, 0.0)), (
            alpha,
            jnp.where(found, length, 0.0),
        )

    carry = (start, jax.tree.map(jnp.zeros_like, start), jnp.zeros(batch_size(like), one.dtype))
    _, (diagonal, off) = jax.lax.scan(step, carry, length=min(iterations, m))
    matrix = jax.vmap(lambda d, o: jnp.diag(d) + jnp.diag(o, 1) + jnp.diag(o, -1), in_axes=1)(diagonal, off[:-1])
    values, vectors = each(jnp.linalg.eigh, matrix)
    return m * jnp.sum(vectors[:, 0, :] ** 2 * jnp.log1p(jnp.maximum(values, 0.0)), -1)
