"""The law of x_0 that ancestral steps end with on Gaussian data, by linear algebra: each step is affine in x_t and of one covariance."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import sciddm as sd
from sciddm.solvers.base import DenoiserTerm
from sciddm.transition import GaussianTransition


@eqx.filter_jit
def _step(denoiser, solver, t, s, points, roots):
    term = DenoiserTerm(denoiser, None, jax.random.split(jax.random.key(0), jax.tree.leaves(points)[0].shape[0]))
    at = solver.asks_at(denoiser.process, t)
    law = solver.transition(term, t, s, points, denoiser(points, at), *solver.spread(term, at, points))
    if isinstance(law, GaussianTransition):  # as particles take it
        law = law.smeared(denoiser.process.sigma(t) / jnp.hypot(denoiser.process.alpha(t), denoiser.process.sigma(t)))
        return law.mean, jax.tree.map(lambda leaf: law.std * leaf, roots)
    return law.mean, law.widened(roots)


def end_law(denoiser, solver, times, shape):
    """Mean (d,) and covariance (d, d) of x_0, flat, from x_1 ~ N(0, sigma^2 Sigma)."""
    one, unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), sd.arithmetic.as_structs(shape)))
    flat = lambda tree: np.asarray(jax.vmap(lambda leaf: ravel_pytree(leaf)[0])(tree), float)  # noqa: E731
    basis, _ = sd.oracle.support_basis(denoiser.process.noise, shape)
    roots = np.zeros((one.size + 1, one.size))
    roots[: basis.shape[1]] = basis.T
    points = np.vstack([np.zeros(one.size), np.eye(one.size)])
    mean, covariance = np.zeros(one.size), float(denoiser.process.sigma(times[0])) ** 2 * basis @ basis.T
    for t, s in zip(times[:-1], times[1:], strict=True):
        means, spread = map(flat, _step(denoiser, solver, t, s, *(jax.vmap(unravel)(jnp.asarray(x)) for x in (points, roots))))
        change = (means[1:] - means[0]).T
        mean, covariance = means[0] + change @ mean, change @ covariance @ change.T + spread.T @ spread
    return mean, covariance
