import equinox as eqx
import jax
import numpy as np
import pytest
from lookahead.common import SEEN, V, scalar

import sciddm as sd


def test_flowdps_is_its_recursion_on_a_gaussian():
    process, denoiser, obs = scalar("rectified")
    steps, rate = 14, 0.4
    guided = sd.lookahead.flowdps(denoiser, obs, rate=rate)
    samples, _ = sd.sample(jax.random.key(0), guided, (40000, 1), steps=steps)
    times = np.linspace(1.0, 0.0, steps + 1)
    m, c = 0.0, 1.0
    for now, then in zip(times[:-1], times[1:], strict=True):
        slope = (1 - now) * V / ((1 - now) ** 2 * V + now**2)
        left = 1 - now * (1 - (1 - rate) ** 3)  # of x0_hat after a descent that keeps (1 - rate)^3, a share `now` of it
        eps = (1 - (1 - now) * slope) / now
        gain = (1 - then) * left * slope + then * np.sqrt(then) * eps
        m = gain * m + (1 - then) * (1 - left) * SEEN
        c = gain**2 * c + then**2 * (1 - then)
    assert np.mean(samples) == pytest.approx(m, abs=0.01)
    assert np.var(samples) == pytest.approx(c, rel=0.03)


def test_flowdps_keeps_the_share_of_the_flow_that_a_level_stands_for():
    process, denoiser, obs = scalar("vp")
    t = 0.3
    x0_hat, _, kick = eqx.filter_jit(sd.lookahead.flowdps(denoiser, obs, rate=0.4).evaluate)(np.array([[0.3]], np.float32), t)
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
    expected = sigma / (alpha + sigma) * (1 - 0.6**3) * (SEEN - np.asarray(x0_hat))
    np.testing.assert_allclose(kick.of_x_0, expected, rtol=1e-4)
