import importlib.util

import numpy as np
import pandas as pd
import pytest

from sciddm.data.tables import is_table, read_table
from sciddm.errors import UserError


def write(path, text, name="t.csv", encoding="utf-8"):
    (path / name).write_bytes(text.encode(encoding))
    return path / name


def test_columns_units_and_lines_are_those_of_the_file(tmp_path):
    text = '# a network\n\ntime, rain [mm/h],Station (id)\n\n2024-05-01 10:00,1.5,"A, 1"\n# off\n2024-05-01,NA,b\n'
    table = read_table(write(tmp_path, text))
    assert list(table.columns) == ["time", "rain", "Station"] and table.units == {"rain": "mm/h", "Station": "id"}
    np.testing.assert_array_equal(table.numbers("rain"), [1.5, np.nan])
    assert list(table.text("Station")) == ["A, 1", "b"] and list(table.missing("rain")) == [False, True]
    assert table.where(0).endswith("t.csv, line 5") and table.where(1).endswith("t.csv, line 7") and len(table) == 2
    assert table.find(("station",)) == "Station" and table.find(("gauge",)) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_the_separator_and_the_encoding_are_found(tmp_path, sign, encoding):
    lines = ["x,name,y", "1.5,Köln,2", ",,3", "", ",,"]
    table = read_table(write(tmp_path, "\r\n".join(lines).replace(",", sign), encoding=encoding))
    assert list(table.columns) == ["x", "name", "y"] and list(table.text("name")) == ["Köln", ""]
    np.testing.assert_array_equal(table.numbers("y"), [2, 3])


def test_a_frame_reads_as_its_file_does(tmp_path):
    index = pd.date_range("2024-05-01", periods=3, freq="5min", name="time")
    frame = pd.DataFrame({"rain [mm]": [0.0, np.nan, 2.5], "station": [7, 8, 9]}, index)
    frame.to_csv(tmp_path / "t.csv")
    ours, files = read_table(frame), read_table(tmp_path / "t.csv")
    for table in (ours, files):
        assert list(table.columns) == ["time", "rain", "station"] and table.units == {"rain": "mm"}
        np.testing.assert_array_equal(table.numbers("rain"), [0.0, np.nan, 2.5])
        assert list(table.text("station")) == ["7", "8", "9"]
        np.testing.assert_array_equal(table.times("time"), index.values)
    assert ours.where(2) == "a DataFrame, row 2" and is_table(frame) and is_table("a/b.CSV") and not is_table("a.nc")
    zoned = read_table(frame.tz_localize("Europe/Berlin"))
    np.testing.assert_array_equal(zoned.times("time"), index.values - np.timedelta64(2, "h"))


@pytest.mark.parametrize(
    "text, utc",
    [
        ("2024-05-01T10:05:30Z", "2024-05-01T10:05:30"), ("2024-05-01 10:05", "2024-05-01T10:05"),
        ("20240501 1005", "2024-05-01T10:05"), ("202405011005", "2024-05-01T10:05"), ("2024-05-01 10:05+02:00", "2024-05-01T08:05"),
        ("2024-05-01T23:30 -0130", "2024-05-02T01:00"),
        ("2024-05-01 10:05:00.000 UTC", "2024-05-01T10:05"), ("2024-05-01", "2024-05-01T00:00"),
    ],
)  # fmt: skip
def test_times_are_utc(tmp_path, text, utc):
    assert read_table(write(tmp_path, f"time,a\n{text},1\n")).times("time")[0] == np.datetime64(utc)


def test_a_zone_in_the_header_is_of_all_times_that_have_none(tmp_path):
    for zone, utc in (("[+02:00]", "08:05"), ("(UTC-01)", "11:05"), ("[UTC]", "10:05"), ("[YYYY-MM-DD hh:mm]", "10:05")):
        table = read_table(write(tmp_path, f"time {zone},a\n2024-05-01 10:05,1\n2024-05-01 10:05Z,1\n"))
        assert [str(time)[11:16] for time in table.times("time")] == [utc, "10:05"]
    with pytest.raises(UserError, match="t.csv: time is in 'CEST'; expected UTC, or hours from it, such as time .\\+02:00."):
        read_table(write(tmp_path, "time [CEST],a\n2024-05-01 10:05,1\n")).times("time")
    frame = pd.DataFrame({"a": [1.0]}, pd.to_datetime(["2024-05-01"]))
    assert read_table(frame).times("time")[0] == np.datetime64("2024-05-01")


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "is empty"), ("# only\n", "is empty"), ("a,b\n", "no rows below the header"), ("1.5,2\n3,4\n", "line 1: '1.5' is no name"),
        ("a,a\n1,2\n", "line 1: column 'a' is there twice"), ("a,b\n1,2\n1,2,3\n", "line 3: 3 cells; expected 2.*decimal commas"),
        ("a,b\n1\n", "line 2: 1 cells; expected 2, as"), ("x\n1\0\n", "is no text"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_one_line(tmp_path, text, said):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=said) as error:
        read_table(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "cell, said",
    [("0,4", "line 2: a is '0,4'; expected a number; write 0.4 with a decimal point"), ("wet", "line 2: a is 'wet'; expected a number"),
     ("inf", "line 2: a is 'inf'; expected a number"), ("1e999", "expected a finite number"), ("1_0", "expected a number")],
)  # fmt: skip
def test_what_is_no_number_is_said_with_its_line(tmp_path, cell, said):
    with pytest.raises(UserError, match=said):
        read_table(write(tmp_path, f"a;b\n{cell};1\n")).numbers("a")


@pytest.mark.parametrize(
    "cell, said",
    [("10:05", "'10:05'; it has no date"), ("01.05.2024 10:05", "expected a date and time such as"),
     ("2024-13-01 10:05", "which is no date"), ("1714557900", "expected a date and time|no date")],
)  # fmt: skip
def test_what_is_no_time_is_said_with_its_line(tmp_path, cell, said):
    with pytest.raises(UserError, match=f"line 2: time is .*({said})"):
        read_table(write(tmp_path, f"time,b\n{cell},1\n")).times("time")


def test_files_that_are_no_tables_are_refused(tmp_path):
    for name, said in (("a.xlsx", "save it as CSV"), ("a.nc", "is no table that is known"), ("gone.csv", "no such file")):
        with pytest.raises(UserError, match=said):
            read_table(tmp_path / name)
    with pytest.raises(UserError, match="no column 'time', when it rained; its columns are tme"):
        read_table(write(tmp_path, "tme,a\n1,2\n")).need(("time",), "when it rained")


def test_parquet_reads_as_a_frame_or_says_what_it_needs(tmp_path):
    frame, path = pd.DataFrame({"a [mm]": [1.0, 2.0]}), tmp_path / "t.parquet"
    if importlib.util.find_spec("pyarrow") is None:
        path.touch()
        with pytest.raises(UserError, match="pip install pyarrow, or write it as CSV"):
            read_table(path)
        return
    frame.to_parquet(path)
    assert read_table(path).units == {"a": "mm"} and list(read_table(path).numbers("a")) == [1, 2]
