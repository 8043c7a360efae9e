"""What a user brings gives the very problem that it was written of; several things add up; blocks, sums, masks, frames and conditions."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fields_domains import domain_of
from small_fields import small_dataset

from domains.fields import tasks
from sciddm.errors import UserError
from sciddm.given import things

OBSERVED = {"observe": tasks.Observe, "fill": tasks.Fill, "superresolve": tasks.SuperResolve}


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    return domain_of(small_dataset(samples=12).isel(time=0, drop=True), tmp_path_factory.mktemp("still"))


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Windows with a condition, a variable that is learned as its logarithm, and land."""
    data = small_dataset(samples=12)
    data["c"] = np.exp(data["c"]).where((data.y > 0.6) | (data.x > 0.6))
    data["force"] = 2 * data["T"]
    folder = tmp_path_factory.mktemp("moving")
    return domain_of(data, folder, window=4, past=2, condition=("force",), transforms=("c=log",))


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """Windows of a long run with dates, ten seconds apart."""
    u = np.random.default_rng(0).standard_normal((60, 6)).astype(np.float32)
    times = np.datetime64("2026-03-01T08:00", "ns") + 10 * np.arange(60) * np.timedelta64(10**9, "ns")
    data = xr.Dataset({"u": (("time", "x"), u, {"units": "m"})}, {"time": times, "x": ("x", np.arange(6.0), {"units": "m"})})
    return domain_of(data, tmp_path_factory.mktemp("dated"), window=4, past=2)


def given(task, *brought):
    return task.problem_given(jax.random.key(0), things(list(brought), task.given_names))


def leaves(observation):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(observation)]


