"""Two methods that step towards the data by a fixed length, as linear recursions."""

import jax
import numpy as np
from gaussian_posterior import gaussian_denoiser, levels

import sciddm as sd


def test_mpgd_and_flowchef_are_linear_recursions_on_a_gaussian():
    # prior N(0, v), y = x + noise: mode-seeking steps of fixed length, neither the posterior's mean nor its variance
    v, y, steps = 0.5, 1.0, 40
    process = sd.GaussianProcess.vp()
    denoiser = gaussian_denoiser(process, v)
    obs = sd.lookahead.Observation(lambda x: x, np.array([y]), 0.1)
    _, a, sigma = levels(process, "t", steps)
    sigma[-1] = 0.0
    for method, scale in (("mpgd", 0.3), ("flowchef", 0.05)):
        guided = getattr(sd.lookahead, method)(denoiser, obs, scale=scale)
        start = np.array([[1.0], [-1.0]])
        ends, _ = sd.sample(
            jax.random.key(0), guided, (2, 1), solver="ddim", steps=steps, grid="t", start=np.float32(start)
        )
        x = start[:, 0]
        for i in range(steps):
            x0 = a[i] * v / (a[i] ** 2 * v + sigma[i] ** 2) * x
            guided_x0 = x0 + scale / a[i] * (y - x0) if method == "mpgd" else x0
            x = a[i + 1] * guided_x0 + sigma[i + 1] * (x - a[i] * guided_x0) / sigma[i]
            x = x + scale * (y - x0) if method == "flowchef" else x
        np.testing.assert_allclose(np.asarray(ends)[:, 0], x, rtol=2e-3)
