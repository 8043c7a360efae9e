"""DDRM: each singular direction of the operator is sampled by itself, by how its measurement's noise compares with the step's.

With y_i, x_i along the i-th singular direction, s_i its value, and n_i = alpha_s noise_std / s_i the measurement's noise at level s:
    not seen:      alpha_s x0_i + sigma_s (sqrt(1 - eta^2) eps_i + eta z)
    sigma_s < n_i: alpha_s x0_i + sigma_s (sqrt(1 - eta^2) alpha_s (y_i/s_i - x0_i) / n_i + eta z)
    sigma_s >= n_i: alpha_s ((1 - b) x0_i + b y_i/s_i) + sqrt(sigma_s^2 - b^2 n_i^2) z
                                                                            (Kawar et al. 2022, eq. 7-8, arXiv:2201.11793)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from sciddm.arithmetic import combine
from sciddm.denoiser import Denoiser, SamplingDefaults, eps_from
from sciddm.lookahead.observe.measurement import Gaussian
from sciddm.lookahead.observe.observation import Observation
from sciddm.lookahead.prescribed import Prescribed
from sciddm.solvers.base import AbstractDenoiserSolver


def ddrm(denoiser: Denoiser, observation: Observation, *, eta: float = 0.85, eta_b: float = 1.0) -> Denoiser:
    """`denoiser` to be sampled by DDRM, a solver of its own: `sd.sample` takes no other for it.

    Args: observation: linear, the same operator and one Gaussian noise_std for all of its values; eta, eta_b: as published.
    20 steps uniform in t as published, unless `sd.sample` is given others. The operator's matrix is built densely: (m, d).
    Raises: ValueError where noise_std is not a single number.
    """
    if not isinstance(observation.noise, Gaussian) or observation.noise.std.size != 1:
        raise ValueError(
            "ddrm weighs singular directions by one noise_std for all values: divide operator and value by it"
        )
    return Prescribed(denoiser, SamplingDefaults(DDRM(observation, eta, eta_b), 20, "t", sampler="ddrm"))


class DDRM(AbstractDenoiserSolver):
    """See `ddrm`."""

    observation: Observation
    eta: float = eqx.field(static=True)
    eta_b: float = eqx.field(static=True)

    def draws_noise(self):
        return True

    def order(self, terms):
        return 1

    def memory(self, x):
        """Singular directions (r, d), and y_i / s_i and 1 / s_i of each, (B, r) and (r,)."""
        one, unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], x))

        def look(row):
            seen = self.observation.operator(jax.tree.map(lambda leaf: leaf[None], unravel(row)))
            return ravel_pytree(seen)[0]

        matrix = jax.jacrev(look)(jnp.zeros_like(one))
        left, values, right = jnp.linalg.svd(matrix, full_matrices=False)
        inverse = jnp.where(values > 1e-5 * values.max(), 1.0 / jnp.maximum(values, 1e-30), 0.0)
        nothing = jax.tree.map(jnp.zeros_like, self.observation.operator(x))
        y = jax.vmap(lambda leaf: ravel_pytree(leaf)[0])(self.observation.residual_from(nothing))
        return right, (y @ left) * inverse, inverse

    def advance(self, term, t, s, x_t, memory):
        right, measured, inverse = memory
        level_t, level_s = term.level(t), term.level(s)
        answer = term.evaluate(x_t, t)
        x0_hat = answer.x0_hat
        z = term.noise(x_t)
        kept = jnp.sqrt(1.0 - self.eta**2)
        free = combine(level_s.alpha, x0_hat, level_s.sigma, combine(kept, eps_from(x_t, x0_hat, level_t), self.eta, z))

        _, unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], x_t))
        estimate, draw, unguided = (jax.vmap(lambda one: ravel_pytree(one)[0])(v) @ right.T for v in (x0_hat, z, free))
        noise = level_s.alpha * jnp.ravel(self.observation.noise.std)[0] * inverse
        gap = measured - estimate
        below = level_s.alpha * gap / jnp.where(noise > 0, noise, 1.0)
        noisier = level_s.alpha * estimate + level_s.sigma * (kept * below + self.eta * draw)
        spread = jnp.sqrt(jnp.maximum(level_s.sigma**2 - (self.eta_b * noise) ** 2, 0.0))
        cleaner = level_s.alpha * (estimate + self.eta_b * gap) + spread * draw
        wanted = jnp.where(level_s.sigma < noise, noisier, cleaner)
        change = jnp.where(inverse > 0, wanted - unguided, 0.0) @ right
        residual = jnp.sqrt(jnp.mean(jnp.where(inverse > 0, gap, 0.0) ** 2, axis=1))
        return combine(1.0, free, 1.0, jax.vmap(unravel)(change)), memory, answer.to(x0_hat, {"residual": residual})
