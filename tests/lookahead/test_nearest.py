import jax
import numpy as np
import pytest
from lookahead.common import A, Y

import sciddm as sd
from sciddm.lookahead.nearest import noise_to_signal, pseudo_inverse, pull


def test_pull_and_pseudo_inverse_agree_with_dense_algebra():
    obs, rng = sd.lookahead.Observation(A, Y, 0.3), np.random.default_rng(0)
    x, u = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=(5, 2)).astype(np.float32)
    pulled, back = jax.jit(lambda x, u: (pull(obs, x, 0.8, 10), pseudo_inverse(obs, x, u, 10)))(x, u)
    gain = 0.8 * A.T @ np.linalg.inv(0.09 * np.eye(2) + 0.8 * A @ A.T)
    np.testing.assert_allclose(pulled, x + (Y - x @ A.T) @ gain.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(back, u @ np.linalg.pinv(A).T, rtol=1e-4, atol=1e-5)
    process = sd.GaussianProcess.rectified()
    ends = jax.jit(lambda t: noise_to_signal(process, t))(np.array([1.0, 0.5], np.float32))
    assert ends[0] == pytest.approx(1e6, rel=1e-3) and ends[1] == pytest.approx(1.0, rel=1e-5)
