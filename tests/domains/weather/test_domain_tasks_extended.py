"""The domain hands the network what it says, and each task scores what it asks for."""

import importlib
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from domains.weather.archive import Archive, pack
from domains.weather.outage import outage
from domains.weather.tasks import with_past
from domains.weather.transform import NO_ECHO, decode, encode
from sciddm import UserError, grids
from sciddm.config import validate
from sciddm.domain import Reward
from sciddm.model import Model
from sciddm.process import posterior_kernel
from sciddm.train import fit


def weather_config(tmp_path, **data):
    config = importlib.import_module("configs.weather").get_config("smoke")
    config.data.update(
        {"size": 32, "events": 8, "frames": 18, "held_out": 2, "cache": str(tmp_path)} | data
    )
    config.tasks.wide.size = 80
    config.network.update({"channels": (8, 8), "attention_levels": (), "features": 16})
    return config


@pytest.fixture(scope="module")
def domain(tmp_path_factory):
    return sd.get_domain(weather_config(tmp_path_factory.mktemp("cache")))


def fake_model(domain, network):
    """A model whose denoiser is a function (x_t, cond) -> x0_hat."""
    denoiser = sd.FunctionDenoiser(lambda x_t, t, cond: network(x_t, cond), sd.GaussianProcess.edm())
    config = weather_config("")
    config.sampling.update({"solver": "heun", "steps": 2, "grid": "edm", "batch_size": 2})
    return Model(denoiser, domain, config, 0, None)


def test_condition_is_the_normalised_past_and_its_mask(domain):
    example = domain.dataset("test")[0]["x"].copy()
    example[3, 4, 1] = np.nan
    concat = domain.condition(example)["concat"]
    assert concat.shape == (32, 32, 8) and not np.isnan(concat).any()
    assert concat[3, 4, 1] == 0 and concat[3, 4, 5] == 0 and concat[..., 4:].sum() == 4 * 32 * 32 - 1
    past = concat[..., :4] * domain.normalizer.std + domain.normalizer.mean
    np.testing.assert_allclose(past[5:], example[5:, :, :4], atol=1e-4)


def test_training_windows_are_turned_with_their_past_and_stay_inside_of_events(domain):
    data = domain.dataset("train")
    windows = len(data) // 8
    assert windows == 6 * 3  # 18 frames have three windows of 16
    for way in range(8):
        element = data[5 * 8 + way]
        there = element["cond"]["concat"][..., 4:] > 0
        past = domain.normalizer.denormalize(element["cond"]["concat"][..., :4])
        np.testing.assert_allclose(past[there], element["x"][..., :4][there], atol=1e-4)
        assert element["loss_weight"].min() == 1
    first, last = data[5 * 8]["x"], data[5 * 8 + 7]["x"]
    np.testing.assert_array_equal(last, first.transpose(1, 0, 2)[::-1, ::-1])


