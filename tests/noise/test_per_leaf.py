import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from noise.common import MASKS, MOLECULES, molecules

import sciddm as sd


def test_per_leaf_holds_the_contract_with_each_leaf_under_its_own_law(holds_the_contract):
    like = {name: jnp.zeros(shape) for name, shape in MOLECULES.items()}
    sigma = holds_the_contract(molecules(MASKS[1]), like)
    assert sigma.shape == (20, 20) and np.all(sigma[:8, 8:] == 0)  # features are the first leaf
    np.testing.assert_array_equal(sigma[:8, :8], np.diag(np.repeat(MASKS[1], 2)))
    whole_branch = sd.PerLeaf({"a": sd.White(), "b": sd.ZeroCentreOfMass()})
    assert float(whole_branch.dimension({"a": {"c": (2, 2), "d": (3,)}, "b": (4, 3)})) == 16.0


def test_per_leaf_takes_masks_one_a_sample_and_goes_through_jit():
    @eqx.filter_jit
    def draw(law, keys):
        eps = law.sample_batch(keys, {name: jnp.zeros((3, *shape)) for name, shape in MOLECULES.items()})
        return eps, law.each("dimension", eps), law.each("log_prob", eps)

    eps, dimension, log_prob = jax.tree.map(np.asarray, draw(molecules(MASKS), jax.random.split(jax.random.key(0), 3)))
    np.testing.assert_array_equal(dimension, [3 * 3 + 8, 3 * 2 + 6, 3 * 1 + 4])
    alone = jax.jit(lambda mask, x: molecules(mask).log_prob(x))
    expected = [alone(mask, {name: eps[name][i] for name in eps}) for i, mask in enumerate(MASKS)]
    np.testing.assert_allclose(log_prob, np.stack(expected), rtol=1e-6)


def test_an_x_of_another_structure_is_refused():
    with pytest.raises(ValueError, match="positions|dict"):
        molecules(MASKS[0]).project({"positions": jnp.zeros((4, 3))})
