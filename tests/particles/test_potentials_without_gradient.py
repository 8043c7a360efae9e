"""Methods that weigh, but do not steer, take potentials of whole numbers."""

import equinox as eqx
import jax
import numpy as np
import pytest
from best_of import count_above
from chain import gaussian

from sciddm import particles


@pytest.mark.parametrize(
    "name, options",
    [
        ("fk_steering", {"every": 1}),
        ("smc", {"twist": "none"}),
        ("psi", {"langevin": False, "chains": 20, "burn_in": 2, "moves": 3}),
    ],
)
def test_a_count_is_a_potential_that_needs_no_gradient(name, options):
    reward = jax.tree_util.Partial(count_above, 0.0)

    @eqx.filter_jit
    def above(key):
        result = particles.METHODS[name](key, gaussian(), reward, (1,), num_particles=1000, steps=3, **options)
        return result.mean(lambda x: x[:, 0] > 0)

    # e^3 to one for what is above 0, which is half of the prior
    share = float(above(jax.random.key(2)))
    assert abs(share - np.exp(3.0) / (1.0 + np.exp(3.0))) < 0.03
