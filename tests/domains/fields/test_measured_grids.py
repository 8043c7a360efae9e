"""Files of fields as a user has them: what lies on the grid, on blocks, elsewhere; and one line for each thing that can't be meant."""

import jax
import numpy as np
import pytest
import xarray as xr
from fields_domains import domain_of
from small_fields import small_dataset

from domains.fields import tasks
from domains.fields.measured_grids import Opened, fields_of
from sciddm.errors import UserError
from sciddm.given import things


@pytest.fixture(scope="module")
def domain(tmp_path_factory):
    data = small_dataset(samples=12).isel(time=0, drop=True)
    return domain_of(data, tmp_path_factory.mktemp("grids"), transforms=("c=log",))


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    return domain_of(small_dataset(samples=12)[["c"]], tmp_path_factory.mktemp("moving"), window=4)


@pytest.fixture
def field(domain):
    """A held-out sample as a user would have it."""
    return domain.to_native(domain.dataset("test")[0]["x"][None]).isel(sample=0)


def given(task, *brought):
    return task.problem_given(jax.random.key(0), things(list(brought), task.given_names))


def brought(domain, thing):
    return {one.name: one for one in fields_of(Opened(thing, domain.variables), domain, domain.layout)}


@pytest.mark.parametrize("form", ["netcdf", "zarr", "npz", "dataset", "array"])
def test_the_same_values_come_of_any_format(form, domain, field, tmp_path):
    thing = field
    if form == "netcdf":
        field.to_netcdf(thing := tmp_path / "f.nc", engine="h5netcdf")
    elif form == "zarr":
        field.to_zarr(thing := tmp_path / "f.zarr", consolidated=False)
    elif form == "npz":
        np.savez(thing := tmp_path / "f.npz", c=field["c"].values, T=field["T"].values)
    elif form == "array":
        thing = field["T"]
    found = brought(domain, thing)["T"]
    np.testing.assert_array_equal(found.values[0], field["T"].values)
    assert found.factors == (1, 1) and found.places is None


def test_packed_values_whole_numbers_and_marked_gaps_are_read_as_they_are_meant(domain, field, tmp_path):
    packed = field[["T"]].round(2).where(field.x > 0.3)
    path = tmp_path / "packed.nc"
    packed.to_netcdf(path, encoding={"T": {"dtype": "int16", "scale_factor": 0.01, "_FillValue": -32768}}, engine="h5netcdf")
    raw = xr.load_dataset(path, decode_cf=False)
    for thing in (path, raw):
        np.testing.assert_allclose(brought(domain, thing)["T"].values[0], packed["T"].values, atol=1e-4)
    assert brought(domain, field[["T"]].astype(int))["T"].values.dtype == np.float32


@pytest.mark.parametrize("factors", [(2, 1), (3, 5), (4, 4)])
def test_blocks_are_told_by_where_they_lie_and_a_last_one_may_be_smaller(factors, domain, field):
    means = field[["T"]].coarsen(y=factors[0], x=factors[1], boundary="pad").mean()
    own = [domain.layout.coordinate(dim) for dim in ("y", "x")]
    for dim, factor, at in zip(("y", "x"), factors, own, strict=True):
        means[dim] = [at[i : i + factor].mean() for i in range(0, len(at), factor)]
    found = brought(domain, means.isel(y=slice(None, None, -1)))["T"]
    assert found.factors == factors
    np.testing.assert_allclose(found.values[0], means["T"].values)


def test_every_other_point_is_no_block_and_taken_as_points(domain, field):
    found = brought(domain, field[["T"]].isel(y=slice(0, None, 2), x=slice(0, None, 2)))["T"]
    assert [len(at) for at in found.places] == [3, 5]


def test_errors_are_fields_or_numbers_in_units_of_their_own(domain, field):
    field["T_error"] = xr.full_like(field["T"], 0.9).assign_attrs(units="degF")
    field["C_Error"] = xr.DataArray(2e-4, attrs={"units": "kg m-3"})
    found = brought(domain, field)
    np.testing.assert_allclose(found["T"].errors, np.full((1, 6, 10), 0.5), rtol=1e-6)
    assert found["c"].errors == pytest.approx(0.2)


