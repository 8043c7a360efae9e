import jax
import jax.numpy as jnp
import numpy as np
import pytest
from solvers.common import process_of

import sciddm as sd
from sciddm.solvers import DDIM, EDM, DPMpp2S, FlowSDE

KEYS = jax.random.split(jax.random.key(0), 64)


def zero(t):
    return jnp.zeros_like(t)


def three_t_squared(t):
    return 3.0 * t**2


def run(denoiser, solver, keys=KEYS, steps=12, **options):
    return np.asarray(sd.sample(keys, denoiser, (len(keys), 3), solver=solver, steps=steps, **options)[0])


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
    denoiser = mixture.denoiser(process_of("rectified"))
    np.testing.assert_allclose(run(denoiser, one), run(denoiser, other), rtol=2e-4, atol=2e-4)


def test_a_flow_model_keeps_its_law_under_a_noise_of_ones_own(mixture, sliced):
    # 3 t^2; g = t is "flow-sde" in test_law.py, and g = 0 is ddim, as above
    denoiser = mixture.denoiser(sd.GaussianProcess.rectified())
    truth, other = (np.asarray(mixture.sample(jax.random.key(seed), 3000)) for seed in (9, 8))
    samples = run(denoiser, FlowSDE(three_t_squared), jax.random.split(jax.random.key(0), 3000), 100)
    assert sliced(samples, truth) < sliced(other, truth) + 0.1


# ddpm and euler-maruyama: tests/test_sample.py
@pytest.mark.parametrize("solver", ["ddim-eta", "sde-dpmpp2m", "seeds2", "edm", "flow-sde"])
def test_noise_is_really_drawn_and_keyed_by_sample_and_step(solver, mixture):
    denoiser, start = mixture.denoiser(process_of("vp")), np.ones((3, 3), np.float32)
    many = run(denoiser, solver, KEYS[:3], start=start)
    assert np.abs(many[0] - many[1]).min() > 0  # same start, own noise
    others = run(denoiser, solver, KEYS[np.array([2, 5, 0])], start=start)  # other places, other neighbours
    np.testing.assert_allclose(others[[2, 0]], many[[0, 2]], atol=1e-5)


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
    denoiser = mixture.denoiser(process_of("edm"))
    outside = run(denoiser, EDM(churn=1.0, low=1e3, high=1e4))
    np.testing.assert_allclose(outside, run(denoiser, "heun"), rtol=1e-4, atol=1e-4)
    assert np.abs(run(denoiser, EDM(churn=1.0, low=0.1, high=10.0)) - outside).max() > 0.1
