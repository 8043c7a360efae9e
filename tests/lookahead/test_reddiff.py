import jax
import numpy as np
from gaussian_posterior import gaussian_denoiser, gaussian_posterior
from lookahead.common import A, Y

import sciddm as sd


def test_reddiff_fits_the_data_with_less_spread_than_the_posterior():
    obs = sd.lookahead.Observation(A, Y, 0.5)
    guided = sd.lookahead.reddiff(gaussian_denoiser(sd.GaussianProcess.vp(), 1.0), obs)
    samples, info = sd.sample(jax.random.key(0), guided, (200, 3))
    _, covariance = gaussian_posterior(np.zeros(3), np.eye(3), A, Y, 0.5)
    residual = np.asarray(info["residual"])
    assert residual[-1].max() < 0.25
    assert np.var(samples, 0).sum() < 0.3 * np.trace(covariance)
    assert info["network_calls"] == 1000
    # at its start it is the shortest x that agrees with the data
    assert residual[0].max() < 1e-4
