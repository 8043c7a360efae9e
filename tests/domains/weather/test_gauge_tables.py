"""Rain gauges as users have them in tables: where and when they count, in dBZ with their errors; what can't be meant is one line."""

import jax
import numpy as np
import pandas as pd
import pyproj
import pytest
from own_rain import latlon, projected, storm

from domains.weather.gauge_tables import SLOPE
from domains.weather.transform import NO_ECHO, rain_rate, reflectivity
from sciddm import lookahead
from sciddm.errors import UserError
from sciddm.given import things

FRAMES = latlon(storm())
LON, LAT = FRAMES.lon.values, FRAMES.lat.values[::-1]  # by column, by row from the south


def problem(domain, *given):
    kind = domain.tasks["assimilate"]
    return kind.problem_given(jax.random.key(0), things(list(given), kind.given_names))


def seen(domain, found):
    """(rows, columns, frames), dBZ and its standard deviation of an observation of points."""
    observation = found.observation
    place, frame = np.divmod(np.asarray(observation.operator.indices), 16)
    value = np.asarray(observation.value) * domain.normalizer.std + domain.normalizer.mean
    std = np.broadcast_to(np.asarray(observation.noise.std), value.shape) * domain.normalizer.std
    return (*np.divmod(place, 32), frame), value, std


def table(path, *rows, header="time,lon,lat,value [mm/h]", name="gauges.csv"):
    (path / name).write_text("\n".join([header, *rows]) + "\n")
    return path / name


def row(minute, r, c, *rest):
    return ",".join(map(str, (f"2026-06-14T15:{minute}Z" if minute < 60 else f"2026-06-14T16:{minute - 60:02d}Z", LON[c], LAT[r], *rest)))


def test_a_report_is_of_its_pixel_and_its_frame_in_dbz_with_the_error_of_its_rate(domain, tmp_path):
    path = table(tmp_path, row(45, 3, 7, 8.0, 0.8), row(61, 20, 30, 2.0, ""), header="time,lon,lat,value [mm/h],error")
    places, value, std = seen(domain, problem(domain, FRAMES, path))
    np.testing.assert_array_equal(places, [[3, 20], [7, 30], [4, 7]])  # 15:45 is the first frame of the forecast, 16:01 the fourth
    np.testing.assert_allclose(value, reflectivity(np.array([8.0, 2.0])), atol=1e-4)
    np.testing.assert_allclose(std, [max(SLOPE * 0.1, 1.0), domain.tasks["assimilate"].gauge_dbz], rtol=1e-5)
    # by finite differences the slope is that of Z = 200 R^1.6
    assert SLOPE == pytest.approx(float((reflectivity(np.float64(8.08)) - reflectivity(np.float64(8.0))) / 0.01), rel=0.01)


@pytest.mark.parametrize(
    "header, cells",
    [
        ("time,lon,lat,value [mm/h]", "6"), ("time,lon,lat,value (mm),interval [min]", "0.5,5"),
        ("time,lon,lat,rain [mm],interval [h]", "3,0.5"), ("time,lon,lat,rain [mm],interval [hr]", "3,0.5"),
        ("time,lon,lat,rain [mm],interval [mins]", "3,30"), ("time,lon,lat,rain [mm],interval [sec]", "3,1800"),
        ("Time,Longitude,Latitude,rain,units", "6,mm/h"), ("time,lon,lat,dbz", str(float(reflectivity(np.float64(6.0))))),
    ],
)  # fmt: skip
def test_rates_amounts_and_dbz_of_the_same_rain_are_the_same_rain(domain, tmp_path, header, cells):
    found = problem(domain, FRAMES, table(tmp_path, row(60, 3, 7, cells), header=header)).observation
    value = np.asarray(found.value) * domain.normalizer.std + domain.normalizer.mean
    np.testing.assert_allclose(value, reflectivity(np.float64(6.0)), atol=1e-3)


