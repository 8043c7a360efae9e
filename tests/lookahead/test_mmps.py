import numpy as np
from gaussian_posterior import gaussian_posterior
from lookahead.common import A, Y, law_of_the_end

import sciddm as sd


def test_mmps_is_the_exact_posterior_of_any_gaussian():
    covariance = np.array([[1.0, 0.6, 0.2], [0.6, 2.0, -0.5], [0.2, -0.5, 0.7]])
    prior = sd.oracle.GaussianMixture([1.0], [[0.5, -0.5, 1.0]], covariance)
    mean, exact = gaussian_posterior([0.5, -0.5, 1.0], covariance, A, Y, 0.3)
    guided = sd.lookahead.mmps(prior.denoiser(sd.GaussianProcess.vp()), sd.lookahead.Observation(A, Y, 0.3))
    found, spread, _ = law_of_the_end(guided, steps=60)
    np.testing.assert_allclose(found, mean, atol=0.05)
    np.testing.assert_allclose(spread, exact, atol=0.05 * exact.max())
