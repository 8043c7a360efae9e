import importlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_rain import weather_config

import sciddm as sd
from domains.weather.archive import Archive, pack
from domains.weather.domain import WeatherDomain
from sciddm import UserError
from sciddm.config import complete, validate
from sciddm.tasks.base import check_tasks
from sciddm.train import fit
from sciddm.train.state import make_denoiser


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


def test_missing_pixels_of_an_archive_count_in_no_loss_and_are_no_dry_ones(tmp_path, capsys):
    rng = np.random.default_rng(0)
    frames = rng.uniform(-10, 40, (70, 32, 32)).clip(0).astype(np.float32)
    frames[:, :2] = np.nan
    times = np.datetime64("2026-01-01", "s") + np.arange(70) * np.timedelta64(300, "s")
    times[30:] += np.timedelta64(3600, "s")
    times[60:] += np.arange(1, 11) * np.timedelta64(300, "s")  # at another step, in no window
    Archive(pack(frames), times, 1.0, source="test").write(tmp_path / "mine.zarr")
    config = weather_config(tmp_path, path=str(tmp_path / "mine.zarr"), held_out=1, augment=False, outages=0.0)
    domain = sd.get_domain(config)
    element = domain.dataset("train")[0]
    assert "10 of 70 frames are in no run of 16 that are 5 min apart" in capsys.readouterr().err
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


def test_wrong_configs_are_one_line(tmp_path):
    for change, message in (
        ({"past": 0}, "config.data.past = 0"),
        ({"held_out": 8}, "config.data.held_out"),
        ({"size": 31}, r"a divisor of the grid's .31, 31."),
    ):
        with pytest.raises(UserError, match=message):
            sd.get_domain(weather_config(tmp_path, **change))
    config = weather_config(tmp_path)
    config.network.kind = "transformer"
    with pytest.raises(UserError, match="config.network.kind = 'transformer'"):
        make_denoiser(config, sd.get_domain(config), 1.0)
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
    config.training.update({"steps": 2, "batch_size": 4, "held_out": 0})
    config.sampling.grid = "optimised"
    assert int(fit(config, tmp_path / "run", progress=False).step) == 2
    model = sd.load(tmp_path / "run")
    # the denoiser takes a time a frame: the past nearly known, the future not at all
    t = jnp.linspace(0.1, 0.9, 16)[None, None, None]
    x0_hat = model.denoiser(jnp.ones((2, 16, 16, 16)), t)
    assert x0_hat.shape == (2, 16, 16, 16) and np.isfinite(x0_hat).all()


@pytest.mark.parametrize(
    "change, said",
    [
        ({"data.crop": (1, 2)}, "data.crop"), ({"data.crop": (0, 0, 64)}, "data.crop"), ({"data.held_out": float("inf")}, "data.held_out"),
        ({"data.held_out": 2.5}, "data.held_out"), ({"data.past": 10**9}, "of memory"), ({"data.outages": 7.0}, "data.outages"),
        ({"data.valid": (80, 0)}, "data.valid"), ({"tasks.extreme.reward": "rainn"}, "did you mean rain"),
        ({"tasks.extreme.threshold": float("inf")}, "threshold"), ({"tasks.rollout.windows": 10**9}, "of memory"),
        ({"tasks.wide.size": 10**7}, "of memory"), ({"tasks.fill.noise_dbz": float("inf")}, "noise_dbz"),
    ],
)  # fmt: skip
def test_keys_out_of_bounds_are_refused_before_any_rain_is_made(change, said, tmp_path):
    config = complete(weather_config(tmp_path))
    with config.ignore_type(), config.unlocked():
        config.update_from_flattened_dict(change)
    with pytest.raises(UserError, match=said):
        WeatherDomain.check(config)
        check_tasks(WeatherDomain, config)
