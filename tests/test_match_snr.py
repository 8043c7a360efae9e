import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_process import PROCESSES

import sciddm as sd


@pytest.mark.parametrize("old", PROCESSES)
@pytest.mark.parametrize("new", PROCESSES)
def test_the_matched_denoiser_is_the_exact_one_of_the_new_process_and_finite_at_both_ends(old, new, mixture):
    process = PROCESSES[new]()
    matched, exact = sd.match_snr(mixture.denoiser(PROCESSES[old]()), process), mixture.denoiser(process)
    x_0, t = mixture.sample(jax.random.key(0), 40), jnp.linspace(0.0, 1.0, 40)
    x_t, _ = process.perturb(jax.random.key(1), x_0, t)
    np.testing.assert_allclose(
        matched(x_t, t), exact(x_t, t), atol=5e-2
    )  # the ends of VE and EDM lie inside those of the others
    inside = (t > 0.2) & (t < 0.8)
    np.testing.assert_allclose(matched(x_t, t)[inside], exact(x_t, t)[inside], atol=1e-3)
    assert matched.calls == 1


def test_the_flow_of_a_linear_path_ends_where_its_vp_path_does(mixture):
    old, new = sd.GaussianProcess.rectified(), sd.GaussianProcess.vp()
    flow, log_snr = mixture.denoiser(old), np.linspace(-8.0, 8.0, 401)
    start, like = jax.random.normal(jax.random.key(0), (32, 3)), (32, 3)

    def end(denoiser, process):
        grid = np.asarray(process.time(log_snr))
        norm = jnp.hypot(process.alpha(grid[0]), process.sigma(grid[0]))
        x, _ = sd.sample(jax.random.key(0), denoiser, like, solver="heun", grid=grid, start=norm * start)
        return x / jnp.hypot(process.alpha(grid[-1]), process.sigma(grid[-1]))

    np.testing.assert_allclose(end(flow, old), end(sd.match_snr(flow, new), new), atol=1e-4)


def test_a_flow_model_is_sampled_with_noise_on_the_vp_path(mixture, sliced):
    matched = sd.match_snr(mixture.denoiser(sd.GaussianProcess.rectified()), sd.GaussianProcess.vp())
    truth = mixture.sample(jax.random.key(9), 4000)
    floor = sliced(mixture.sample(jax.random.key(8), 4000), truth)
    samples, _ = sd.sample(jax.random.key(0), matched, (4000, 3), solver="ddpm", steps=100)
    assert sliced(samples, truth) < floor + 0.05


def test_trees_and_a_time_a_sample_are_carried(mixture):
    exact = mixture.denoiser(sd.GaussianProcess.cosine())

    def function(x_t, t, cond):
        joined = exact(jnp.concatenate([x_t["a"], x_t["b"]], 1), t)
        return {"a": joined[:, :1], "b": joined[:, 1:]}

    matched = sd.match_snr(sd.FunctionDenoiser(function, exact.process), sd.GaussianProcess.edm())
    x, t = mixture.sample(jax.random.key(0), 5), jnp.linspace(0.0, 1.0, 5)
    tree = matched({"a": x[:, :1], "b": x[:, 1:]}, t)
    one_by_one = sd.match_snr(exact, matched.process)
    rows = jnp.concatenate([one_by_one(x[i : i + 1], t[i]) for i in range(5)])
    np.testing.assert_allclose(jnp.concatenate([tree["a"], tree["b"]], 1), rows, atol=1e-4)
