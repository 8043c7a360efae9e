"""What of a user's frames is taken, what is said and what is refused: in one line with both numbers."""

import jax
import numpy as np
import pytest
import xarray as xr
from own_rain import NOW, latlon, projected, storm, times

from domains.weather.transform import decode
from sciddm.errors import UserError
from sciddm.given import things

GAP = np.timedelta64(5, "m")


def problem(domain, *given, task="nowcast"):
    kind = domain.tasks[task]
    return kind.problem_given(jax.random.key(0), things(list(given), kind.given_names))


def past(domain, found):
    """(past, Y, X) dBZ and whether each is known, of a condition."""
    concat = np.asarray(found.cond["concat"])[0]
    return np.moveaxis(decode(concat[..., :4] * domain.normalizer.std + domain.normalizer.mean), -1, 0), np.moveaxis(concat[..., 4:], -1, 0)


def refused(domain, said, *given, task="nowcast"):
    with pytest.raises(UserError, match=said) as error:
        problem(domain, *given, task=task)
    assert "\n" not in str(error.value)


def test_the_newest_frames_are_the_condition_whatever_came_before(domain):
    dbz = storm(9)
    seen, known = past(domain, problem(domain, latlon(dbz)))
    np.testing.assert_allclose(seen, dbz[5:], atol=1e-4)
    assert known.min() == 1
    early = problem(domain, latlon(dbz), "now=2026-06-14T17:30+02:00")
    np.testing.assert_allclose(past(domain, early)[0], dbz[3:7], atol=1e-4)
    assert early.extras["title"] == "2026-06-14 15:30 UTC" and early.truth is None


def test_frames_in_mm_an_hour_packed_or_in_several_files_are_the_same_frames(domain, tmp_path):
    from domains.weather.transform import rain_rate

    dbz = storm()
    packed = latlon(rain_rate(dbz), name="RR", units="mm/h")
    packed.RR.encoding = {"dtype": "int16", "scale_factor": 0.01, "_FillValue": -1}
    packed.to_netcdf(tmp_path / "packed.nc", engine="h5netcdf")
    seen, _ = past(domain, problem(domain, tmp_path / "packed.nc"))
    np.testing.assert_allclose(seen[dbz > 20], dbz[dbz > 20], atol=0.1)
    whole = latlon(dbz)
    paths = [tmp_path / f"{name}.nc" for name in "bacd"]
    for i, path in enumerate(paths):
        whole.isel(time=[i]).to_netcdf(path, engine="h5netcdf")
    for given in (paths, [tmp_path / "[a-d].nc"], [whole], [whole.reflectivity]):
        np.testing.assert_allclose(past(domain, problem(domain, *given))[0], dbz, atol=1e-4)
    refused(domain, "is given twice", *paths, paths[1])


def test_frames_in_memory_are_read_as_their_file_would_be_packed_and_of_no_other_calendar(domain, tmp_path):
    dbz = storm()
    packing = {"dtype": "uint8", "scale_factor": 0.5, "add_offset": -32.0, "_FillValue": 255}
    latlon(dbz).to_netcdf(tmp_path / "packed.nc", engine="h5netcdf", encoding={"reflectivity": packing})
    with xr.open_dataset(tmp_path / "packed.nc", mask_and_scale=False, decode_times=False) as raw:
        np.testing.assert_allclose(past(domain, problem(domain, raw))[0], dbz, atol=0.26)
    when = xr.date_range("2026-06-14T15:25", periods=4, freq="5min", calendar="noleap", use_cftime=True)
    refused(domain, "its times are in the calendar 'noleap'; expected 'standard'", latlon(dbz).assign_coords(time=when))