def test_amounts_without_an_interval_are_of_the_station_s_own_step(domain, tmp_path):
    rows = [f"{minute},A,{LON[4]},{LAT[4]},1.0" for minute in ("2026-06-14 15:50", "2026-06-14 16:00", "2026-06-14 16:10")]
    found = problem(domain, FRAMES, table(tmp_path, *rows, header="time,station,lon,lat,rain [mm]")).observation
    # 1 mm in ten minutes is a mean of 6 mm/h over two frames
    np.testing.assert_array_equal(found.operator.groups % 16, [[5, 4], [7, 6], [9, 8]])
    x = np.full((1, 32, 32, 16), float(reflectivity(np.float64(6.0))), np.float32)
    np.testing.assert_allclose(found.residual(domain.normalizer.normalize(x)), 0, atol=1e-3)
    with pytest.raises(UserError, match="line 2: one report in mm, over a time that is not said; add a column interval"):
        problem(domain, FRAMES, table(tmp_path, rows[0], header="time,station,lon,lat,rain [mm]"))


def test_an_amount_in_its_unit_s_own_minutes_is_of_all_its_frames(domain, tmp_path):
    found = problem(domain, FRAMES, table(tmp_path, row(60, 3, 7, 1.5), header="time,lon,lat,rain [mm/15min]")).observation
    np.testing.assert_array_equal(np.sort(found.operator.groups % 16), [[5, 6, 7]])


def test_errors_are_in_the_unit_of_their_header_and_no_other(domain, tmp_path):
    for header, cells, std in (
        ("time,lon,lat,value [mm/h],error [dBZ]", (6, 2.5), 2.5), ("time,lon,lat,value [mm/h],error [mm/h]", (6, 2), SLOPE / 3),
        ("time,lon,lat,value [mm],interval,error [mm/h]", (0.5, 5, 2), SLOPE / 3),
        ("time,lon,lat,value [mm],interval,error [mm]", (0.5, 5, 1 / 6), SLOPE / 3), ("time,lon,lat,dbz,error", (30, 3), 3),
    ):  # fmt: skip
        path = table(tmp_path, row(45, 3, 7, *cells), header=header)
        np.testing.assert_allclose(seen(domain, problem(domain, FRAMES, path))[2], std, 1e-5)
    for header, unit in (("value [mm/h],error [%]", "mm/h"), ("value [mm/h],error [mm]", "mm/h"), ("dbz,error [mm/h]", "dBZ")):
        with pytest.raises(UserError, match=f"line 2: error is in '.*'; expected {unit}, the unit of"):
            problem(domain, FRAMES, table(tmp_path, row(45, 3, 7, 6, 1), header=f"time,lon,lat,{header}"))


def test_times_and_places_are_in_the_units_of_their_headers(domain, tmp_path):
    rows = f"2026-06-14 17:45,{LON[7]},{LAT[3]},6"
    places, _, _ = seen(domain, problem(domain, FRAMES, table(tmp_path, rows, header="time [UTC+02:00],lon [°E],lat (deg),value [mm/h]")))
    np.testing.assert_array_equal(places, [[3], [7], [4]])
    frames = projected(storm())
    x, y = 1000 * frames.xc.values[5], 1000 * frames.yc.values[::-1][6]
    metres = table(tmp_path, f"2026-06-14 15:45,{x},{y},3", header="time,x [m],y [m],value [mm/h]")
    np.testing.assert_array_equal(seen(domain, problem(domain, frames, metres))[0], [[6], [5], [4]])
    for header, said in (
        ("time [CEST],lon,lat", "time is in 'CEST'; expected UTC, or hours from it, such as time .\\+02:00."),
        ("time,lon [degrees_west],lat", "lon is in 'degrees_west'; expected degrees, east and north"),
        ("time,x [m],y [m]", "x is in 'm'; expected degrees_east of the frames' coordinates"),
    ):
        with pytest.raises(UserError, match=said):
            problem(domain, FRAMES, table(tmp_path, row(45, 3, 7, 6), header=f"{header},value [mm/h]"))
    with pytest.raises(UserError, match="the grid reaches from xc = 4200, yc = 3000 km to xc = 4262"):
        problem(domain, frames, table(tmp_path, f"2026-06-14 15:45,{x},{y},3", header="time,x,y,value [mm/h]"))


