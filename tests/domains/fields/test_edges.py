"""Files and keys at the edge of what there may be: handled, or refused in one line with a way out."""

import numpy as np
import pytest
import xarray as xr

from configs.fields import get_config
from sciddm.domain import get_domain
from sciddm.errors import UserError
from tests.fields_domains import batch, domain_of, restored, source_of

rng = np.random.default_rng(0)
U = rng.normal(size=(20, 8, 9)).astype("f4")
DIMS = ("sample", "y", "x")
HOURS = np.datetime64("2000-01-01", "ns") + np.arange(60) * np.timedelta64(6, "h")
MONTHS = np.arange("2000-01", "2005-01", dtype="M8[M]").astype("M8[ns]")
NOLEAP = xr.date_range("2000-01-01", periods=60, freq="D", calendar="360_day", use_cftime=True)


def own(values=U, dims=DIMS, coords=None, **more):
    return xr.Dataset({"u": (dims, values, {"units": "K"})} | more, coords or {})


def over(times, attrs=None):
    return own(np.resize(U, (60, 8, 9)), ("time", "y", "x"), {"time": ("time", times, attrs or {})})


def on(**coordinate):
    return own(coords={"x": ("x", coordinate["lon"], {"units": "degrees_east"})})


def refused(dataset, folder, **data) -> str:
    with pytest.raises(UserError) as error:
        domain_of(dataset, folder, **data).dataset("train")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("about", "spread", "said"),
    [
        (101325.0, 0.01, "steps of 0.00781"), (1e9, 1.0, "constant over the training split, in single precision"),
        (0.0, 1e-42, "steps of 1.18e-38"), (5.0, 0.0, "constant"),
    ],
)  # fmt: skip
def test_what_single_precision_does_not_hold_is_refused(about, spread, said, tmp_path):
    message = refused(own(about + spread * U.astype(float)), tmp_path)
    assert said in message and "'u'" in message


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_huge_and_tiny_values_come_back_as_they_were(scale, tmp_path):
    domain = domain_of(own(scale * U.astype(float)), tmp_path)
    x = batch(domain, count=2)
    z = domain.normalizer.normalize(x)
    assert 0.2 < np.std(z) < 5
    np.testing.assert_allclose(domain.normalizer.denormalize(z), x, atol=1e-5 * scale)


def test_a_value_outside_of_its_transform_s_range_is_named_in_what_is_held_out_too(tmp_path):
    values = np.exp(U)
    values[19, 3, 4] = -2.0
    message = refused(own(values), tmp_path, transforms=("u=log",))
    assert "'u' is -2 at sample 19, time 0, point (3, 4)" in message and "range (0, inf)" in message


def test_components_that_turn_their_sign_take_no_transform_of_one_sign(tmp_path):
    both = own(np.exp(U), v=(DIMS, U))
    vectors = {"vectors": (("u", "v"),), "augment": ("x",)}
    assert "turns its sign" in refused(both, tmp_path, transforms=("u=log",), **vectors)
    assert domain_of(both, tmp_path, transforms=("u=asinh",), **vectors).variables == ("u", "v")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"vectors": (("u", "w"),)}, "config.data.vectors: no variable 'w', found u"),
        ({"vectors": (("u", "u"),)}, "expected tuples of names"),
        ({"crop": ("y=0:4", "y=1:3")}, "config.data.crop: 'y' is named twice"),
        ({"crop": ("y=a:b",)}, "expected two indices, such as 'y=0:8'"),
        ({"held_out": float("inf")}, "config.data.held_out = inf"),
        ({"held_out": 20.0}, "a number from 1 to 19"),
    ],
)
def test_keys_that_mean_nothing_are_refused(data, said, tmp_path):
    assert said in refused(own(), tmp_path, **data)


def test_more_components_than_dimensions_of_space_are_refused(tmp_path):
    line = own(U[:, 0], ("sample", "x"), v=(("sample", "x"), U[:, 1]))
    assert "('u', 'v') has 2 components" in refused(line, tmp_path, vectors=(("u", "v"),))


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (np.where(np.arange(60) == 5, np.datetime64("NaT"), HOURS), "missing at index 5"),
        (np.where(np.arange(60) == 7, np.nan, np.arange(60.0)), "missing at index 7"),
        (np.repeat(np.arange(30.0), 2), "the same at index 0 and 1"),
        (np.array(["spring", "fall"] * 30), "--config.data.sample_dim=time"),
    ],
)
def test_times_that_do_not_go_on_are_refused_for_windows_with_their_index(times, said, tmp_path):
    assert said in refused(over(times), tmp_path, window=4)