def test_files_of_another_place_are_no_frames_of_the_same_grid(domain):
    one, other = latlon(storm()).isel(time=[0, 1]), {"time": [2, 3]}
    refused(domain, "first pixel lies at 51.44 N 6.00 E, but at 51.44 N 5.00 E in", one, latlon(storm(), west=6.0).isel(other))
    refused(domain, "expected the same grid in all files", projected(storm()).isel(time=[0, 1]), latlon(storm()).isel(other))
    for same in (latlon(storm(), west=365.0), latlon(storm()).isel(lat=slice(None, None, -1)), latlon(storm(), west=5.001)):
        np.testing.assert_allclose(past(domain, problem(domain, one, same.isel(other)))[0], storm(), atol=1e-4)
    metres = projected(storm(), unit="m").isel(other)
    np.testing.assert_allclose(past(domain, problem(domain, projected(storm()).isel(time=[0, 1]), metres))[0], storm(), atol=1e-4)


def test_frames_some_seconds_off_are_those_of_the_interval(domain):
    late = np.array([3, -12, 8, 0], "timedelta64[s]")
    np.testing.assert_allclose(past(domain, problem(domain, latlon(storm(), times(4) + late)))[0], storm(), atol=1e-4)


def test_frames_before_those_that_fit_and_gaps_elsewhere_are_said(domain, capsys):
    dbz = storm(20)
    dbz[10, 3:9] = np.nan
    problem(domain, latlon(dbz), task="fill")
    assert "4 frame(s) before 2026-06-14 14:25 are left out; the model takes 75 min" in capsys.readouterr().err
    wide = storm(10, (64, 64))
    wide[3, 55:] = np.nan
    refused(domain, "the gaps are elsewhere: choose their window by --given at=LON,LAT", latlon(wide), task="fill")


def test_missing_pixels_and_frames_are_masked_and_said(domain, capsys):
    dbz = storm()
    dbz[:, :5] = np.nan
    found = problem(domain, latlon(dbz).isel(time=[0, 1, 3]))
    seen, known = past(domain, found)
    np.testing.assert_array_equal(known.mean((1, 2)), [27 / 32, 27 / 32, 0, 27 / 32])
    np.testing.assert_allclose(seen[3, 5:], dbz[3, 5:], atol=1e-4)
    said = capsys.readouterr().err
    assert "no frame of 2026-06-14 15:35; taken as missing" in said and "36.7% of the past is missing" in said


def test_a_larger_grid_gives_the_window_with_the_most_rain_or_that_about_a_place(domain, capsys):
    dbz = storm(shape=(80, 64), at=(60, 20))
    found = problem(domain, latlon(dbz)).extras["brought"]
    row, column = np.unravel_index(np.nanargmax(found.known[3]), (32, 32))
    assert 8 < row < 24 and 4 < column < 28 and found.header.shape == (32, 32)
    assert "of its 80 x 64 pixels the 32 x 32 with the most rain, about 51.6" in capsys.readouterr().err
    for given in (latlon(dbz), latlon(dbz, west=365.0)):
        lon, lat = 5.0 + 0.029 * 40, 52.0 - 0.018 * 20
        about = problem(domain, given, f"at={lon},{lat}").extras["brought"].header
        middle = about.y.values.mean(), (about.x.values.mean()) % 360
        np.testing.assert_allclose(middle, (lat, lon), atol=0.03)
    metres = problem(domain, projected(dbz, unit="m"), "at=4250000,3090000").extras["brought"].header
    np.testing.assert_allclose((metres.x.values.mean(), metres.y.values.mean()), (4250e3, 3090e3), atol=2000)
    refused(domain, r"at=60,5: lies outside of .*, \d+.\d+ N .* to ", latlon(dbz), "at=60,5")
    assert problem(domain, latlon(dbz), {"at": (lon, lat)}).extras["brought"].header.y.equals(about.y)
    refused(domain, "did you mean at=5.5,51.5?", latlon(dbz), "at=51.5,5.5")
    refused(domain, "at=here: expected two numbers", latlon(dbz), "at=here")


