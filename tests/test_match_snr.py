import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from solvers.common import NAMES, process_of

import sciddm as sd


@eqx.filter_jit
def answers(mixture, old, new, t):
    """The matched denoiser's and the exact one's, about the same x_t."""
    matched, exact = sd.match_snr(mixture.denoiser(old), new), mixture.denoiser(new)
    assert matched.calls == 1
    x_t, _ = new.perturb(jax.random.key(1), mixture.sample(jax.random.key(0), len(t)), t)
    return matched(x_t, t), exact(x_t, t)


@pytest.mark.parametrize("old", NAMES)
@pytest.mark.parametrize("new", NAMES)
def test_the_matched_denoiser_is_the_exact_one_of_the_new_process_and_finite_at_both_ends(old, new, mixture):
    t = np.linspace(0.0, 1.0, 40, dtype=np.float32)
    matched, exact = (np.asarray(answer) for answer in answers(mixture, process_of(old), process_of(new), t))
    np.testing.assert_allclose(matched, exact, atol=5e-2)  # the ends of VE and EDM lie inside those of the others
    inside = (t > 0.2) & (t < 0.8)
    np.testing.assert_allclose(matched[inside], exact[inside], atol=1e-3)


def test_the_flow_of_a_linear_path_ends_where_its_vp_path_does(mixture):
    old, new = sd.GaussianProcess.rectified(), sd.GaussianProcess.vp()
    flow, log_snr = mixture.denoiser(old), np.linspace(-8.0, 8.0, 401)
    start, like = jax.random.normal(jax.random.key(0), (32, 3)), (32, 3)

    def end(denoiser, process):
        grid = np.asarray(process.time(log_snr))
        norms = np.hypot(*(np.asarray(level) for level in process.level(grid)[:2]))
        x, _ = sd.sample(jax.random.key(0), denoiser, like, solver="heun", grid=grid, start=norms[0] * start)
        return x / norms[-1]

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
    tree = jax.jit(lambda x, t: matched({"a": x[:, :1], "b": x[:, 1:]}, t))(x, t)
    one_by_one = jax.jit(lambda row, t: sd.match_snr(exact, matched.process)(row, t))
    rows = np.concatenate([one_by_one(x[i : i + 1], t[i]) for i in range(5)])
    np.testing.assert_allclose(np.concatenate([tree["a"], tree["b"]], 1), rows, atol=1e-4)