def test_missing_pixels_of_an_archive_count_in_no_loss_and_are_no_dry_ones(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.uniform(-10, 40, (60, 32, 32)).clip(0).astype(np.float32)
    frames[:, :2] = np.nan
    times = np.datetime64("2026-01-01", "s") + np.arange(60) * np.timedelta64(300, "s")
    times[30:] += np.timedelta64(3600, "s")
    Archive(pack(frames), times, 1.0, source="test").write(tmp_path / "mine.zarr")
    config = weather_config(tmp_path, path=str(tmp_path / "mine.zarr"), held_out=1, augment=False, outages=0.0)
    domain = sd.get_domain(config)
    element = domain.dataset("train")[0]
    assert element["loss_weight"][:2].max() == 0 and element["loss_weight"][2:].min() == 1 and np.isfinite(element["x"]).all()
    np.testing.assert_array_equal(element["cond"]["concat"][:2], 0)
    test = domain.dataset("test")[0]["x"]
    assert np.isnan(test[:2]).all() and np.isfinite(test[2:]).all()
    # and they are left out of scores: an answer that differs there alone is perfect
    answer = np.where(np.isnan(test), 30.0, test)
    problem = domain.tasks["nowcast"].problem(jax.random.key(0), test)
    assert domain.tasks["nowcast"].metrics(answer[None], problem)["CRPS"] == 0
    assert domain.interval == 5.0 and domain.spacing == 1.0
    # a restored run knows its grid and its units without the data
    config.data.path = str(tmp_path / "gone.zarr")
    again = sd.get_domain(config, domain.normalizer.to_json())
    assert again.interval == 5.0 and again.spacing == 1.0 and float(again.to_native(answer[None]).x[0]) == 0.5
    config.data.path = str(tmp_path / "mine.zarr")
    # every task copes with missing pixels, and observes none of them
    for name in ("assimilate", "downscale", "fill", "interpolate"):
        task = domain.tasks[name]
        problem = task.problem(jax.random.key(1), test)
        observe = eqx.filter_jit(problem.observation)
        one, other = (
            observe(jnp.asarray(domain.normalizer.normalize(np.where(np.isnan(test), fill, test)))[None])
            for fill in (-2.0, 40.0)
        )
        np.testing.assert_allclose(one, other, rtol=1e-3)
        for baseline in task.baseline(problem).values():
            members = baseline[None] if baseline.ndim == 3 else baseline
            assert np.isfinite(task.metrics(members, problem)["CRPS"])
    # nothing but missing pixels
    config.data.most_missing = 0.01
    with pytest.raises(UserError, match="config.data.most_missing"):
        sd.get_domain(config)


def test_native_and_back_is_exact_and_has_units_and_times(domain):
    x = np.stack([domain.dataset("test")[i]["x"] for i in range(2)])
    native = domain.to_native(x)
    np.testing.assert_array_equal(domain.from_native(native), x)
    assert native.reflectivity.attrs["units"] == "dBZ" and native.reflectivity.min() == 0
    np.testing.assert_array_equal(native.time, np.arange(-15, 61, 5))
    assert float(native.x[1] - native.x[0]) == 2.0


def test_gauges_report_the_truth_with_their_error_and_not_where_it_is_missing(domain):
    task, example = domain.tasks["assimilate"], domain.dataset("test")[0]["x"].copy()
    example[:, 16:] = np.nan
    problem = task.problem(jax.random.key(2), example)
    places, reported = problem.extras["places"], problem.extras["reported"]
    truth = example.reshape(-1, 16)[places][:, 4:10]
    assert reported.shape == (31, 6) and (np.isnan(reported) == np.isnan(truth)).all()
    error = (reported - truth)[~np.isnan(truth)]
    assert abs(error.std() - 2.0) < 3 * 2.0 / np.sqrt(2 * len(error)) and abs(error.mean()) < 3 * 2.0 / np.sqrt(
        len(error)
    )
    # the observation asks for the very same pixels: its prediction of the truth is the report without the error
    normal = domain.normalizer.normalize(np.nan_to_num(example, nan=domain.normalizer.mean))
    residual = np.asarray(problem.observation.residual(jnp.asarray(normal)[None]))[0] * domain.normalizer.std
    seen = ~np.isnan(truth).ravel()
    np.testing.assert_allclose(residual[seen], error, atol=1e-3)
    variance = np.broadcast_to(problem.observation.variance(residual), residual.shape)
    assert (np.sqrt(variance[~seen]) > 100).all() and np.allclose(np.sqrt(variance[seen]) * domain.normalizer.std, 2.0)


def test_fill_scores_hidden_pixels_alone_and_never_looks_at_them(domain):
    task, example = domain.tasks["fill"], domain.dataset("test")[0]["x"]
    problem = task.problem(jax.random.key(1), example)
    hidden = problem.extras["hidden"]
    assert 0 < hidden.mean() < 0.9
    wrong_elsewhere = np.where(hidden, example, 50.0).astype(np.float32)
    assert task.metrics(wrong_elsewhere[None], problem)["CRPS"] == 0
    other = np.where(hidden, 33.0, example)
    np.testing.assert_array_equal(task.problem(jax.random.key(1), other).observation.value, problem.observation.value)


def test_interpolate_sees_every_third_frame_and_scores_those_between(domain):
    task, example = domain.tasks["interpolate"], domain.dataset("test")[0]["x"]
    problem = task.problem(jax.random.key(0), example)
    seen = np.asarray(problem.observation.value).any((0, 1))
    np.testing.assert_array_equal(np.flatnonzero(seen), [0, 3, 6, 9, 12, 15])
    np.testing.assert_array_equal(task.scored, [1, 2, 4, 5, 7, 8, 10, 11, 13, 14])
    linear = task.baseline(problem)["linear"]
    np.testing.assert_array_equal(linear[..., [0, 3, 15]], example[..., [0, 3, 15]])


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
    config = weather_config(tmp_path, size=16)
    config.tasks = {"extreme": {"threshold": 30.0}}
    domain = sd.get_domain(config)
    domain.rewards = {"last rain": Reward(lambda x: x[:, 0, 0, -1], "dBZ", held_out="last rain")}
    process = sd.GaussianProcess.edm()

    def network(x_t, t, cond):
        return x_t / (1 + process.sigma(t) ** 2)

    model = Model(sd.FunctionDenoiser(network, process), domain, config, 0, None)
    task = domain.tasks["extreme"]
    problem = task.problem(jax.random.key(0), domain.dataset("test")[0]["x"])
    result = task.run(model, jax.random.key(1), problem, num_particles=256, steps=60)
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
    z = (30.0 - domain.normalizer.mean) / domain.normalizer.std / np.sqrt(variance)
    exact = float(jax.scipy.stats.norm.sf(z))
    assert 0.005 < exact < 0.08 and np.exp(float(result.log_evidence)) == pytest.approx(exact, rel=0.2)
    drawn = task.solve(model, jax.random.key(1), problem, 4, steps=60)
    assert task.metrics(drawn, problem)["share beyond"] == 1.0


def test_rewards_are_those_of_the_future_frames(domain):
    x = np.full((2, 32, 32, 16), NO_ECHO, np.float32)
    x[1, ..., 4:] = encode(np.float32(23.0103))  # 1 mm/h
    rain = domain.rewards["rain"].function(jnp.asarray(x))
    assert rain[0] < 0.01 and rain[1] == pytest.approx(1.0, rel=1e-4)
    x[1, 3:5, 3:5, -1] = x[1, 9, 9, -1] = 40.0
    assert domain.rewards["last cells"].function(jnp.asarray(x)).tolist() == [0.0, 2.0]
    x[..., :4] = 60.0
    assert domain.rewards["rain"].function(jnp.asarray(x))[0] < 0.01


def test_with_past_keeps_members_and_outages_are_of_both_kinds():
    truth = np.arange(2 * 2 * 6, dtype=np.float32).reshape(2, 2, 6)
    domain = SimpleNamespace(past=4)
    future = np.full((3, 2, 2, 2), 7.0)
    assert with_past(truth, future, domain).shape == (3, 2, 2, 6) and with_past(truth, future[0], domain).shape == (
        2,
        2,
        6,
    )
    np.testing.assert_array_equal(decode(with_past(truth, future, domain)[1, ..., 4:]), 7.0)
    holes = [outage(np.random.default_rng(i), (16, 16, 4)) for i in range(20)]
    whole = [hole.any((0, 1)) == hole.all((0, 1)) for hole in holes]
    assert any(w.all() for w in whole) and not all(w.all() for w in whole)


def test_wrong_configs_are_one_line(tmp_path):
    for change, message in (
        ({"past": 0}, "config.data.past = 0"),
        ({"held_out": 8}, "config.data.held_out"),
        ({"size": 31}, "size = 31"),
    ):
        with pytest.raises(UserError, match=message):
            sd.get_domain(weather_config(tmp_path, **change))
    config = weather_config(tmp_path)
    config.network.kind = "transformer"
    with pytest.raises(UserError, match="config.network.kind = 'transformer'"):
        sd.get_domain(config).network(config.network, None)
    for task, key, value in (
        ("fill", "method", "magic"), ("interpolate", "every", 0), ("interpolate", "every", 16), ("downscale", "factor", 5),
        ("assimilate", "gauges", 2.0), ("assimilate", "gauge_frames", 0), ("fill", "noise_dbz", 0.0), ("rollout", "windows", 0),
        ("wide", "size", 16), ("wide", "overlap", 1.0), ("extreme", "threshold", 0.0), ("extreme", "solver", "unipc2"),
        ("extreme", "num_particles", 0),
    ):  # fmt: skip
        config = weather_config(tmp_path)
        config.tasks[task][key] = value
        with pytest.raises(UserError, match=f"config.tasks.{task}.{key}( = |:)"):
            sd.get_domain(config)


def test_the_pod_config_makes_its_network_and_trains_at_a_level_a_frame(tmp_path):
    config = importlib.import_module("configs.weather").get_config("tpu")
    validate(config)
    config.data.update({"size": 16, "events": 6, "frames": 17, "held_out": 2, "cache": str(tmp_path)})
    config.network.update({"dim": 16, "depth": 1, "heads": 2, "features": 16})
    config.objective.levels = "frame"
    config.training.update({"steps": 2, "batch_size": 4})
    assert int(fit(config, tmp_path / "run", progress=False).step) == 2
    model = sd.load(tmp_path / "run")
    # the denoiser takes a time a frame: the past nearly known, the future not at all
    t = jnp.linspace(0.1, 0.9, 16)[None, None, None]
    x0_hat = model.denoiser(jnp.ones((2, 16, 16, 16)), t)
    assert x0_hat.shape == (2, 16, 16, 16) and np.isfinite(x0_hat).all()