def changed(field, name="T", **attrs):
    return field[[name]].assign({name: field[name].assign_attrs(attrs)})


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda f: f.rename(T="temp", c="conc"), "none of c, T is in it, found conc .*, temp"),
        (lambda f: f[["T"]] * np.nan, "'T' is NaN everywhere"),
        (lambda f: changed(f, units="m"), "'T' is in 'm'; expected 'degC', but they measure different things"),
        (lambda f: f[["T"]].fillna(0) * 0 + 1e30, "'T', index \\(0, 0\\) is 1e\\+30, which stands for a missing one"),
        (lambda f: f[["T"]] / 0, "is inf at index"),
        (lambda f: f[["c"]] * 0 - 1, "'c', index .* is -1; expected values within \\(0, inf\\)"),
        (lambda f: f[["T"]].isel(y=0), "'T' lies on x \\(10\\); expected y, x"),
        (lambda f: f[["T"]].expand_dims(sample=3), "take one of the samples along 'sample' first"),
        (lambda f: f[["T"]].expand_dims(lev=3), "expected y, x; take one of the entries along 'lev' first"),
        (lambda f: f[["T"]].drop_vars(["y", "x"]).isel(x=slice(0, 7)), "7 points along x, which are neither the model's 10 nor"),
        (lambda f: f[["T"]].interp(x=0.3125 + 0.625 * np.arange(4) - 0.125), "4 cells along x cover the model's 10 points, 2.5 each"),
        (lambda f: f[["T"]].assign_coords(x=np.zeros(10)), "coordinate 'x' is missing or the same at two points"),
        (lambda f: f[["T"]].astype(str), "'T' holds .*; expected numbers"),
        (lambda f: f[["T"]].assign(T_error=-0.1), "'T_error' is -0.1 at index .*; expected one standard deviation, above 0"),
        (lambda f: f[["T"]].assign(T_error=f["T"].where(f.x > 1) * 0 + 1), "'T_error' is nan at index"),
    ],
)
def test_what_can_t_be_meant_is_one_line(change, said, domain, field):
    with pytest.raises(UserError, match=said) as error:
        with np.errstate(divide="ignore"):
            thing = change(field)
        brought(domain, thing)
    assert "\n" not in str(error.value)


def test_places_far_away_and_blocks_that_are_none_are_refused_by_the_task(domain, field):
    task = tasks.Observe(domain)
    with pytest.raises(UserError, match=r"variable 'T', index \(0, 0\) has x = 100"):
        given(task, field[["T"]].assign_coords(x=100 + np.arange(10.0)))
    with pytest.raises(UserError, match="lies on the model's own grid, where blocks=sum says nothing"):
        given(task, field[["T"]], "blocks=sum")
    with pytest.raises(UserError, match="blocks=median: expected blocks=mean or blocks=sum"):
        given(task, field[["T"]], "blocks=median")
    with pytest.raises(UserError, match="block=sum: can't be meant here; did you mean blocks"):
        given(task, field[["T"]], "block=sum")
    with pytest.raises(UserError, match="senors.csv: no such file; expected a table"):
        given(task, "senors.csv")
    with pytest.raises(UserError, match="--given is empty"):
        given(task)


def windows(domain, count=4, step=10.0, first=0.0):
    times = ("time", first + step * np.arange(count), {"units": "s"})
    x = np.full((count, 6, 10), 3.0, np.float32)
    places = {dim: domain.layout.coordinate(dim) for dim in ("y", "x")}
    return xr.Dataset({"c": (("time", "y", "x"), x)}, {"time": times, **places})


def test_frames_are_laid_into_the_window_by_their_times(moving, capsys):
    task = tasks.Fill(moving)
    known = lambda problem: np.flatnonzero(np.asarray(problem.observation.operator.mask).any((1, 2, 3))).tolist()  # noqa: E731
    assert known(given(task, windows(moving).isel(time=[1, 3]))) == [1, 3]
    late = given(task, windows(moving, first=500.0))
    assert "the window begins at time 500 s, the earliest time that is given" in capsys.readouterr().err
    assert known(late) == [0, 1, 2, 3] and late.extras["start"] == 500.0
    native = task.to_native(np.zeros((1, *moving.layout.shape), np.float32), late)
    np.testing.assert_array_equal(native["time"], [500.0, 510.0, 520.0, 530.0])
    assert known(given(task, windows(moving, count=2, first=500.0), "start=490")) == [1, 2]


@pytest.mark.parametrize(
    "kind, change, said",
    [
        (tasks.Fill, {"count": 6}, "time index 4 is 40 s after the first frame, outside of the window of 0 to 30 s"),
        (tasks.Fill, {"step": 7.0}, "time index 1 is 7 s after the first frame, between its frames, which are 10 s apart"),
        (tasks.Forecast, {"count": 1}, "1 frames of c; expected the newest 2, along 'time'"),
        (tasks.Forecast, {"step": 60.0}, "are 60 s apart; expected 10 s"),
    ],
)
def test_frames_that_don_t_fit_are_one_line(kind, change, said, moving):
    with pytest.raises(UserError, match=said):
        given(kind(moving), windows(moving, **change))


def test_a_forecast_is_asked_for_frames_on_the_grid(moving, tmp_path):
    (tmp_path / "s.csv").write_text("time,y,x,value\n0,1,1,3\n")
    with pytest.raises(UserError, match="a table; expected the newest 2 frames"):
        given(tasks.Forecast(moving), tmp_path / "s.csv")
    with pytest.raises(UserError, match="is not on the model's grid; expected frames on all of its points"):
        given(tasks.Forecast(moving), windows(moving).coarsen(x=2).mean())
    still = windows(moving).isel(time=0, drop=True)
    with pytest.raises(UserError, match="has no times along 'time', but samples of the model are windows of 4 frames"):
        given(tasks.Fill(moving), still)