def assert_same(one, other):
    assert jax.tree.structure(one.observation) == jax.tree.structure(other.observation)
    for a, b in zip(leaves((one.observation, one.cond)), leaves((other.observation, other.cond)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", OBSERVED)
@pytest.mark.parametrize("which", ["still", "moving"])
def test_an_example_as_files_is_the_same_problem_to_the_last_bit(name, which, request, tmp_path):
    domain = request.getfixturevalue(which)
    task = OBSERVED[name](domain)
    problem = task.problem_of(jax.random.key(1), domain.dataset("test")[0])
    brought = given(task, *task.write_given(problem, tmp_path))
    assert brought.truth is None
    if which == "moving" and name == "fill":  # through a logarithm and back, in single precision
        for a, b in zip(leaves(problem.observation), leaves(brought.observation), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    else:
        assert_same(problem, brought)


def test_frames_and_conditions_as_files_are_the_same_condition_to_the_last_bit(moving, tmp_path):
    task = tasks.Forecast(moving)
    problem = task.problem_of(jax.random.key(1), moving.dataset("test")[0])
    brought = given(task, *task.write_given(problem, tmp_path))
    np.testing.assert_array_equal(problem.cond["concat"], brought.cond["concat"])
    with pytest.raises(UserError, match="conditioned on force: give them"):
        given(task, tmp_path / "frames.nc")


def test_the_same_points_by_the_task_by_csv_by_a_dataframe_and_by_parquet_are_one_problem(still, tmp_path):
    task = tasks.Observe(still)
    problem = task.problem_of(jax.random.key(1), still.dataset("test")[0])
    [path] = task.write_given(problem, tmp_path)
    frame = pd.read_csv(path)
    assert_same(problem, given(task, path))
    assert_same(problem, given(task, frame))
    pytest.importorskip("pyarrow")
    frame.to_parquet(tmp_path / "t.parquet")
    assert_same(problem, given(task, tmp_path / "t.parquet"))


def test_a_field_with_gaps_is_known_where_it_has_values_whatever_its_order_direction_and_units(still):
    x = still.dataset("test")[0]["x"]
    native = still.to_native(x[None]).isel(sample=0)
    field = native[["c"]].where(native.x < 1.0).transpose("x", "y").isel(y=slice(None, None, -1)).assign_coords(x=native.x / 10)
    field["c"] = (1e-3 * field["c"]).assign_attrs(units="kg m-3")  # mg/L
    field["x"].attrs = {"units": "cm"}
    observation = given(tasks.Fill(still), field).observation
    np.testing.assert_array_equal(observation.operator.mask[..., 0], np.broadcast_to(np.arange(10) < 4, (6, 10)))
    assert not np.asarray(observation.operator.mask[..., 1]).any()
    z = np.asarray(still.normalizer.normalize(x))[..., 0]
    np.testing.assert_allclose(observation.value[:, :4, 0], z[:, :4], atol=2e-5)
    assert observation.noise.std == pytest.approx(0.05)


def test_errors_on_the_grid_are_carried_through_a_transform_to_first_order(moving):
    x = moving.unmasked(moving.dataset("test")[0]["x"])
    field = xr.Dataset({"c": (("time", "y", "x"), x[..., 0]), "c_error": 0.3, "T": (("time", "y", "x"), x[..., 1]), "T_error": 0.2})
    force = xr.Dataset({"force": (("time", "y", "x"), 2 * x[..., 1])})
    std = np.asarray(given(tasks.Fill(moving), field, force).observation.noise.std)
    there = ~np.isnan(x[..., 0])
    np.testing.assert_allclose(std[..., 0][there], 0.3 / x[..., 0][there] / moving.normalizer.std[0], rtol=1e-4)
    np.testing.assert_allclose(std[..., 1][~np.isnan(x[..., 1])], 0.2 / moving.normalizer.std[1], rtol=1e-4)


@pytest.mark.parametrize("width", [2, 5])  # as wide as high, and not, for which there are two operators
@pytest.mark.parametrize("sums", [False, True])
def test_a_coarse_file_is_means_over_blocks_or_sums_with_its_errors(sums, width, still):
    x = still.dataset("test")[0]["x"]
    native = still.to_native(x[None]).isel(sample=0)
    blocks = native.coarsen(y=2, x=width)
    coarse = blocks.sum() if sums else blocks.mean()
    coarse["T_error"] = xr.DataArray(0.2 * width if sums else 0.1, attrs={"units": "K"})  # an error is a difference: no zero of degC in it
    coarse["T"].attrs, coarse["c"].attrs = {"units": "degC"}, {"units": "mg/L"}
    options = ["blocks=sum"] if sums else []
    observation = given(tasks.SuperResolve(still), coarse, *options).observation
    z = still.normalizer.normalize(jnp.asarray(x)[None])
    assert float(jnp.abs(observation.residual(z)).max()) < 2e-5
    std = np.broadcast_to(np.asarray(observation.noise.std), observation.value.shape)
    np.testing.assert_allclose(std[..., 1], 0.1 / still.normalizer.std[1], rtol=1e-4)
    np.testing.assert_allclose(std[..., 0], 0.05, rtol=1e-5)


def test_several_things_are_one_observation_whose_likelihood_is_the_product(still, tmp_path):
    task = tasks.Observe(still)
    [path] = task.write_given(task.problem_of(jax.random.key(1), still.dataset("test")[0]), tmp_path)
    native = still.to_native(still.dataset("test")[0]["x"][None]).isel(sample=0)
    field = native[["T"]].where(native.y > 1)
    z = jax.random.normal(jax.random.key(3), (2, *still.layout.shape))
    parts = [given(task, one).observation(z) for one in (path, field)]
    np.testing.assert_allclose(given(task, path, field).observation(z), sum(parts), rtol=1e-4)


def test_a_grid_of_its_own_is_taken_as_points_off_the_grid(still, capsys):
    y, x = np.array([0.3, 1.2]), np.array([0.3, 0.9, 2.0])
    field = xr.Dataset({"c": (("y", "x"), 3 + np.zeros((2, 3)))}, {"y": y, "x": x})
    observation = given(tasks.Observe(still), field).observation
    assert observation.value.shape == (6,) and "a grid of its own" in capsys.readouterr().err
    ramp = np.zeros((1, *still.layout.shape), np.float32)
    ramp[..., 0] = still.layout.coordinate("y")[:, None] + 10 * still.layout.coordinate("x")
    seen = observation.operator(still.normalizer.normalize(jnp.asarray(ramp)))[0] * still.scales[0]
    np.testing.assert_allclose(seen, (y[:, None] + 10 * x).ravel(), rtol=1e-4)


def test_the_newest_frames_are_taken_and_answers_have_their_dates(dated, capsys):
    times = np.datetime64("2027-01-01", "ns") + 10 * np.arange(5) * np.timedelta64(10**9, "ns")
    values = np.random.default_rng(1).standard_normal((5, 6)).astype(np.float32)
    file = xr.Dataset({"u": (("time", "x"), values)}, {"time": times, "x": np.arange(6.0)})
    for kind, length in ((tasks.Forecast, 4), (tasks.FieldRollout, 8)):
        task = kind(dated)
        problem = given(task, file)
        assert "5 frames of u: the last 2 of them are taken" in capsys.readouterr().err
        np.testing.assert_array_equal(problem.cond["concat"], dated.given(seen=values[3:, :, None])["concat"])
        native = task.to_native(np.zeros((2, length, 6, 1), np.float32), problem)
        assert native["time"].values[0] == times[3] and native["time"].values[2] == times[4] + np.timedelta64(10, "s")
        assert native.sizes["time"] == length and problem.extras["title"].endswith("2027-01-01 00:00:30")


def test_dates_of_a_table_say_when_the_window_begins(dated, tmp_path):
    rows = ["time,x,value,error", "2027-01-01T02:00:10+02:00,1.5,0.1,0.1", "2027-01-01 00:00:25Z,4,0.2,0.1"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    task = tasks.Observe(dated)
    problem = given(task, tmp_path / "t.csv")
    np.testing.assert_allclose(problem.extras["observed"]["u"][0][:, 0], [0, 15])
    problem = given(task, tmp_path / "t.csv", "start=2027-01-01T00:00")
    np.testing.assert_allclose(problem.extras["observed"]["u"][0][:, 0], [10, 25])
    native = task.to_native(np.zeros((2, *dated.layout.shape), np.float32), problem)
    assert native["time"].values[0] == np.datetime64("2027-01-01") and native["time"].values.dtype.kind == "M"


def test_generating_is_steered_by_what_is_given_and_asks_for_conditions(still, moving, tmp_path):
    problem = tasks.Observe(still).problem_of(jax.random.key(1), still.dataset("test")[0])
    [path] = tasks.Observe(still).write_given(problem, tmp_path)
    assert_same(problem, given(tasks.GenerateFields(still), path))
    assert given(tasks.GenerateFields(still)).observation is None
    with pytest.raises(UserError, match="conditioned on force"):
        given(tasks.GenerateFields(moving), xr.Dataset({"c": (("time", "y", "x"), np.full((4, 6, 10), 3.0))}))


def test_a_wide_field_is_as_wide_as_the_file_and_the_table_goes_beyond_the_model_s_grid(tmp_path):
    wide = domain_of(small_dataset(samples=12).isel(time=0, drop=True), tmp_path)
    task = tasks.WideFields(wide)
    y, x = 0.5 * np.arange(9)[::-1], 0.25 * np.arange(14)
    known = np.full((9, 14), np.nan)
    known[1, 12] = 3.0
    problem = given(task, xr.Dataset({"c": (("y", "x"), known)}, {"y": y, "x": x}))
    assert problem.truth.shape == (9, 14, 2) and np.isnan(problem.truth).all()
    assert np.argwhere(problem.observation.operator.mask).tolist() == [[1, 12, 0]]
    native = task.to_native(np.zeros((2, 9, 14, 2), np.float32), problem)
    np.testing.assert_array_equal(native["y"], y)
    (tmp_path / "s.csv").write_text("variable,y,x,value\nT,-1.2,3.1,20\n")  # y goes on downwards
    assert given(task, tmp_path / "s.csv").truth.shape == (9, 15, 2)
