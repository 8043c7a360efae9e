import jax
import numpy as np
import pytest
from gaussian_posterior import levels

import sciddm as sd


def test_repaint_is_its_biased_recursion_and_time_travel_mends_it():
    # prior N(0, [[1, r], [r, 1]]), the first coordinate is 1: the second is N(r, 1 - r^2)
    r = 0.8
    process = sd.GaussianProcess.vp()
    covariance = np.array([[1.0, r], [r, 1.0]])
    denoiser = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0]], covariance).denoiser(process)
    obs = sd.lookahead.Observation(sd.lookahead.operators.Mask(np.array([1.0, 0.0])), np.array([1.0, 0.0]), 0.0)
    error = {}
    for repeats in (1, 6):
        guided = sd.lookahead.repaint(denoiser, obs, jump=2, repeats=repeats)
        samples, _ = sd.sample(jax.random.key(0), guided, (6000, 2), steps=16)
        samples = np.asarray(samples)
        np.testing.assert_allclose(samples[:, 0], 1.0, atol=1e-5)
        error[repeats] = abs(samples[:, 1].mean() - r)
        if repeats == 1:  # mean and covariance of the ancestral recursion with the first coordinate replaced
            _, a, s = levels(process, "t", 16)
            s2 = np.append(s[:-1] ** 2, 0.0)
            m, c = np.zeros(2), np.eye(2) * s2[0]
            for i in range(16):
                d = a[i] * covariance @ np.linalg.inv(a[i] ** 2 * covariance + s2[i] * np.eye(2))
                share = (a[i] / a[i + 1]) ** 2 * s2[i + 1] / s2[i]
                step = share * a[i + 1] / a[i] * np.eye(2) + a[i + 1] * (1 - share) * d
                m, c = step @ m, step @ c @ step.T + s2[i + 1] * (1 - share) * np.eye(2)
                m[0], c[0, :], c[:, 0] = a[i + 1], 0.0, 0.0
                c[0, 0] = s2[i + 1]
            assert samples[:, 1].mean() == pytest.approx(m[1], abs=0.03)
            assert samples[:, 1].var() == pytest.approx(c[1, 1], rel=0.06)
    assert error[1] > 0.1 and error[6] < 0.5 * error[1]
