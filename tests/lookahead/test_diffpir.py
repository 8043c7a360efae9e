import jax
import numpy as np
import pytest
from gaussian_posterior import gaussian_denoiser, levels

import sciddm as sd


def test_diffpir_is_its_recursion_on_a_gaussian():
    # prior N(0, v), y = x + N(0, tau): with all noise fresh, x_s = a_s x0' + s_s z and x0' = balance(x0_hat(x_t), y)
    v, tau, y, steps = 0.5, 0.2, 1.0, 12
    process = sd.GaussianProcess.vp()
    denoiser = gaussian_denoiser(process, v)
    obs = sd.lookahead.Observation(lambda x: x, np.array([y]), np.sqrt(tau))
    _, a, s = levels(process, "t", steps)
    s2 = np.append(s[:-1] ** 2, 0.0)
    for weight in (1.0, 8.0):
        guided = sd.lookahead.diffpir(denoiser, obs, weight=weight)
        samples, _ = sd.sample(jax.random.key(0), guided, (40000, 1), steps=steps)
        m, c = 0.0, s2[0]
        for i in range(steps):
            guess = s2[i] / a[i] ** 2 / weight
            k, d = guess / (guess + tau), a[i] * v / (a[i] ** 2 * v + s2[i])
            m = a[i + 1] * ((1 - k) * d * m + k * y)
            c = (a[i + 1] * (1 - k) * d) ** 2 * c + s2[i + 1]
        assert np.mean(samples) == pytest.approx(m, abs=0.01)
        assert np.var(samples) == pytest.approx(c, rel=0.03)
