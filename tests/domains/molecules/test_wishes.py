import jax
import jax.numpy as jnp
import numpy as np
import pytest
from molecule_domains import example
from rdkit import Chem

from domains.molecules.descriptors import descriptor
from domains.molecules.metrics import sanitised


def test_a_hit_is_valid_whole_and_near_the_wanted_value(domain):
    task, truth = domain.tasks["property"], example(domain)
    batch = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), truth)
    problem = task.problem(jax.random.key(0), truth)
    value = descriptor("logP", domain.to_native(batch)[0])
    there = problem.__class__(None, truth, problem.cond, problem.extras | {"target": value + 0.01})
    assert task.metrics(batch, there)["hits"] == 1.0 and task.metrics(batch, there)["mean logP"] == pytest.approx(value)
    batch["pairs"][1, 0, :, :] = batch["pairs"][1, :, 0, :] = 0.0  # an atom that hangs in the air
    assert task.metrics(batch, there)["hits"] == 0.5
    away = problem.__class__(None, truth, problem.cond, problem.extras | {"target": value + 10})
    assert task.metrics(batch, away)["hits"] == 0.0


def test_counting_is_exact_and_its_potential_is_a_gaussian_of_the_count(domain):
    task, data = domain.tasks["count"], domain.dataset("test")
    x = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[data[i]["x"] for i in range(12)])
    expected = [len(Chem.GetSSSR(sanitised(molecule))) for molecule in domain.to_native(x)]
    np.testing.assert_array_equal(task.counted(x), expected)
    value = task.potential(domain.normalizer.normalize(x), 0.0)
    np.testing.assert_allclose(value, -2.0 * (np.array(expected) - task.wanted) ** 2, rtol=1e-6)
