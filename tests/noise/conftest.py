"""The contract of every noise law, against its own covariance written out densely."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.flatten_util import ravel_pytree


@pytest.fixture
def holds_the_contract(x64):
    """check(law, like) -> Sigma (d, d). Build the law inside the test, in double precision; like: one x of zeros."""

    def check(law, like, draws=20000):
        flat, unravel = ravel_pytree(like)
        ravel = lambda x: ravel_pytree(x)[0]  # noqa: E731

        @jax.jit
        def ask(key):
            eps = jax.vmap(lambda k: law.sample(k, like))(jax.random.split(key, draws))
            some = jax.tree.map(lambda leaf: leaf[:3], eps)
            dense = [
                jax.vmap(lambda row, m=method: ravel(m(unravel(row))))(jnp.eye(flat.size))
                for method in (law.covariance, law.precision, law.project)
            ]
            facts = [jax.vmap(method)(some) for method in (law.log_prob, law.dimension)]
            return jax.vmap(ravel)(eps), dense, facts

        eps, (sigma, inverse, project), (log_prob, dimension) = jax.tree.map(np.asarray, ask(jax.random.key(0)))
        np.testing.assert_allclose(sigma, sigma.T, atol=1e-12)
        # entries of an empirical covariance have variance (S_ii S_jj + S_ij^2) / draws
        error = np.sqrt((np.outer(np.diag(sigma), np.diag(sigma)) + sigma**2) / draws)
        assert np.all(np.abs(eps.T @ eps / draws - sigma) <= 5 * error + 1e-12)
        assert np.all(np.abs(eps.mean(0)) <= 5 * np.sqrt(np.diag(sigma) / draws) + 1e-12)
        pseudo_inverse = np.linalg.pinv(sigma, rcond=1e-9, hermitian=True)
        np.testing.assert_allclose(inverse, pseudo_inverse, atol=3e-6 * np.abs(pseudo_inverse).max())
        np.testing.assert_allclose(project, sigma @ pseudo_inverse, atol=1e-8)
        np.testing.assert_allclose(project @ project, project, atol=1e-8)
        np.testing.assert_allclose(eps[:3] @ project, eps[:3], atol=1e-8)
        exact = scipy.stats.multivariate_normal(np.zeros(flat.size), sigma, allow_singular=True)
        np.testing.assert_allclose(log_prob, exact.logpdf(eps[:3]), rtol=1e-8)
        np.testing.assert_allclose(dimension, np.linalg.matrix_rank(sigma, 1e-9))
        return sigma

    return check
