"""Chains on the noise of a model: the law they keep is known, whatever the reward's gradient and the noise's colour."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from noise_chains import CHAINS, assert_law, quadratic

from sciddm.noise import White, ZeroCentreOfMass
from sciddm.particles.pcnl import State, log_acceptance, pcnl, propose


class Correlated(White):
    """N(0, FACTOR FACTOR^T) on R^2."""

    factor: jax.Array

    def sample(self, key, like):
        return self.factor @ White.sample(self, key, like)

    def covariance(self, u):
        return self.factor @ self.factor.T @ u


FACTOR = np.array([[1.0, 0.0], [0.9, 0.5]])
SIGMA = FACTOR @ FACTOR.T


def correlated():
    return Correlated(jnp.asarray(FACTOR, jnp.result_type(float)))


@eqx.filter_jit
def chains(key, log_h, law, like, **options):
    """Of `pcnl` from draws of the noise law itself."""
    begin, run = jax.random.split(key)
    start = law.sample_batch(jax.random.split(begin, like.shape[0]), like)
    return pcnl(run, log_h, start, law, **options)


@pytest.mark.parametrize("langevin", [True, False])
@pytest.mark.parametrize("step", [0.3, 1.0])
def test_chains_reach_the_posterior_of_correlated_noise(langevin, step):
    observed, precision = np.array([1.0, -0.5]), np.array([2.0, 0.7])
    states, info = chains(
        jax.random.key(1), quadratic(observed, precision), correlated(), jax.ShapeDtypeStruct((CHAINS, 2), jnp.float32),
        step=jnp.asarray(step), moves=60, burn_in=60, keep_every=5, langevin=langevin,
    )  # fmt: skip
    assert states.shape == (12, CHAINS, 2) and info["acceptance"].shape == (CHAINS,)
    covariance = np.linalg.inv(np.linalg.inv(SIGMA) + np.diag(precision))
    assert_law(states, covariance @ (precision * observed), covariance)
    assert 0.2 < np.mean(info["acceptance"]) < 1.0


def test_without_a_centre_of_mass_chains_stay_so_and_their_law_is_exact():
    # Of n points, N(0, P) tilted by -k/2 |z - y|^2 is N(P y k / (1 + k), P / (1 + k)).
    law, k = ZeroCentreOfMass(), 1.5
    observed = np.array([[3.0], [0.0], [1.0]])
    states, _ = chains(
        jax.random.key(1), lambda z: quadratic(observed[:, 0], k)(z[..., 0]), law, jax.ShapeDtypeStruct((CHAINS, 3, 1), jnp.float32),
        moves=40, burn_in=40, keep_every=4,
    )  # fmt: skip
    states = np.asarray(states)
    np.testing.assert_allclose(states.mean(2), 0.0, atol=1e-5)
    projector = np.eye(3) - 1.0 / 3.0
    assert_law(states[..., 0], projector @ observed[:, 0] * k / (1 + k), projector / (1 + k))


def constant(z):
    return 0.0 * z[:, 0] + 3.0


@pytest.mark.parametrize("step", [0.01, 0.5, 4.0, 30.0])
@pytest.mark.parametrize("langevin", [True, False])
def test_without_a_reward_every_move_is_accepted(step, langevin):
    like = jax.ShapeDtypeStruct((50, 2), jnp.float32)
    _, info = chains(
        jax.random.key(2), constant, correlated(), like, step=jnp.asarray(step), moves=20, langevin=langevin
    )
    assert np.all(np.asarray(info["acceptance"]) == 1.0)


def test_acceptance_is_that_of_the_densities_and_antisymmetric(x64):
    law, step, count = correlated(), 0.8, 30

    def log_h(z):
        return jnp.sin(3.0 * z[:, 0]) - z[:, 1] ** 4 / 4.0

    def look(z):
        gradient = jax.grad(lambda z: jnp.sum(log_h(z)))(z)
        return State(z, log_h(z), gradient, gradient @ SIGMA)

    @jax.jit
    def both(key):
        here = look(jax.random.normal(key, (count, 2), jnp.float64))
        there = look(propose(jax.random.split(jax.random.key(1), count), here, law, step))
        return here, there, log_acceptance(here, there, step), log_acceptance(there, here, step)

    here, there, ratio, back = jax.tree.map(np.asarray, both(jax.random.key(0)))
    np.testing.assert_allclose(ratio + back, 0.0, atol=1e-10)

    rho = (1 - step / 4) / (1 + step / 4)

    def log_normal(x, mean, covariance):
        return -0.5 * np.einsum("bi,ij,bj->b", x - mean, np.linalg.inv(covariance), x - mean)

    def log_joint(u, v):
        drift = rho * u.z + np.sqrt(1 - rho**2) * np.sqrt(step) / 2 * u.gradient @ SIGMA
        return u.value + log_normal(u.z, 0.0, SIGMA) + log_normal(v.z, drift, (1 - rho**2) * SIGMA)

    np.testing.assert_allclose(ratio, log_joint(there, here) - log_joint(here, there), atol=1e-10)


def test_a_chain_does_not_depend_on_its_neighbours():
    start = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    log_h, run = quadratic(np.zeros(2), np.ones(2)), eqx.filter_jit(pcnl)
    six, _ = run(jax.random.key(3), log_h, start, White(), moves=4)
    two, _ = run(jax.random.key(3), log_h, start[:2], White(), moves=4)
    np.testing.assert_allclose(np.asarray(six)[:, :2], two, rtol=1e-6)
    with pytest.raises(ValueError, match="moves = 5 is no multiple of keep_every = 2"):
        pcnl(jax.random.key(3), log_h, start, White(), moves=5, keep_every=2)
