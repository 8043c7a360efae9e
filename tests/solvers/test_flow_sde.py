import jax
import numpy as np
from solvers.common import run

import sciddm as sd
from sciddm.solvers import FlowSDE


def three_t_squared(t):
    return 3.0 * t**2


def test_a_flow_model_keeps_its_law_under_a_noise_of_ones_own(mixture, sliced):
    # 3 t^2; g = t is "flow-sde" in test_law.py, and g = 0 is ddim, as above
    denoiser = mixture.denoiser(sd.GaussianProcess.rectified())
    truth, other = (np.asarray(mixture.sample(jax.random.key(seed), 3000)) for seed in (9, 8))
    samples = run(denoiser, FlowSDE(three_t_squared), jax.random.split(jax.random.key(0), 3000), 100)
    assert sliced(samples, truth) < sliced(other, truth) + 0.1
