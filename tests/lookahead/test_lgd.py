import numpy as np
from gaussian_posterior import gaussian_denoiser
from lookahead.common import A, Y, asked, points

import sciddm as sd


def test_lgd_with_many_draws_is_pigdm_of_a_unit_prior():
    process = sd.GaussianProcess.rectified()  # alpha^2 + sigma^2 is not 1
    denoiser, obs = gaussian_denoiser(process, 0.5, np.array([0.3, 0.0, -0.2])), sd.lookahead.Observation(A, Y, 1.0)
    x0_hat, exact, many, plug_in = asked(
        denoiser, sd.lookahead.pigdm(denoiser, obs, prior_variance=1.0), sd.lookahead.lgd(denoiser, obs, samples=300000),
        sd.lookahead.steer(denoiser, obs),
    )(points())  # fmt: skip
    exact, many, plug_in = (guided - x0_hat for guided in (exact, many, plug_in))
    np.testing.assert_allclose(many, exact, atol=0.05 * np.abs(exact).max())
    # the plug-in leaves the spread of x_0 out and is far off
    assert np.abs(plug_in - exact).max() > 0.5 * np.abs(exact).max()
