import numpy as np
from lookahead.common import OBS, T, asked, points, rms

import sciddm as sd


def test_freedom_goes_steer_s_way_by_a_share_of_the_denoising(denoiser):
    x_t = points()
    freedom, steer = sd.lookahead.freedom(denoiser, OBS, scale=0.2), sd.lookahead.steer(denoiser, OBS)
    x0_hat, shift, direction = asked(denoiser, freedom, steer)(x_t)
    shift, direction, alpha = shift - x0_hat, direction - x0_hat, float(denoiser.process.alpha(T))
    np.testing.assert_allclose(rms(shift), 0.2 * rms(x_t / alpha - x0_hat), rtol=1e-4)
    np.testing.assert_allclose(shift / rms(shift), direction / rms(direction), rtol=1e-4, atol=1e-5)
    grid = sd.lookahead.freedom(denoiser, OBS).sampling.grid
    assert (grid.repeats, grid.window) == (3, (0.3, 0.7))
