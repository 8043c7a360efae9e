import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd

MASKS = jnp.array([[1, 1, 1, 1], [1, 1, 0, 1], [1, 0, 0, 1]])
MOLECULES = {"positions": (4, 3), "features": (4, 2)}


def molecules(mask):
    return sd.PerLeaf({"positions": sd.ZeroCentreOfMass(mask), "features": sd.Masked(mask[..., None])})


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


LAWS = {
    "per-leaf": (molecules(MASKS[1]), MOLECULES),
    "spectral": (sd.SpectralField.power_law((4, 4), 3.0, 1.0), (4, 4, 1)),
    "cosine": (sd.SpectralField.power_law((4, 4), 3.0, 1.0, periodic=False), (4, 4, 1)),
    "spherical": (sd.Spherical.power_law((4, 8), 3.0, 1.0), (4, 8, 1)),
}


@pytest.mark.parametrize("name", LAWS)
def test_sample_i_depends_on_its_key_alone_and_weighs_nothing_but_itself(name):
    law, shapes = LAWS[name]

    @jax.jit
    def draw(keys):
        like = jax.tree.map(lambda s: jnp.zeros((4, *s)), shapes, is_leaf=lambda node: isinstance(node, tuple))
        eps = law.sample_batch(keys, like)
        return eps, law.each("log_prob", eps)

    keys = jax.random.split(jax.random.key(1), 6)
    (first, weight), (second, other_weight) = jax.tree.map(np.asarray, (draw(keys[:4]), draw(keys[2:])))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[2:], b[:2]), first, second)
    np.testing.assert_array_equal(weight[2:], other_weight[:2])
    assert np.unique(np.concatenate([weight, other_weight])).size == 6


def test_an_x_of_another_structure_is_refused():
    with pytest.raises(ValueError, match="positions|dict"):
        molecules(MASKS[0]).project({"positions": jnp.zeros((4, 3))})
