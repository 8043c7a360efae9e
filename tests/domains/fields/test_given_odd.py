"""Odd files that must not be misunderstood: each is taken as it is meant, or is one line."""

from types import SimpleNamespace

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fields_domains import domain_of
from small_fields import small_dataset

from domains.fields.readers import open_fields
from sciddm.errors import UserError
from sciddm.given import things


@pytest.fixture(scope="module")
def domain(tmp_path_factory):
    return domain_of(small_dataset(samples=12).isel(time=0, drop=True), tmp_path_factory.mktemp("still"))


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    return domain_of(small_dataset(samples=12)[["c"]], tmp_path_factory.mktemp("moving"), window=4)


@pytest.fixture(scope="module")
def conditioned(tmp_path_factory):
    data = small_dataset(samples=12).isel(time=0, drop=True)
    return domain_of(data, tmp_path_factory.mktemp("conditioned"), condition=("T",))


@pytest.fixture
def x(domain):
    return domain.dataset("test")[0]["x"]


@pytest.fixture
def field(domain, x):
    return domain.to_native(x[None]).isel(sample=0)


@pytest.fixture
def frames():
    return small_dataset(samples=1)[["c"]].isel(sample=0).transpose("time", "y", "x")


def given(domain, name, *brought):
    task = domain.tasks[name]
    return task.problem_given(jax.random.key(0), things(list(brought), task.given_names))


def table(folder, text):
    (folder / "s.csv").write_text(text)
    return folder / "s.csv"


def off(domain, problem, x):
    """How far what would be seen of x is from what was given, at most."""
    seen = problem.observation.operator(domain.normalizer.normalize(x)[None])
    pairs = zip(jax.tree.leaves(seen), jax.tree.leaves(problem.observation.value), strict=True)
    return max(float(np.abs(np.asarray(a)[0] - np.asarray(b)).max()) for a, b in pairs)


# Tables


@pytest.mark.parametrize("header", ["variable  y [mm] x (mm)  value [mg/L] error", "variable y x value error"])
def test_cells_may_be_apart_by_blanks(header, domain, x, tmp_path):
    problem = given(domain, "observe", table(tmp_path, f"# logger\n  {header}\n  c  1.0   0.5  {x[3, 2, 0]}   0.1 \n"))
    assert off(domain, problem, x) < 1e-5


@pytest.mark.parametrize("name", ["err", "SD", "std dev", "Standard deviation", "value_error", "value_std", "standard_error"])
def test_a_column_of_errors_goes_by_many_names(name, domain, tmp_path, capsys):
    problem = given(domain, "observe", table(tmp_path, f"variable,y,x,value,{name}\nc,1,.5,3,.1\n"))
    assert float(problem.observation.noise.std) * domain.scales[0] == pytest.approx(0.1, rel=1e-4)
    assert "no error is given" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, said",
    [
        ("value [g/L],error,units\nc,1,.5,3,.1,mg/L\n", "line 2: value is in 'mg/L' by the column 'units', and in 'g/L' by the header"),
        ("value,error,std\nc,1,.5,3,.1,.9\n", "columns 'error' and 'std' are both errors; leave one of them out"),
        ("value\nc,1,.5,-9999\n", "line 2: value is -9999, which stands for a missing one; leave the row out"),
        ('value\nc,1,.5,"1,000"\n', "line 2: value is '1,000'; expected a number; write 1000 without a comma, or 1.000"),
        ("value\nc,1,.5,<0.1\n", "line 2: value is '<0.1'; expected a number; leave out what is only known to be beyond a limit"),
    ],
)
def test_cells_that_mean_two_things_are_refused(text, said, domain, tmp_path):
    with pytest.raises(UserError, match=said):
        given(domain, "observe", table(tmp_path, f"variable,y,x,{text}"))


def test_the_same_unit_in_header_and_column_is_one(domain, x, tmp_path):
    problem = given(domain, "observe", table(tmp_path, f"variable,y,x,value [mg/L],units\nc,1,.5,{x[3, 2, 0]},g m-3\n"))
    assert off(domain, problem, x) < 1e-5


def test_a_missing_number_of_pandas_is_missing(domain):
    frame = pd.DataFrame({"variable": "c", "y": 1.0, "x": 0.5, "value": pd.array([3, None], dtype="Int64")})
    with pytest.raises(UserError, match="row 1: value is missing"):
        given(domain, "observe", frame)


