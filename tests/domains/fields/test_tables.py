"""Readings of a table: units, spellings, and one line for each thing that can't be meant."""

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fields_domains import domain_of
from small_fields import small_dataset

from domains.fields.tables import readings_of
from sciddm.data.tables import read_table
from sciddm.errors import UserError


@pytest.fixture(scope="module")
def domain(tmp_path_factory):
    data = small_dataset(samples=12).isel(time=0, drop=True)
    return domain_of(data.where((data.y > 0.6) | (data.x > 0.6)), tmp_path_factory.mktemp("sea"))


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    return domain_of(small_dataset(samples=12)[["c"]], tmp_path_factory.mktemp("moving"), window=4)


def readings(domain, text, folder, noise=0.05):
    path = folder / "s.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return readings_of(read_table(path), domain, domain.layout, noise)


def test_units_of_a_column_of_a_header_and_of_errors_are_brought_to_the_model_s(domain, tmp_path):
    text = "variable,x [cm],y [m],value,error,units\nc,0.1,0.0015,2e-3,1e-4,kg m-3\nT,0.2,0.002,68,9,degF\n"
    found, times = readings(domain, text, tmp_path)
    assert times is None
    np.testing.assert_allclose(found.places, [[1.5, 1.0], [2.0, 2.0]])
    np.testing.assert_allclose(found.values, [2.0, 20.0])
    np.testing.assert_allclose(found.errors, [0.1, 5.0])  # of degrees Fahrenheit without their zero
    np.testing.assert_array_equal(found.channel, [0, 1])


def test_case_blanks_marks_comments_semicolons_and_an_index_are_taken_as_they_are_meant(domain, tmp_path):
    text = "\ufeff# by hand\n;Variable ; Y;X [mm]; VALUE [mg/L] ;Error\n0;C;1.0;1.0;3;0.1\n\n1; c ;1.5;2.0;3.1;0.1\n"
    found, _ = readings(domain, text, tmp_path)
    np.testing.assert_allclose(found.values, [3.0, 3.1])
    assert found.label(1).endswith("s.csv, line 5")
    found, _ = readings(domain, "variable,y,x,value [°C]\nT,1,1,20\n".encode("latin-1"), tmp_path)
    np.testing.assert_allclose(found.values, 20)


def test_without_errors_the_share_of_the_spread_stands_for_them_and_is_said(domain, tmp_path, capsys):
    found, _ = readings(domain, "variable,y,x,value\nT,1,1,20\nc,1,1,3\n", tmp_path)
    np.testing.assert_allclose(found.errors, 0.05 * domain.scales[::-1], rtol=1e-6)
    assert "no error is given; taken as 0.05 standard deviations" in capsys.readouterr().err


def test_what_is_far_outside_of_training_and_rows_that_are_twice_are_said_and_kept(domain, tmp_path, capsys):
    found, _ = readings(domain, "variable,y,x,value,error,station\nT,1,1,90,1,a\nT,1,1,20,1,b\n", tmp_path)
    said = capsys.readouterr().err
    assert len(found.values) == 2
    assert "line 2: 90: T was" in said and "line 3: the same variable, place as line 2" in said and "not used: station" in said