def test_the_way_out_of_seasons_by_name_works(tmp_path):
    assert domain_of(over(np.array(["spring", "fall"] * 30)), tmp_path, sample_dim="time").layout.sample == "time"


def test_dates_in_words_are_dates(tmp_path):
    days = np.array([f"2000-01-{1 + i:02d}" for i in range(20)])
    source = source_of(own(dims=("time", "y", "x"), coords={"time": days}), tmp_path, window=3)
    assert (source.plan.layout.step, source.plan.layout.time_units) == (1.0, "days")


@pytest.mark.filterwarnings("ignore")
def test_times_that_cannot_be_decoded_go_through_the_checkpoint(tmp_path):
    domain = domain_of(over(np.arange(60.0), {"units": "days since whenever"}), tmp_path, window=4)
    again = restored(domain, window=4)
    written = again.to_native(batch(domain, count=2))
    again.save(written, tmp_path / "samples.nc")
    with xr.open_dataset(tmp_path / "samples.nc") as found:
        np.testing.assert_array_equal(found["time"], np.arange(4.0))


@pytest.mark.parametrize(
    ("times", "crop", "count"),
    [
        (HOURS, "2000-01-03T06:00:2000-01-04T12:00", 6), (HOURS, "2000-01-03:2000-01-04", 8), (MONTHS, "2001:2002", 24),
        (NOLEAP, "2000-01:2000-01", 30), (NOLEAP, "2000-01-30:2000-02-02", 3), (HOURS[::-1], "2000-01-03:2000-01-04", 8),
        (HOURS, ":2000-01-02", 8), (np.arange(60.0), "50:", 10),
    ],
)  # fmt: skip
def test_a_crop_in_time_takes_dates_of_any_calendar_and_all_of_what_its_last_one_means(times, crop, count, tmp_path):
    assert len(source_of(over(times), tmp_path, crop=(f"time={crop}",)).times) == count


@pytest.mark.parametrize(("lon", "crop"), [(np.arange(9) * 40.0, "350:10"), ((np.arange(9) * 40.0 + 180) % 360, "100:250")])
def test_a_crop_in_two_pieces_is_refused(lon, crop, tmp_path):
    assert f"x={crop}: lies in two pieces" in refused(on(lon=lon), tmp_path, crop=(f"x={crop}",))


@pytest.mark.parametrize(
    ("lon", "said"),
    [
        (np.where(np.arange(9) == 3, np.nan, np.arange(9.0)), "'x' is nan at index 3"),
        (np.repeat(np.arange(5.0), 2)[1:], "'x' is 1.0 at index 1, as elsewhere"),
    ],
)
def test_a_coordinate_that_does_not_tell_points_apart_is_refused(lon, said, tmp_path):
    assert said in refused(on(lon=lon), tmp_path)


def test_points_without_a_latitude_weigh_as_the_mean_of_the_others(tmp_path):
    latitude = np.broadcast_to(np.linspace(0, 60, 8)[:, None], (8, 9)).copy()
    latitude[2:4, 5:] = np.nan
    curvilinear = own(coords={"lat": (("y", "x"), latitude, {"units": "degrees_north"})})
    weights = domain_of(curvilinear, tmp_path).layout.weights
    cosine = np.cos(np.deg2rad(latitude))
    expected = np.where(np.isnan(cosine), np.nanmean(cosine), cosine)
    np.testing.assert_allclose(weights, expected / expected.mean())


def test_static_fields_of_fewer_dimensions_are_the_same_along_the_others(tmp_path):
    high = rng.normal(size=(8, 9))
    deep = xr.Dataset({"u": (("sample", "z", "y", "x"), U.reshape(10, 2, 8, 9)), "h": (("y", "x"), high)})
    found = domain_of(deep, tmp_path, static=("h",)).given()["concat"][0, ..., 0]
    normal = (high - high.mean()) / high.std()
    np.testing.assert_allclose(found, np.broadcast_to(normal, (2, 8, 9)), atol=1e-6)


