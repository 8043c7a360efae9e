import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from best_of import assert_best_of, first
from chain import EXACT, VARIANCE, gaussian

from sciddm import particles


@pytest.mark.parametrize("n", [4, 50])
def test_the_best_of_n_has_the_law_of_the_largest_of_n_normals(n):
    def one(key):
        result = particles.best_of_n(key, gaussian(), first, (1,), num_particles=n, solver=EXACT, steps=1)
        return result.best()[0], jnp.exp(result.log_evidence), result.ess

    x, evidence, ess = eqx.filter_jit(particles.for_each)(jax.random.key(0), one, count=2000)
    assert_best_of(n, np.asarray(x))
    np.testing.assert_allclose(ess, 1.0, rtol=1e-5)
    evidence = np.asarray(evidence)  # of the samples, not of the best
    assert abs(evidence.mean() - np.exp(0.5 * VARIANCE)) < 3.0 * evidence.std(ddof=1) / np.sqrt(2000)