@pytest.mark.parametrize(
    "times, after",
    [
        (["202601010800", "202601010800"], [0, 0]),
        (["20260101080000", "20260101080020"], [0, 20]),
        ([20260101080000, 20260101080020], [0, 20]),
        (["2026-01-01 08:00:00.250", "2026-01-01T08:00:10.750Z"], [0, 10.5]),
        (list(pd.to_timedelta([0, 10.5], unit="s")), [0, 10.5]),
    ],
)
def test_dates_without_signs_and_parts_of_seconds_are_times(times, after, moving, tmp_path):
    frame = pd.DataFrame({"time": times, "y": 1.0, "x": [0.5, 1.0], "value": 3.0, "error": 0.1})
    problem = given(moving, "observe", frame)
    np.testing.assert_allclose(problem.extras["observed"]["c"][0][:, 0], after)


def test_a_start_has_a_zone_and_parts_of_seconds_as_times_have(moving, tmp_path):
    rows = table(tmp_path, "time,y,x,value,error\n2026-01-01 08:00:10.5,1,.5,3,.1\n")
    for start in ("2026-01-01T09:00:00.5+01:00", "2026-01-01 08:00:00.5 UTC"):
        np.testing.assert_allclose(given(moving, "observe", rows, f"start={start}").extras["observed"]["c"][0][:, 0], [10.0])


def test_places_on_axes_of_degrees_may_be_radians_where_the_data_state_no_unit(tmp_path):
    values = np.random.default_rng(0).standard_normal((9, 5, 8))
    places = {"lat": np.linspace(-60, 60, 5), "lon": np.arange(8) * 45.0}
    domain = domain_of(xr.Dataset({"t": (("sample", "lat", "lon"), values)}, places), tmp_path)
    text = "lat [degrees_north],lon [{}],value,error\n30,{},0.1,0.1\n"
    turned, plain = (
        given(domain, "observe", table(tmp_path, text.format(*one))).extras["observed"]["t"][0] for one in (("rad", np.pi / 2), ("°", 90))
    )
    np.testing.assert_allclose(turned, plain, rtol=1e-6)


def test_a_pattern_means_all_its_tables_and_a_wrong_format_is_told_the_right_ones(domain, tmp_path):
    for i in range(3):
        (tmp_path / f"probe{i}.csv").write_text(f"variable,y,x,value,error\nc,1,{0.5 * i},3,.1\n")
    problem = given(domain, "observe", str(tmp_path / "probe*.csv"))
    np.testing.assert_allclose(problem.extras["observed"]["c"][0][:, 1], [0.0, 0.5, 1.0])
    (tmp_path / "era5.grib2").write_bytes(b"GRIB" + bytes(20))
    (tmp_path / "era5.nc.gz").write_bytes(b"\x1f\x8b" + bytes(20))
    for name, said in (("era5.grib2", "is GRIB; convert it with"), ("era5.nc.gz", "compressed by gzip; unpack it with gunzip")):
        for read in (open_fields, lambda path: given(domain, "observe", path)):
            with pytest.raises(UserError, match=said):
                read(tmp_path / name)
    for name in ("probe", "probe.asc"):
        (tmp_path / name).write_text("variable,y,x,value\n")
        with pytest.raises(UserError, match=r"is not known; expected a table, .csv, .*, or fields, .*.nc"):
            given(domain, "observe", tmp_path / name)


# Fields


def test_several_times_of_a_single_one_are_not_cut_to_the_first(domain, conditioned, field):
    many = field.expand_dims(time=3)
    for model, brought in ((domain, many), (domain, many.coarsen(x=2, y=2).mean()), (conditioned, many)):
        with pytest.raises(UserError, match="take one of the times along 'time' first"):
            given(model, "fill", brought)


def test_two_datasets_are_two_observations(domain, field, x):
    left, right = field[["c"]].where(field.x < 1.1), field[["c"]].where(field.x > 0.9)
    problem = given(domain, "fill", left, right)
    assert len(jax.tree.leaves(problem.observation.value)) == 2 and off(domain, problem, x) < 1e-5
    assert not np.isnan(problem.extras["given"][..., 0]).any()


def test_two_variables_that_are_one_are_refused(domain, field):
    with pytest.raises(UserError, match="'c' and 'C' both are the model's c; leave one of them out"):
        given(domain, "fill", field.assign(C=field.c * 2))


