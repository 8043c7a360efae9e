import jax
import numpy as np
from lookahead.common import OBS, A, T, Y, at_once, points

import sciddm as sd
from sciddm.lookahead.gradients import gain, misfit, squared_operator_norm


def test_the_norm_of_an_operator_is_found_from_below():
    nothing = sd.lookahead.Observation(0.0 * A, Y, 1.0)
    found, of_nothing, value = at_once(
        lambda x: squared_operator_norm(OBS, x), lambda x: squared_operator_norm(nothing, x), lambda x: misfit(nothing)(x, T)
    )(points())
    np.testing.assert_allclose(found, np.linalg.norm(A, 2) ** 2, rtol=1e-3)
    assert np.all(of_nothing == 0.0) and np.all(np.isfinite(value))
    assert float(jax.jit(lambda t: gain(sd.GaussianProcess.cosine(), t))(1.0)) == 0.0
