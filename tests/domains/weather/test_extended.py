import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_rain import fake_model, weather_config

import sciddm as sd
from domains.weather.transform import decode
from sciddm import grids
from sciddm.domain import Reward
from sciddm.model import Model
from sciddm.process import posterior_kernel


def test_each_window_of_a_rollout_is_conditioned_on_the_end_of_the_one_before(domain):
    # A network that repeats the last frame that it is given plus one: the frames count up window by window, for each member its own.
    def network(x_t, cond):
        last = cond["concat"][..., 3:4]
        assert cond["concat"].shape[0] == x_t.shape[0]
        return jnp.broadcast_to(last + 1.0 / domain.normalizer.std, x_t.shape)

    example = np.broadcast_to(np.float32(20.0), (32, 32, 20)).copy()
    task = domain.tasks["rollout"]
    problem = task.problem(jax.random.key(0), example)
    assert problem.truth.shape == (32, 32, 40) and np.isnan(problem.truth[..., 20:]).all()
    model = fake_model(domain, network)
    x = task.solve(model, jax.random.key(0), problem, 3)
    assert x.shape == (3, 32, 32, 40)
    for i, value in enumerate((21.0, 22.0, 23.0)):
        np.testing.assert_allclose(x[..., 4 + 12 * i : 16 + 12 * i], value, atol=0.05)
    assert task.metrics(x, problem)["CRPS"] == pytest.approx((12 * 1 + 4 * 2) / 16, abs=0.02)
    # its own examples go on with the very event that the window is of
    longer = model.examples("rollout")[1]["x"]
    assert longer.shape == (32, 32, 40) and np.isfinite(longer).all()
    np.testing.assert_allclose(decode(longer[..., :16]), decode(domain.dataset("test")[1]["x"]), atol=0.006)
    model.sample(0, 2, task="rollout", progress=True)


def test_wide_windows_are_conditioned_on_their_own_past(domain):
    # A network that answers with the last frame that it is given: the whole is then the last frame of the whole.
    def network(x_t, cond):
        return jnp.broadcast_to(cond["concat"][..., 3:4], x_t.shape)

    model = fake_model(domain, network)
    problem = model.problem("wide")
    assert problem.truth.shape == (80, 80, 16)
    np.testing.assert_array_equal(model.problem("wide", problem.truth).truth, problem.truth)
    x = domain.tasks["wide"].solve(model, jax.random.key(0), problem, 3)
    np.testing.assert_allclose(x, np.broadcast_to(problem.truth[..., 3:4], x.shape), atol=0.05)


def test_extreme_finds_the_event_and_its_probability_under_a_gaussian_forecast(tmp_path):
    # Independent pixels N(0, 1) in normalised units: P(x[0, 0, last] > c) = Phi(-(c - mean) / (std v^1/2)), v the variance that a chain
    # of 60 steps has, a little less than 1.
    config = weather_config(tmp_path, size=16, past=1, future=1)
    config.tasks = {"extreme": {"threshold": 25.0}}
    domain = sd.get_domain(config)
    domain.rewards = {"last rain": Reward(lambda x: x[:, 0, 0, -1], "dBZ", held_out="last rain")}
    process = sd.GaussianProcess.edm()

    def network(x_t, t, cond):
        return x_t / (1 + process.sigma(t) ** 2)

    model = Model(sd.FunctionDenoiser(network, process), domain, config, 0, None)
    task = domain.tasks["extreme"]
    problem = task.problem(jax.random.key(0), domain.dataset("test")[0]["x"])
    result = task.run(model, jax.random.key(1), problem, num_particles=512, steps=60)
    times = grids.resolve("logsnr", process, 60)

    @jax.jit
    @jax.vmap
    def step(t, s):
        """What x_s has of x_t, x_0_hat being shrunk, and its spread."""
        levels = process.level(t), process.level(s)
        of_x_t, spread = posterior_kernel(jnp.zeros(()), jnp.ones(()), *levels)
        of_x_0, _ = posterior_kernel(jnp.ones(()), jnp.zeros(()), *levels)
        return of_x_t + of_x_0 / (1 + process.sigma(t) ** 2), spread

    variance = process.sigma(times[0]) ** 2
    for share, spread in zip(*map(np.asarray, step(times[:-1], times[1:])), strict=True):
        variance = share**2 * variance + spread**2
    z = (25.0 - domain.normalizer.mean) / domain.normalizer.std / np.sqrt(variance)
    exact = float(jax.scipy.stats.norm.sf(z))
    assert 0.005 < exact < 0.08 and np.exp(float(result.log_evidence)) == pytest.approx(exact, rel=0.2)
    drawn = task.solve(model, jax.random.key(1), problem, 4, steps=60)
    assert task.metrics(drawn, problem)["share beyond"] == 1.0
