import jax
import jax.numpy as jnp
import numpy as np
import pytest
from noise.common import MASKS, MOLECULES, molecules

import sciddm as sd

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