def test_a_static_field_is_found_beside_a_dimension_of_one_point(tmp_path):
    flat = xr.Dataset({"u": (("sample", "z", "y", "x"), U[:, None]), "h": (("y", "x"), U[0])})
    domain = domain_of(flat, tmp_path)
    assert domain.layout.statics == ("h",) and domain.example.shape == (8, 9, 1)


@pytest.mark.filterwarnings("error")
def test_a_static_field_without_values_says_nothing(tmp_path):
    found = domain_of(own(h=(("y", "x"), np.full((8, 9), np.nan))), tmp_path).given()["concat"]
    np.testing.assert_array_equal(found, 0.0)


def test_the_key_that_a_message_names_can_be_typed_whatever_the_dimension_is_called(tmp_path):
    message = refused(own(dims=("run no", "a b", "c d")), tmp_path)
    assert "set --config.data.sample_dim='run no', or another" in message


def test_names_that_are_listed_twice_are_taken_once(tmp_path):
    assert domain_of(own(v=(DIMS, U + 1)), tmp_path, variables=("u", "u"), condition=("v", "v")).variables == ("u",)


@pytest.mark.parametrize(("count", "suggested"), [(12, False), (100, True)])
def test_windows_are_suggested_where_there_are_times_for_them(count, suggested, tmp_path, capsys):
    domain_of(own(np.resize(U, (count, 8, 9)), ("time", "y", "x")), tmp_path)
    assert ("--config.data.window=8" in capsys.readouterr().err) == suggested


def test_a_model_whose_file_is_gone_or_another_says_how_to_name_it(tmp_path):
    domain = domain_of(own(), tmp_path)
    with pytest.raises(UserError, match=r"gone.nc: no such file.*wherever they are by --config.data.path=FILE"):
        restored(domain, path=str(tmp_path / "gone.nc")).dataset("test")
    own(U[:, 1:]).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(UserError, match=r"grid \(7, 9\), but \(8, 9\) of the model.*--config.data.path=FILE"):
        restored(domain, path=str(tmp_path / "other.nc")).dataset("test")


def test_a_task_s_variable_that_the_file_has_not_is_named_by_its_key(tmp_path):
    own().to_netcdf(tmp_path / "own.nc", engine="h5netcdf")
    config = get_config()
    config.data.update({"path": str(tmp_path / "own.nc"), "cache": str(tmp_path)})
    config.tasks.observe = {"variable": "T"}
    with pytest.raises(UserError, match=r"config.tasks.observe.variable = 'T': expected one of u"):
        get_domain(config)


def test_a_model_with_conditions_has_no_task_that_needs_more_of_them(tmp_path):
    series = own(dims=("time", "y", "x"), v=(("time", "y", "x"), U))
    later = {"rollout", "wide"}
    assert later <= {*domain_of(series, tmp_path, window=2).tasks}
    assert not later & {*domain_of(series, tmp_path, "again.nc", window=2, condition=("v",)).tasks}


def test_the_way_out_of_too_many_dimensions_of_space_works(tmp_path):
    deep = own(U.reshape(10, 2, 2, 4, 9), ("sample", "w", "z", "y", "x"), {"x": np.arange(9.0)})
    message = refused(deep, tmp_path)
    assert "--config.data.crop=x=0.0:0.0" in message
    assert domain_of(deep, tmp_path, crop=("x=0.0:0.0",)).example.shape == (2, 2, 4, 1)


@pytest.mark.filterwarnings("error::UserWarning")
def test_coordinates_of_words_are_written_to_zarr_as_its_specification_has_them(tmp_path):
    domain = domain_of(own(coords={"y": [*"abcdefgh"], "place": ((), "north")}), tmp_path)
    domain.save(domain.to_native(batch(domain, count=2)), tmp_path / "samples.zarr")
    with xr.open_zarr(tmp_path / "samples.zarr", consolidated=False) as found:
        assert found["y"].values.tolist() == [*"abcdefgh"] and found["place"].item() == "north"