@pytest.mark.parametrize("name", ["c_std", "sigma_c", "c_uncertainty", "C_err", "c_standard_error"])
@pytest.mark.parametrize("number", [True, False])
def test_an_error_beside_a_variable_goes_by_many_names(name, number, domain, field, capsys):
    problem = given(domain, "fill", field[["c"]].assign({name: 0.1 if number else field.c * 0 + 0.1}))
    assert float(problem.observation.noise.std) * domain.scales[0] == pytest.approx(0.1, rel=1e-4)
    assert f"{name} is taken as the error of c" in capsys.readouterr().err


def test_two_errors_of_one_variable_are_refused(domain, field):
    with pytest.raises(UserError, match="'c_error' and 'c_std' both are errors of 'c'"):
        given(domain, "fill", field[["c"]].assign(c_error=0.1, c_std=0.2))


@pytest.mark.parametrize("name, fill", [("c", -9999.0), ("T", -999.0), ("T", -32768.0)])
def test_numbers_that_stand_for_missing_ones_are_refused(name, fill, domain, field):
    with pytest.raises(UserError, match=rf"index \(0, 0\) is {fill:g}, which stands for a missing one; write NaN"):
        given(domain, "fill", field[[name]].where(field.x > 0.3, fill))


def test_sums_in_units_of_another_zero_are_refused_and_means_are_said(domain, field, capsys):
    sums = field[["T"]].coarsen(x=5, y=2).sum()
    sums["T"] = (sums["T"] + 10 * 273.15).assign_attrs(units="K")
    with pytest.raises(UserError, match="'T': a sum is in 'K'; expected 'degC', whose zero is another; give means"):
        given(domain, "fill", sums, "blocks=sum")
    capsys.readouterr()
    given(domain, "fill", field[["T"]].coarsen(x=5, y=2).mean(), "blocks=sum")
    said = capsys.readouterr().err
    assert "each value of T is taken as the sum over y (2) x x (5) points" in said and "far outside" in said


@pytest.mark.parametrize("factors", [(1, 1), (2, 3), (1, 2)])
def test_a_part_of_the_grid_or_of_its_blocks_lies_on_it(factors, domain, field, x):
    some = field.isel(x=slice(0, 6)).coarsen(y=factors[0], x=factors[1]).mean().isel(x=slice(None, None, -1))
    problem = given(domain, "fill", some.transpose("x", "y"))
    assert off(domain, problem, x) < 1e-5 and not problem.extras["observed"]
    known = ~np.isnan(problem.extras["given"][..., 0])
    assert known[:, :6].all() and not known[:, 6:].any()


def test_frames_of_a_part_are_no_frames_and_axes_without_names_are_said(moving, frames, domain, field, tmp_path, capsys):
    with pytest.raises(UserError, match="c is not on the model's grid; expected frames on all of its points"):
        given(moving, "forecast", frames.isel(x=slice(0, 5)))
    np.savez(tmp_path / "c.npz", c=field["c"].values)
    given(domain, "fill", tmp_path / "c.npz")
    assert "'c' has axes without names: taken as y, x, in this order" in capsys.readouterr().err


def test_one_plane_of_a_whole_axis_is_that_plane(tmp_path):
    values = np.random.default_rng(0).standard_normal((9, 3, 4, 5))
    places = {"z": [0.0, 1.0, 2.0], "y": np.arange(4.0), "x": np.arange(5.0)}
    domain = domain_of(xr.Dataset({"p": (("sample", "z", "y", "x"), values)}, places), tmp_path)
    x = domain.dataset("test")[0]["x"]
    plane = domain.to_native(x[None]).isel(sample=0, z=[1])
    problem = given(domain, "fill", plane)
    assert problem.extras["observed"]["p"][0].shape == (20, 3) and off(domain, problem, x) < 1e-5


def test_a_coarse_file_beyond_the_model_s_grid_is_means_there(domain, field):
    wide = xr.concat([field, field.assign_coords(x=field.x + 2.5)], "x")
    problem = given(domain, "wide", wide.coarsen(x=2).mean().isel(x=slice(None, None, -1)))
    assert problem.truth.shape == (6, 20, 2)
    np.testing.assert_allclose(problem.extras["layout"].coordinate("x"), np.arange(20) * 0.25)
    np.testing.assert_allclose(problem.extras["given"][0, ::2, 0], wide.coarsen(x=2).mean()["c"][0], rtol=1e-6)
    with pytest.raises(UserError, match="x has steps of 0.375; expected those of the model, 0.25 mm, or a whole number of them"):
        given(domain, "wide", wide.assign_coords(x=np.arange(20) * 0.375))


