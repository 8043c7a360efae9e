import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm.solvers import DDIM, EDM, DPMpp2S, FlowSDE


def zero(t):
    return jnp.zeros_like(t)


def three_t_squared(t):
    return 3.0 * t**2


def run(denoiser, solver, count=64, steps=12, **options):
    return sd.sample(jax.random.key(0), denoiser, (count, 3), solver=solver, steps=steps, **options)[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (DDIM(eta=1.0), "ddpm"),
        (FlowSDE(zero), "ddim"),
        (EDM(churn=0.0), "heun"),
    ],
    ids=["ddim with all noise is ddpm", "a flow without noise is ddim", "edm without churn is heun"],
)
def test_limits_of_a_family_are_each_other(one, other, mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.rectified())
    np.testing.assert_allclose(run(denoiser, one), run(denoiser, other), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("g", [zero, None, three_t_squared], ids=["0", "t", "3 t^2"])
def test_a_flow_model_keeps_its_law_under_any_noise(g, mixture, sliced):
    denoiser = mixture.denoiser(sd.GaussianProcess.rectified())
    truth = mixture.sample(jax.random.key(9), 3000)
    floor = sliced(mixture.sample(jax.random.key(8), 3000), truth)
    solver = FlowSDE() if g is None else FlowSDE(g)
    assert sliced(run(denoiser, solver, 3000, 100), truth) < floor + 0.1


def test_noise_is_really_drawn_and_keyed_by_sample_and_step(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    start = jnp.ones((3, 3))
    for solver in (
        "ddim-eta",
        "sde-dpmpp2m",
        "seeds2",
        "edm",
        "flow-sde",
    ):  # ddpm and euler-maruyama: tests/test_sample.py
        many = run(denoiser, solver, 3, start=start)
        assert float(jnp.abs(many[0] - many[1]).min()) > 0  # same start, own noise
        np.testing.assert_allclose(run(denoiser, solver, 2, start=start[:2]), many[:2], atol=1e-5)


def test_seeds2_draws_the_noise_of_both_halves_once():
    # x0_hat = 0: the step is pure noise of variance sigma_s^2 (1 - e^{-2 h}) beside what is kept of x_t, whatever the middle.
    process = sd.GaussianProcess.vp()
    denoiser = sd.FunctionDenoiser(lambda x, t, c: jnp.zeros_like(x), process)
    t, s = 0.7, 0.5
    start = jnp.full((20000, 1), 2.0)
    x, _ = sd.sample(jax.random.key(0), denoiser, start.shape, solver=DPMpp2S(eta=1.0), grid=[t, s], start=start)
    h = 0.5 * (process.log_snr(s) - process.log_snr(t))
    variance = process.sigma(s) ** 2 * (1 - jnp.exp(-2 * h))
    np.testing.assert_allclose(x.mean(), process.sigma(s) / process.sigma(t) * jnp.exp(-h) * 2.0, atol=0.02)
    np.testing.assert_allclose(x.var(), variance, rtol=0.03)


def test_edm_churns_only_between_its_bounds(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.edm())
    outside = run(denoiser, EDM(churn=1.0, low=1e3, high=1e4))
    np.testing.assert_allclose(outside, run(denoiser, "heun"), rtol=1e-4, atol=1e-4)
    assert float(jnp.abs(run(denoiser, EDM(churn=1.0, low=0.1, high=10.0)) - outside).max()) > 0.1