def test_a_sum_over_more_than_is_known_is_left_out(domain, tmp_path, capsys):
    rows = [row(60, 3, 7, 5, 1440), row(60, 4, 7, 5, 40), row(60, 5, 7, 5, 45)]
    header = "time,lon,lat,rain [mm],interval [min]"
    found = problem(domain, FRAMES, table(tmp_path, *rows, header=header)).observation
    assert found.operator.groups.shape == (1, 8) and (found.operator.groups >= 0).all()
    assert "2 of 3 reports sum up more than the 20 min of the past and what came after it; they are left out, the first in line 2" in (
        capsys.readouterr().err
    )
    with pytest.raises(UserError, match="line 2: 1 of 1 reports sum up more than the 20 min"):
        problem(domain, FRAMES, table(tmp_path, rows[0], header=header))


def test_tables_add_up_and_no_report_counts_twice(domain, tmp_path):
    for minute in (45, 50):
        table(tmp_path, row(minute, 3, 7, 6), name=f"g{minute}.csv")
    places, _, _ = seen(domain, problem(domain, FRAMES, str(tmp_path / "g*.csv")))
    np.testing.assert_array_equal(places, [[3, 3], [7, 7], [4, 5]])
    with pytest.raises(UserError, match="g45.csv, line 2: a second report of .*, also in .*g45.csv, line 2"):
        problem(domain, FRAMES, str(tmp_path / "g*.csv"), tmp_path / "g45.csv")


def test_no_rain_is_explained_by_all_that_the_gauge_can_not_tell_from_it(domain, tmp_path):
    found = problem(domain, FRAMES, table(tmp_path, row(45, 3, 7, 0), row(45, 4, 7, 1.2), row(50, 3, 7, 6))).observation
    assert isinstance(found.noise, lookahead.Clipped)
    limit = float(reflectivity(np.float64(1.2)))  # the least that this gauge reports
    normal = domain.normalizer.normalize
    for dbz, explained in ((NO_ECHO, True), (limit - 0.1, True), (limit + 10, False)):
        residual = np.asarray(found.residual(np.full((1, 32, 32, 16), normal(np.float32(dbz)))))[0]
        assert (residual[0] == 0) == explained, dbz
    assert float(residual[0] * domain.normalizer.std) == pytest.approx(-10, abs=1e-3)


def test_what_a_gauge_resolves_is_of_its_own_unit(domain, tmp_path):
    rows = [row(45, 3, 7, 0, "mm/h", ""), row(45, 9, 7, 6, "mm/h", ""), row(45, 12, 7, 0.1, "mm", 5), row(45, 15, 7, 0, "mm", 5)]
    noise = problem(domain, FRAMES, table(tmp_path, *rows, header="time,lon,lat,value,units,interval")).observation.noise
    low = np.asarray(noise.low) * domain.normalizer.std + domain.normalizer.mean
    np.testing.assert_allclose(rain_rate(low[[0, 3]]), [6.0, 1.2], rtol=1e-4)


