"""Two guides that have the exact posterior of an isotropic Gaussian."""

import numpy as np
import pytest
from gaussian_posterior import gaussian_denoiser, gaussian_posterior
from lookahead.common import A, Y, law_of_the_end

import sciddm as sd


@pytest.mark.parametrize("method", ["pigdm", "mmps"])
@pytest.mark.parametrize("name", ["edm", "vp", "rectified"])
def test_guide_is_the_exact_posterior_of_an_isotropic_gaussian(method, name):
    mean, covariance = gaussian_posterior(np.zeros(3), 2.0 * np.eye(3), A, Y, 0.3)
    denoiser = gaussian_denoiser(getattr(sd.GaussianProcess, name)(), 2.0)
    options = {"prior_variance": 2.0} if method == "pigdm" else {}
    guided = getattr(sd.lookahead, method)(denoiser, sd.lookahead.Observation(A, Y, 0.3), **options)
    found, spread, _ = law_of_the_end(guided, solver="dpmpp2m", steps=60)
    # of sixty steps of second order
    np.testing.assert_allclose(found, mean, atol=0.01 * np.abs(mean).max())
    np.testing.assert_allclose(spread, covariance, atol=0.003 * covariance.max())