@pytest.mark.parametrize(
    "text, said",
    [
        ("variable,y,x,value\nq,1,1,3\n", "s.csv, line 2: variable: no variable 'q' in the model; expected one of c, T"),
        ("variable,y,x,value\nc,1,1,3\ncc,1,1,3\n", "line 3: .* did you mean c?"),
        ("y,x,value\n1,1,3\n", "no column 'variable', which of c, T was measured"),
        ("variable,x,value\nc,1,3\n", "no column 'y', where along y, 0 to 2.5 mm"),
        ("variable,y,x\nc,1,1\n", "no column 'value', what was measured"),
        ("y,x,c,T\n1,1,3,20\n", "no column 'value', but one of 'c'; expected a row a value"),
        ("variable,y,x,value\nc,1,1,\n", "line 2: value is missing; leave the row out"),
        ("variable,y,x,value\nc,1,1,NaN\n", "line 2: value is missing"),
        ("variable,y,x,value\nc,1,1,high\n", "line 2: value is 'high'; expected a number"),
        ("variable,y,x,value\nc,1,1,inf\n", "line 2: value is 'inf'"),
        ("variable,y,x,value\nc,1,1,1e30\n", "line 2: value is 1e\\+30, which stands for a missing one"),
        ("variable;y;x;value\nc;1;1;3,5\n", "line 2: value is '3,5'; expected a number; write 3.5"),
        ("variable,y,x,value\nc,1,1,3,5\n", "line 2: 5 cells; expected 4"),
        ("variable,y,x,value,error\nc,1,1,3,0\n", "line 2: error is 0; expected one standard deviation, above 0"),
        ("variable,y,x,value,error\nc,1,1,3,1\nc,1,2,3,-1\n", "line 3: error is -1"),
        ("variable,y,x,value,error\nc,1,1,3,\n", "line 2: error is missing; give one for every row"),
        ("variable,y,x,value,eror\nc,1,1,3,1\n", "no column 'eror' is known; did you mean error"),
        ("variable,y,x,value,units\nc,1,1,3,K\n", "line 2: c is in 'K'; expected 'mg/L', but they measure different things"),
        ("variable,y,x [s],value\nc,1,1,3\n", "s.csv: x is in 's'; expected 'mm'"),
        ("variable,y,x,value\n", "no rows below the header"),
        ("", "is empty"),
        ("variable,y,x,value,time\nc,1,1,3,0\nc,1,1,3,1\n", "2 times, but a sample of this model is a single one"),
    ],
)
def test_what_can_t_be_meant_is_one_line_with_its_place(text, said, domain, tmp_path):
    with pytest.raises(UserError, match=said) as error:
        readings(domain, text, tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text, said",
    [
        ("variable,y,x,value\nc,1,1,3\nc,1,9,3\n", "s.csv, line 3 has x = 9; expected 0 to 2.25 mm"),
        ("variable,y,x,value\nc,0,0,3\n", "s.csv, line 2 at .* has no value of 'c' around it"),
    ],
)
def test_places_outside_and_on_land_are_named_by_their_line(text, said, domain, tmp_path):
    from domains.fields.observations import observe_points

    points, _ = readings(domain, text, tmp_path)
    with pytest.raises(UserError, match=said):
        observe_points(domain, points)


def test_times_are_numbers_in_their_units_and_a_model_of_windows_asks_for_them(moving, tmp_path):
    _, times = readings(moving, "time [min],y,x,value\n0.5,1,1,3\n", tmp_path)
    np.testing.assert_allclose(times.raw, 30.0)
    with pytest.raises(UserError, match="no column 'time', when it was measured, 0 to 30 s after the first frame"):
        readings(moving, "y,x,value\n1,1,3\n", tmp_path)
    with pytest.raises(UserError, match="time is missing"):
        readings(moving, "time,y,x,value\n,1,1,3\n", tmp_path)
    with pytest.raises(UserError, match="is in 'mm'; expected 's'"):
        readings(moving, "time [mm],y,x,value\n1,1,1,3\n", tmp_path)


def test_longitudes_of_either_convention_are_one_place(tmp_path):
    values = np.random.default_rng(0).standard_normal((9, 5, 6))
    places = {"lat": np.linspace(30, 50, 5), "lon": np.linspace(-10, 15, 6)}
    domain = domain_of(xr.Dataset({"t": (("sample", "lat", "lon"), values)}, places), tmp_path)
    from domains.fields.observations import observe_points

    west, east = (readings(domain, f"lat,lon,value,error\n41,{lon},0.1,0.1\n", tmp_path)[0] for lon in (-7.5, 352.5))
    for a, b in zip(*(jax.tree.leaves(observe_points(domain, one)) for one in (west, east)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_hundred_thousand_rows_are_read_in_seconds(domain):
    import time

    n, rng = 100_000, np.random.default_rng(0)
    frame = pd.DataFrame({"variable": "c", "y": rng.uniform(1, 2.5, n), "x": rng.uniform(1, 2.25, n), "value": 3.0, "error": 0.1})
    start = time.perf_counter()
    found, _ = readings_of(read_table(frame), domain, domain.layout, 0.05)
    assert len(found.values) == n and time.perf_counter() - start < 15