def test_stations_stand_where_another_table_says(domain, tmp_path):
    stations = table(tmp_path, f"7,{LON[7]},{LAT[3]}", f"8,{LON[8] + 360},{LAT[4]}", header="station,lon,lat", name="stations.csv")
    reports = table(tmp_path, "2026-06-14 17:45+02:00,8,3.0", "2026-06-14 17:45+02:00,7,3.0", header="time,station,value [mm/h]")
    for extra in (stations, f"stations={stations}", pd.read_csv(stations)):
        places, _, _ = seen(domain, problem(domain, FRAMES, reports, extra))
        np.testing.assert_array_equal(places, [[4, 3], [8, 7], [4, 4]])
    frames = projected(storm())
    x, y = frames.xc.values[5], frames.yc.values[::-1][6]
    places, _, _ = seen(domain, problem(domain, frames, table(tmp_path, f"2026-06-14 15:45,{x},{y},3", header="time,x,y,value [mm/h]")))
    np.testing.assert_array_equal(places, [[6], [5], [4]])
    to_degrees = pyproj.Transformer.from_crs(pyproj.CRS.from_cf(frames.laea.attrs), 4326, always_xy=True)
    lon, lat = to_degrees.transform(1000 * x, 1000 * y)
    places, _, _ = seen(domain, problem(domain, frames, table(tmp_path, f"2026-06-14 15:45,{lon},{lat},3")))
    np.testing.assert_array_equal(places, [[6], [5], [4]])


def test_reports_of_other_times_and_places_are_left_out_and_said(domain, tmp_path, capsys):
    elsewhere = "2026-06-14 17:30,5.1,51.8,1", "2026-06-14 15:50,9,51.8,1"
    path = table(tmp_path, row(40, 3, 7, 1), row(45, 3, 7, 1), *elsewhere, row(50, 9, 9, ""))
    places, _, std = seen(domain, problem(domain, FRAMES, path))
    assert places[0].tolist() == [3, 9] and std[1] > 1000  # a report without a value counts for nothing
    said = capsys.readouterr().err
    for line in ("1 of 5 reports up to the newest frame are left out, the first in line 2", "1 of 5 reports after the forecast ends",
                 "1 of 5 reports outside of the grid are left out, the first in line 5", "1 reports without a value"):  # fmt: skip
        assert line in said


def test_a_gauge_on_the_edge_is_of_the_outermost_pixel(domain, tmp_path):
    for frames, edge in ((FRAMES, 31), (latlon(storm(shape=(64, 64))), 31)):
        lon, lat = frames.lon.values, frames.lat.values[::-1]
        east, north = lon[-1] + (lon[1] - lon[0]) / 2 - 1e-13, lat[-1] + (lat[1] - lat[0]) / 2 - 1e-13
        path = table(tmp_path, f"2026-06-14 15:45,{float(east)!r},{float(lat[-4])!r},1", f"2026-06-14 15:45,{lon[-3]},{float(north)!r},1")
        places, _, _ = seen(domain, problem(domain, frames, path))
        np.testing.assert_array_equal(places[:2], [[28, edge], [edge, 29]])


def test_a_window_is_where_most_gauges_stand(domain, tmp_path):
    frames = latlon(storm(shape=(64, 64)))
    lon, lat = frames.lon.values, frames.lat.values[::-1]
    rows = [f"2026-06-14 15:45,{lon[40 + i]},{lat[50]},1" for i in range(3)]
    found = problem(domain, frames, table(tmp_path, *rows)).extras["brought"]
    assert len(found.reports[0]) == 3 and abs(found.header.y.values.mean() - lat[50]) < 0.1