@pytest.mark.parametrize(
    "given, said",
    [
        (latlon(storm(), times(4, 10)), "frames 10 min apart; expected 5 min.*; make them by --task interpolate"),
        (latlon(storm(), times(4, 1)), "frames 1 min apart; expected 5 min.*; take one in 5"),
        (latlon(storm(1)), r"1 frame\(s\) in the 15 min up to 2026-06-14 15:40; expected 4, 5 min apart, 2 of them at least"),
        (latlon(storm(), pixel=0.5), "pixels of 1 km; expected 2 km, those of the model; --task downscale"),
        (latlon(storm(shape=(24, 40))), "a grid of 24 x 40 pixels; expected at least 32 x 32"),
        (latlon(storm()).drop_vars("reflectivity"), "no field is there"),
        (
            projected(storm()).assign_coords(yc=projected(storm(), unit="m").yc),
            "coordinate 'yc' is in 'm' and 'xc' in 'km'; expected both in one unit",
        ),
        (latlon(storm(), units="m s-1"), "doesn't say that it is rain; add --given units=dBZ"),
        (latlon(storm(), units=""), "add --given units=dBZ, or another of mm/h"),
        (latlon(storm()).assign_coords(time=np.arange(4)), "the times are no dates"),
        (latlon(np.full((4, 32, 32), np.nan, np.float32)), "the newest frame, .* is missing all over"),
        (latlon(storm(), np.r_[times(3, now=NOW - 4 * GAP), NOW]), r"1 frame\(s\) in the 15 min"),
        (latlon(storm(), np.r_[times(3, now=NOW - GAP), NOW + GAP * 2 // 5]), "2 min off the steps of 5 min"),
    ],
)  # fmt: skip
def test_frames_that_do_not_fit_are_refused_with_what_would(domain, given, said):
    refused(domain, said, given)


def test_what_is_no_frame_is_refused(domain, tmp_path):
    (tmp_path / "gauges.csv").write_text("time,lon,lat,value [mm/h]\n2026-06-14 15:45,5,51,1\n")
    refused(domain, "no frames among it; expected the newest 4 frames of radar, 5 min apart", tmp_path / "gauges.csv")
    refused(domain, "a table; --task assimilate takes gauges", latlon(storm()), tmp_path / "gauges.csv")
    for task in ("fill", "interpolate", "downscale"):
        refused(domain, "a table; --task assimilate takes gauges", latlon(storm()), tmp_path / "gauges.csv", task=task)
    refused(domain, "nwo=2026-06-14: can't be meant here", latlon(storm()), {"nwo": "2026-06-14"})
    stations = f"staions={tmp_path / 'gauges.csv'}"
    refused(domain, "can't be meant here; did you mean stations?", latlon(storm()), stations, task="assimilate")
    refused(domain, "gauges.csv: can't be meant here; expected", latlon(storm()), f"stations={tmp_path / 'gauges.csv'}")
    refused(domain, "newest.nc: no such file", "newest.nc")
    refused(domain, "now=soon|'soon'; expected a date", latlon(storm()), "now=soon")
    refused(domain, "no frame up to 2020", latlon(storm()), "now=2020-01-01")
    refused(domain, "at is given twice", latlon(storm()), "at=5,51", "at=5,51")
    (tmp_path / "a.nc").write_text("no netCDF")
    refused(domain, "a.nc: can't be read", tmp_path / "a.nc")


def test_a_projection_that_can_not_be_read_is_said_and_gives_no_places(domain, capsys):
    for attrs in ({"grid_mapping_name": "nonsense"}, {"grid_mapping_name": "polar_stereographic"}):
        frames = projected(storm(shape=(64, 64)))
        frames.laea.attrs = attrs
        kind, found = domain.tasks["nowcast"], problem(domain, frames)
        native = kind.to_native(np.zeros((1, 32, 32, 16), np.float32), found)
        assert "lon" not in native.variables and native.laea.attrs == attrs
        said = capsys.readouterr().err
        assert "the grid mapping 'laea' lacks something or is not known" in said and "about xc = " in said


def test_wide_takes_all_of_the_grid_and_a_rollout_goes_on_in_time(domain):
    wide = problem(domain, projected(storm(shape=(48, 40))), task="wide")
    assert wide.truth.shape == (48, 40, 16) and np.isnan(wide.truth[..., 4:]).all() and wide.cond["concat"].shape == (1, 48, 40, 8)
    longer = problem(domain, projected(storm(shape=(32, 32))), task="rollout")
    last = longer.extras["brought"].times[-1]
    assert last == NOW + (domain.tasks["rollout"].length - 4) * GAP
    refused(domain, "a grid of 20 x 48 pixels", projected(storm(shape=(20, 48))), task="wide")


def test_gaps_coarse_fields_and_frames_further_apart_are_what_is_observed(domain):
    dbz = storm(10)
    dbz[3, 4:9, 5:11] = np.nan
    given = latlon(dbz).isel(time=[0, 1, 2, 3, 4, 6, 7, 8, 9])
    fill = problem(domain, given, task="fill")
    seen = np.moveaxis(np.asarray(fill.observation.operator.mask), -1, 0)
    assert seen[5].max() == 0 and seen[10:].max() == 0 and (seen[3] == 0).sum() == 30 and fill.extras["brought"].kept == 10
    refused(domain, "nothing is missing in its 10 frames", latlon(storm(10)), task="fill")
    apart = problem(domain, latlon(storm(4), times(4, 20)), task="interpolate")
    np.testing.assert_array_equal(np.flatnonzero(np.asarray(apart.observation.operator.mask).max((0, 1))), [0, 4, 8, 12])
    assert apart.extras["brought"].kept == 13
    refused(domain, "frames 5 min apart; expected 2 to 15 times 5 min", latlon(storm(4)), task="interpolate")
    refused(domain, "frames 12 min apart; expected 2 to 15 times 5 min", latlon(storm(4), times(4, 12)), task="interpolate")
    coarse = storm(6).reshape(6, 16, 2, 16, 2).mean((2, 4))
    means = problem(domain, latlon(coarse, pixel=2), task="downscale")
    assert means.observation.operator.factor == 2 and means.extras["brought"].header.shape == (32, 32)
    refused(domain, r"pixels of 6 km; expected 2 km, the model's, times one of \[2, 4, 8, 16\]", latlon(coarse, pixel=3), task="downscale")
    rates = latlon(coarse, pixel=2, units="mm/h").isel(time=[3, 4, 5])
    refused(domain, "some frames are in dBZ and some are rain rates", latlon(coarse, pixel=2).isel(time=[0, 1, 2]), rates, task="downscale")
    refused(domain, "everything is missing", latlon(np.full((4, 32, 32), np.nan, np.float32), times(4, 20)), task="interpolate")
    native = domain.tasks["downscale"].to_native(np.zeros((2, 32, 32, 16), np.float32), means)
    np.testing.assert_allclose(native.lat.values.reshape(16, 2).mean(1), latlon(coarse, pixel=2).lat, atol=1e-9)
    assert native.sizes["time"] == 6 and isinstance(native, xr.Dataset)


def test_a_code_that_the_file_does_not_declare_is_said_where_frames_are_given(domain):
    coded = latlon(np.where(np.arange(32) == 5, np.float32(95.5), storm()))
    refused(domain, "is 95.5 dbz at index .*--given missing=95.5$", coded)
    seen, known = past(domain, problem(domain, coded, "missing=95.5"))
    assert (known[:, :, 5] == 0).all() and known.sum() == known.size * 31 / 32
    np.testing.assert_array_equal(past(domain, problem(domain, coded, "valid=0,80"))[1], known)
    refused(domain, "missing=x: expected numbers", coded, "missing=x")
    ranged = latlon(np.where(np.arange(32) == 5, np.float32(79), storm()), valid_max=70.0)
    np.testing.assert_array_equal(past(domain, problem(domain, ranged))[1], known)
