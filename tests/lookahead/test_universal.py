import numpy as np
from lookahead.common import OBS, T, at_once, points

import sciddm as sd
from sciddm.lookahead.gradients import descend, misfit


def test_universal_is_the_plug_in_and_a_descent_from_the_expected_output(denoiser):
    forward, steer, backward, descended = at_once(
        lambda x: sd.lookahead.universal(denoiser, OBS, scale=0.5, backward_steps=0)(x, T),
        lambda x: sd.lookahead.steer(denoiser, OBS, scale=0.5)(x, T),
        lambda x: sd.lookahead.universal(denoiser, OBS, scale=0.0, backward_steps=2, backward_rate=0.7)(x, T),
        lambda x: descend(misfit(OBS), denoiser(x, T), T, 2, 0.7),
    )(points())
    np.testing.assert_allclose(forward, steer, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(backward, descended, rtol=1e-4, atol=1e-5)
    assert sd.lookahead.universal(denoiser, OBS, repeats=4).sampling.grid.repeats == 4