def test_values_of_land_alone_are_nothing_and_a_blank_unit_is_none(domain, field, x, tmp_path):
    data = small_dataset(samples=12).isel(time=0, drop=True)
    sea = domain_of(data.where((data.y > 0.6) | (data.x > 0.6)), tmp_path)
    with pytest.raises(UserError, match="all of its values lie where the model has none"):
        given(sea, "fill", field.where((field.y < 0.6) & (field.x < 0.6)))
    blank = field.assign(c=field["c"].assign_attrs(units=" "))
    assert off(domain, given(domain, "fill", blank), x) < 1e-5


# Frames and conditions


def test_dates_of_another_calendar_go_with_plain_ones(moving, frames, tmp_path):
    some = frames.isel(time=slice(0, 2)).assign_coords(
        time=xr.date_range("2026-01-01", periods=2, freq="10s", use_cftime=True, calendar="noleap")
    )
    rows = table(tmp_path, "time,y,x,value,error\n2026-01-01T00:00:20,1,1,3,.1\n")
    problem = given(moving, "fill", some, rows)
    np.testing.assert_allclose(problem.extras["observed"]["c"][0][:, 0], [20.0])
    known = ~np.isnan(given(moving, "fill", some, "start=2025-12-31T23:59:50").extras["given"]).all((1, 2, 3))
    assert known.tolist() == [False, True, True, False]
    with pytest.raises(UserError, match="2028-02-29.*: no date of the calendar of the other times"):
        given(moving, "fill", some, "start=2028-02-29")


def test_times_as_texts_are_read_and_missing_ones_refused(moving, frames):
    some = frames.isel(time=slice(0, 2))
    problem = given(moving, "fill", some.assign_coords(time=["2026-01-01T00:00:00", "2026-01-01T00:00:10Z"]))
    assert problem.extras["start"] == np.datetime64("2026-01-01")
    for times in ([0.0, np.nan], np.array(["2026-01-01", "NaT"], "datetime64[ns]")):
        for task in ("fill", "forecast"):
            with pytest.raises(UserError, match="time is missing at index 1"):
                given(moving, task, some.assign_coords(time=times))
    with pytest.raises(UserError, match="start=nan: expected a number"):
        given(moving, "fill", some, "start=nan")


def test_frames_come_in_the_order_of_their_times(moving, frames):
    orders = slice(None), slice(None, None, -1), [5, 0, 4, 3]
    plain, turned, mixed = (given(moving, "forecast", frames.isel(time=order)) for order in orders)
    for other in (turned, mixed):
        np.testing.assert_array_equal(other.cond["concat"], plain.cond["concat"])
        assert other.extras["start"] == plain.extras["start"] == 40.0


def test_what_is_given_twice_or_is_far_off_is_no_silent_choice(moving, conditioned, frames, field, capsys):
    with pytest.raises(UserError, match="c is in a Dataset, too; expected all of its frames in one file"):
        given(moving, "forecast", frames, frames * 2)
    given(moving, "forecast", frames * 100)
    assert "a Dataset: c, frame 1 of 2: " in capsys.readouterr().err
    with pytest.raises(UserError, match=r"a Dataset \(3\): T is in a Dataset \(2\), too"):
        given(conditioned, "observe", field[["c"]], field[["T"]], field[["T"]])
    given(conditioned, "observe", field[["c"]], field[["T"]].where(field.x > 0.3))
    assert "12 of 60 values of condition T are missing; its mean stands for them" in capsys.readouterr().err


@pytest.mark.parametrize("method, free", [("ddrm", True), ("reddiff(steps=5)", True), ("mmps", False)])
def test_a_method_that_samples_in_its_own_way_needs_no_other_option(method, free, domain):
    from sciddm.commands import steering

    asked = SimpleNamespace(task="observe", method=method, strength=None, solver=None)
    keys = steering(SimpleNamespace(task=domain.tasks.get), asked)
    own = [f"--config.tasks.observe.{name}=None" for name in ("solver", "steps", "grid")]
    assert keys == [f"--config.tasks.observe.method={method}", *(own if free else [])]