@pytest.mark.parametrize(
    "rows, header, said",
    [
        (["2026-06-14 15:45,5.1,51.8,-1"], None, "line 2: value is -1 mm/h; expected 0 to 600 mm/h; leave empty"),
        (["2026-06-14 15:45,5.1,51.8,900"], None, "line 2: value is 900 mm/h"),
        (["2026-06-14 15:45,5.1,51.8,1"], "time,lon,lat,value", "line 2: value is in 'no unit'; expected mm/h, mm, or dBZ"),
        (["2026-06-14 15:45,5.1,51.8,1"], "time,lon,lat,value [inch]", "line 2: value is in 'inch'"),
        (["2026-06-14 15:45,5.1,51.8,1,0"], "time,lon,lat,value [mm/h],error", "line 2: error is 0; expected one standard deviation"),
        (["2026-06-14 15:45,51.8,5.1,1"], None, "no report is inside of the grid.*; lon and lat are swapped"),
        (["2026-06-14 15:45,5.1,151.8,1"], None, "line 2: lat is 151.8; expected -90 to 90"),
        (["2026-06-14 15:45,5.1,51.8,1"] * 2, None, r"line 3: a second report of .* at 2026-06-14 15:45, also in line 2 \(1 and 1\)"),
        (["15:45,5.1,51.8,1"], None, "line 2: time is '15:45'; it has no date"),
        ([",5.1,51.8,1"], None, "line 2: no time"),
        (["2026-06-15 15:45,5.1,51.8,1"], None, "no report is inside of the grid and between.*are its times in UTC"),
        (["2026-06-14 15:45;5.1;51.8;0,4"], "time;lon;lat;value [mm/h]", "line 2: value is '0,4'; expected a number; write 0.4"),
        (["2026-06-14 15:45,A,1"], "time,station,value [mm/h]", "has stations and no places; add --given stations=FILE"),
        (["2026-06-14 15:45,1"], "time,value [mm/h]", "no column 'lon', where a gauge stands"),
        (["2026-06-14 15:45,5.1,51.8,1"], "time,lon,lat,wetness", "no column 'value', what a gauge reports"),
        (["2026-06-14 15:45,5.1,,1"], None, "line 2: no place; expected lon and lat"),
        (["2026-06-14 15:45,5.1,51.8,1,1"], "time,lon,lat,value [mm],interval [d]", "interval is in 'd'; expected min, h or s"),
        (["2026-06-14 15:45,5.1,51.8,1,-5"], "time,lon,lat,value [mm/h],interval", "line 2: interval is -5; expected minutes above 0"),
        (["2026-06-14 15:45,5.1,51.8,"], None, "no report inside of the grid and the time of the forecast has a value"),
    ],
)  # fmt: skip
def test_tables_at_fault_are_refused_with_the_line_and_a_way_out(domain, tmp_path, rows, header, said):
    with pytest.raises(UserError, match=said) as error:
        problem(domain, FRAMES, table(tmp_path, *rows, header=header or "time,lon,lat,value [mm/h]"))
    assert "\n" not in str(error.value)


def test_stations_at_fault_are_refused_with_the_line(domain, tmp_path):
    reports = table(tmp_path, "2026-06-14 15:45,Delft,3.0", header="time,station,value [mm/h]")
    for rows, said in (
        (["Delf,5.1,51.8"], "gauges.csv, line 2: station 'Delft' is not in .*stations.csv; did you mean Delf?"),
        (["Delft,5.1,51.8", "Delft,5.2,51.8"], "stations.csv, line 3: station 'Delft' is there twice, also in line 2"),
        (["Delft,,51.8"], "stations.csv, line 2: no place"),
        (["00Delft,5.1,51.8"], "station 'Delft' is not in .*; there is '00Delft': write it alike in both tables"),
    ):
        stations = table(tmp_path, *rows, header="station,lon,lat", name="stations.csv")
        with pytest.raises(UserError, match=said):
            problem(domain, FRAMES, reports, stations)
    with pytest.raises(UserError, match="frames and no gauges, for which --task nowcast is"):
        problem(domain, FRAMES)
    with pytest.raises(UserError, match="lon and lat, but the frames don't say where on the Earth"):
        problem(domain, projected(storm()).drop_vars("laea"), table(tmp_path, "2026-06-14 15:45,5.1,51.8,1"))


def test_the_rate_of_what_is_reported_comes_back(domain, tmp_path):
    _, value, _ = seen(domain, problem(domain, FRAMES, table(tmp_path, row(45, 3, 7, 8.0))))
    np.testing.assert_allclose(rain_rate(value), 8.0, rtol=1e-4)
