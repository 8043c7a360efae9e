"""Programs whose decompositions cannot wait for each other's threads."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm.lapack import each


def batches(lowered) -> list[int]:
    """How many matrices every LAPACK kernel of a program gets at once."""
    operands = re.findall(r"custom_call @lapack_\w+\(.*?: \(tensor<([\dx]+)xf\d+>", lowered.as_text())
    return [int(np.prod([int(size) for size in shape.split("x")[:-2]])) for shape in operands]


def test_each_is_the_batched_function_and_its_gradient():
    stack = jax.random.normal(jax.random.key(0), (5, 3, 3))
    stack = stack @ stack.swapaxes(1, 2)

    def loss(eigh):
        return lambda matrices: jnp.sin(eigh(matrices)[0]).sum()

    found, expected = (jax.value_and_grad(loss(eigh))(stack) for eigh in (lambda m: each(jnp.linalg.eigh, m), jnp.linalg.eigh))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert batches(jax.jit(jnp.linalg.eigh).lower(stack)) == [5]
    assert batches(jax.jit(lambda m: each(jnp.linalg.eigh, m)).lower(stack)) == [1]


@pytest.mark.parametrize("options", [{}, {"covariance": "exact"}, {"covariance": "low_rank", "probes": 2}], ids=str)
def test_no_kernel_of_a_population_gets_more_than_one_matrix(options):
    law = sd.oracle.GaussianMixture(jnp.ones(2) / 2, jnp.eye(4)[:2], 0.1)
    observation = sd.lookahead.Observation(jnp.eye(4)[:2], jnp.zeros(2), 0.1)
    denoiser, solver = law.denoiser(sd.GaussianProcess.vp()), sd.solvers.DDPM(**options)
    run = jax.jit(lambda key: sd.particles.smc(key, denoiser, observation, (4,), num_particles=8, steps=3, solver=solver).log_evidence)
    found = batches(run.lower(jax.random.key(0)))
    assert found and set(found) == {1}
