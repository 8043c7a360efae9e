import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from solvers.common import process_of

import sciddm as sd
from sciddm.objective import TIMES, WEIGHTINGS, measure_sigma_data


@eqx.filter_jit
def losses_of(objective, denoiser, x_0, loss_weight=None):
    return objective(denoiser, jax.random.key(1), x_0, None, loss_weight)


def silent(x, level, cond):
    return jnp.zeros_like(x)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_exact_denoiser_minimises_every_weighting(weighting, mixture):
    process, x_0 = sd.GaussianProcess.vp(), mixture.sample(jax.random.key(0), 4096)
    exact = mixture.denoiser(process)
    objective = sd.Objective(weighting, "stratified")

    @jax.jit
    def loss(stretch, shift):
        # prediction "x0" hands the network the scaled x_t; undo the scale and answer exactly, then disturb
        class Network:
            def __call__(self, x, noise_level, cond):
                t = process.time(-8.0 * noise_level)
                x_t = x * jnp.sqrt(process.alpha(t) ** 2 + process.sigma(t) ** 2)[:, None]
                return stretch * exact(x_t, t) + shift

        return objective(sd.NetworkDenoiser(Network(), process, "x0"), jax.random.key(1), x_0).mean()

    best = loss(1.0, 0.0)
    assert best < loss(1.03, 0.0) and best < loss(0.97, 0.0) and best < loss(1.0, 0.05) and best < loss(1.0, -0.05)


def test_edm_weighting_makes_the_loss_of_a_zero_network_one():
    # with F = 0 the error is c_out^2 by construction, so weight * error = 1 at every noise level (Karras et al., eq. 144)
    x_0 = 0.5 * jax.random.normal(jax.random.key(0), (8192, 4))
    for name in ("edm", "vp", "cosine", "rectified"):
        denoiser = sd.NetworkDenoiser(silent, process_of(name), "edm", 0.5)
        losses = losses_of(sd.Objective("edm", "stratified"), denoiser, x_0)
        assert float(losses.mean()) == pytest.approx(1.0, abs=0.02)


def test_times_have_their_laws():
    process, key = sd.GaussianProcess.edm(), jax.random.key(0)
    draw = jax.jit(lambda: {name: sd.Objective("edm", name).sample_times(key, 20000, process, 0.5) for name in TIMES})
    times = jax.tree.map(np.asarray, draw())
    assert scipy.stats.kstest(times["uniform"], "uniform").pvalue > 1e-3
    np.testing.assert_allclose(np.sort(times["stratified"]), (np.arange(20000) + 0.5) / 20000, atol=1e-4)
    log_sigma = np.log(np.asarray(process.sigma(times["log-normal"])))
    assert log_sigma.mean() == pytest.approx(-1.2, abs=0.02) and log_sigma.std() == pytest.approx(1.2, abs=0.02)
    logit = np.log(times["logit-normal"] / (1 - times["logit-normal"]))
    assert logit.mean() == pytest.approx(0.0, abs=0.02) and logit.std() == pytest.approx(1.0, abs=0.02)


def test_sigma_data_is_measured_leaf_by_leaf():
    x = {"a": 2.0 * jax.random.normal(jax.random.key(0), (4000, 3)), "b": jnp.full((4000, 1), -0.5)}
    measured = measure_sigma_data(x)
    assert float(measured["a"]) == pytest.approx(2.0, rel=0.02) and float(measured["b"]) == pytest.approx(0.5)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="weighting"):
        sd.Objective("emd")


def test_entries_that_do_not_count_change_no_loss():
    # the exact loss of those that do: an error of 1 in half of the entries, whatever stands in the other half
    process = sd.GaussianProcess.edm()
    x_0 = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    loss_weight = np.tile(np.float32([1, 1, 1, 1, 0, 0, 0, 0]), (6, 1))
    denoiser, objective = sd.NetworkDenoiser(silent, process, "edm", 1.0), sd.Objective("edm", "stratified")
    loss, small = losses_of(objective, denoiser, x_0, loss_weight), losses_of(objective, denoiser, x_0)
    other = losses_of(objective, denoiser, x_0 + 9 * (1 - loss_weight), loss_weight)
    np.testing.assert_allclose(loss, other, rtol=1e-5)
    assert np.abs(loss - small).max() > 0.01
    np.testing.assert_allclose(losses_of(objective, denoiser, x_0, np.ones_like(x_0)), small, rtol=1e-6)
    assert not losses_of(objective, denoiser, x_0, np.zeros_like(x_0)).any()


def test_a_level_a_frame_is_drawn_for_each_and_weighed_with_its_own_weight():
    # With the network 0 weight * error is 1 in expectation at every level: so also for each frame at its own.
    x_0 = np.random.default_rng(0).normal(size=(512, 3, 4, 5)).astype(np.float32)
    process, seen = sd.GaussianProcess.edm(), []

    def network(x, level, cond):
        seen.append(level)
        return jnp.zeros_like(x)

    denoiser = sd.NetworkDenoiser(network, process, "edm", 1.0)


    @jax.jit
    def losses_and_levels(x_0):
        return sd.Objective("edm", "log-normal", "frame")(denoiser, jax.random.key(1), x_0), seen[-1]

    losses, levels = losses_and_levels(x_0)
    assert levels.shape == (512, 1, 1, 5) and len(np.unique(levels)) == 512 * 5
    assert losses.shape == (512,) and float(losses.mean()) == pytest.approx(1.0, abs=0.02)
    with pytest.raises(ValueError, match="objective levels 'pixel'"):
        sd.Objective("edm", "log-normal", "pixel")
