"""Every stochastic solver draws noise of its own a sample and a step."""

import numpy as np
import pytest
from solvers.common import KEYS, process_of, run


# ddpm and euler-maruyama: tests/test_sample.py
@pytest.mark.parametrize("solver", ["ddim-eta", "sde-dpmpp2m", "seeds2", "edm", "flow-sde"])
def test_noise_is_really_drawn_and_keyed_by_sample_and_step(solver, mixture):
    denoiser, start = mixture.denoiser(process_of("vp")), np.ones((3, 3), np.float32)
    many = run(denoiser, solver, KEYS[:3], start=start)
    assert np.abs(many[0] - many[1]).min() > 0  # same start, own noise
    others = run(denoiser, solver, KEYS[np.array([2, 5, 0])], start=start)  # other places, other neighbours
    np.testing.assert_allclose(others[[2, 0]], many[[0, 2]], atol=1e-5)
