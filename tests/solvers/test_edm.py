import numpy as np
from solvers.common import process_of, run

from sciddm.solvers import EDM


def test_edm_churns_only_between_its_bounds(mixture):
    denoiser = mixture.denoiser(process_of("edm"))
    outside = run(denoiser, EDM(churn=1.0, low=1e3, high=1e4))
    np.testing.assert_allclose(outside, run(denoiser, "heun"), rtol=1e-4, atol=1e-4)
    assert np.abs(run(denoiser, EDM(churn=1.0, low=0.1, high=10.0)) - outside).max() > 0.1
