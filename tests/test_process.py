import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from solvers.common import process_of

import sciddm as sd

PROCESSES = {name: getattr(sd.GaussianProcess, name) for name in ("vp", "sub_vp", "cosine", "ve", "edm", "rectified")}
TIMES = np.concatenate([[1e-5, 1e-4], np.linspace(1e-3, 1 - 1e-3, 41), [1 - 1e-4]])


@eqx.filter_jit
def asked(process, t):
    """Level, the time found again, drift and squared diffusion."""
    return process.level(t), process.time(process.log_snr(t)), process.drift(t), process.diffusion2(t)


def ask(process, t):
    return jax.tree.map(np.asarray, asked(process, t))


@pytest.mark.parametrize("name", PROCESSES)
def test_time_inverts_log_snr(name):
    _, found, *_ = ask(process_of(name), TIMES.astype(np.float32))
    np.testing.assert_allclose(found, TIMES, rtol=2e-4, atol=3e-6)


@pytest.mark.parametrize("name", PROCESSES)
def test_float32_agrees_with_float64_up_to_both_ends(name):
    times = TIMES.astype(np.float32)
    single, *_ = ask(process_of(name), times)
    with jax.enable_x64(True):
        double, *_ = ask(process_of(name), times.astype(np.float64))
    for a, b in zip(single, double, strict=True):
        assert (a.dtype, b.dtype) == (np.float32, np.float64)
        np.testing.assert_allclose(a.astype(np.float64), b, rtol=5e-5, atol=2e-5)


@pytest.mark.parametrize("name", PROCESSES)
def test_end_points_are_data_and_noise(name):
    process = PROCESSES[name]()
    assert process.alpha(0.0) == 1
    assert float(process.sigma(0.0)) == pytest.approx({"ve": 0.01, "edm": 0.002}.get(name, 0.0), rel=1e-5)
    assert float(process.sigma(1.0)) == pytest.approx({"ve": 100.0, "edm": 80.0}.get(name, 1.0), rel=1e-3)
    if name in ("cosine", "rectified"):
        assert process.alpha(1.0) == 0 and process.log_snr(1.0) == -np.inf


@pytest.mark.parametrize("name", PROCESSES)
def test_drift_and_diffusion_carry_the_marginal_variance(name):
    # d/dt (alpha) = f alpha and d/dt (sigma^2) = 2 f sigma^2 + g^2, integrated by the trapezoid rule in float64
    with jax.enable_x64(True):
        t = np.linspace(0.2, 0.8, 4001)
        (alpha, sigma, _), _, f, g2 = ask(process_of(name), t)
    assert np.all(g2 > 0)
    gained = np.trapezoid(2 * f * sigma**2 + g2, t)
    np.testing.assert_allclose(gained, sigma[-1] ** 2 - sigma[0] ** 2, rtol=1e-5)
    np.testing.assert_allclose(np.trapezoid(f, t), np.log(alpha[-1] / alpha[0]), rtol=1e-5, atol=1e-12)


def test_vp_drift_and_diffusion_are_song_et_al():
    t = np.linspace(0.05, 1.0, 11, dtype=np.float32)
    beta = 0.1 + t * 19.9
    _, _, drift, diffusion2 = ask(process_of("vp"), t)
    np.testing.assert_allclose(drift, -0.5 * beta, rtol=1e-5)
    np.testing.assert_allclose(diffusion2, beta, rtol=1e-5)
    _, _, _, diffusion2 = ask(process_of("sub_vp"), t)
    np.testing.assert_allclose(diffusion2, beta * (1 - np.exp(-2 * (0.1 * t + 9.95 * t**2))), rtol=1e-4)


@eqx.filter_jit
def kernels(process, value, t, s):
    x_0 = jnp.full((1, 1), value)
    means = (process.alpha(t) * x_0 + shift for shift in (0.0, 1.0))
    return *(process.step_kernel(x_0, mean, t, s) for mean in means), process.level(t), process.level(s)


@pytest.mark.parametrize("name", PROCESSES)
def test_step_kernel_composes_to_the_marginal(name):
    # x_t ~ q(x_t | x_0) pushed through q(x_s | x_t, x_0) must be q(x_s | x_0)
    for t, s in ((0.9, 0.3), (1.0, 0.5), (0.4, 0.01)):
        (at_mean, std), (at_shifted, _), level_t, level_s = kernels(process_of(name), 1.7, np.float32(t), np.float32(s))
        np.testing.assert_allclose(at_mean, [[level_s.alpha * 1.7]], rtol=2e-5)
        variance = ((at_shifted - at_mean) * level_t.sigma) ** 2 + std**2
        np.testing.assert_allclose(variance, [[level_s.sigma**2]], rtol=1e-4)


def test_step_kernel_refuses_to_go_towards_noise():
    with pytest.raises(ValueError, match="earlier"):
        sd.GaussianProcess.vp().step_kernel(jnp.zeros((1, 2)), jnp.zeros((1, 2)), 0.3, 0.4)


def test_perturb_keys_samples_by_index_and_takes_a_noise_level_per_element():
    process, key = sd.GaussianProcess.vp(), jax.random.key(0)
    x_0 = {"a": jnp.ones((5, 4)), "b": jnp.zeros((5, 2, 3))}
    whole, eps = process.perturb(key, x_0, jnp.full((5,), 0.4))
    part, _ = process.perturb(key, jax.tree.map(lambda leaf: leaf[:2], x_0), 0.4)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[:2], b), whole, part)
    np.testing.assert_allclose(whole["b"], process.sigma(0.4) * eps["b"], rtol=1e-6)
    frames = jnp.tile(jnp.linspace(0.0, 1.0, 4), (5, 1))
    x_t, eps = process.perturb(key, x_0["a"], frames)
    np.testing.assert_allclose(x_t, process.alpha(frames) + process.sigma(frames) * eps, rtol=1e-6)
    assert bool(jnp.all(x_t[:, 0] == 1.0))
