import jax
import jax.numpy as jnp
import numpy as np
from best_of import first
from chain import PROCESS

import sciddm as sd
from sciddm.particles.fk_steering import History


def test_fk_steering_multiplies_its_potentials_up():
    expected = {"difference": [0.5, 0.2, 0.9], "max": [0.5, 1.0, 1.9], "sum": [0.5, 1.2, 2.8]}
    same = sd.FunctionDenoiser(lambda x, t, cond: x, PROCESS)

    def multiplied(kind):
        twist, found = History(first, kind), []
        memory = twist.memory(1)
        for value in (0.5, 0.2, 0.9):
            seen, memory = twist.look(same, jnp.array([[value]]), jnp.asarray(0.5), None, 0, memory)
            found.append(seen.log_h[0])
        return found

    found = jax.jit(lambda: {kind: multiplied(kind) for kind in expected})()
    for kind, values in expected.items():
        np.testing.assert_allclose(found[kind], values, rtol=1e-5)
