"""What packed numbers, times and text in files mean."""

import h5py
import netCDF4
import numpy as np
import pytest
import scipy.io
import xarray as xr
import zarr

from domains.fields.readers import open_fields
from sciddm.errors import UserError

HALF = {"scale_factor": 0.5, "add_offset": -32.0}
CODED = {
    "packed": (np.array([-32768, -1, 0, 200, 32767], "i2"), {"scale_factor": 0.01, "add_offset": 5.0, "_FillValue": np.int16(-32768)},
               [np.nan, 4.99, 5, 7, 332.67]),
    "two_missing": (np.array([1, -999, 3, -998, 5], "f4"), {"missing_value": np.array([-999, -998], "f4")}, [1, np.nan, 3, np.nan, 5]),
    "of_another_type": (np.array([1, -999.9, 3], "f4"), {"missing_value": -999.9}, [1, np.nan, 3]),
    "as_text": (np.array([1, -99, 3], "f4"), {"missing_value": "-99"}, [1, np.nan, 3]),
    "unsigned": (np.array([0, -1, -2, 127], "i1"), {"_Unsigned": "true", "_FillValue": np.int8(-1), "scale_factor": 2.0},
                 [0, np.nan, 508, 254]),
    "range": (np.array([-1, 0, 5, 10, 11], "i2"), {"valid_range": np.array([0, 10], "i2")}, [np.nan, 0, 5, 10, np.nan]),
    "packed_range": (np.array([-1, 0, 5, 10, 11], "i2"), {"scale_factor": 0.1, "valid_min": np.int16(0), "valid_max": np.int16(10)},
                     [np.nan, 0, 0.5, 1.0, np.nan]),
    "unpacked_range": (np.array([-1, 0, 5, 10, 11], "i2"), {"scale_factor": 0.1, "valid_range": np.array([0, 1], "f4")},
                       [np.nan, 0, 0.5, 1.0, np.nan]),
    "float_range": (np.array([0, 1.1, 1.2], "f4"), {"valid_max": 1.1}, [0, 1.1, np.nan]),
    "one_sided": (np.array([0.5, 2e20, -1e30], "f8"), {"valid_max": 1e10}, [0.5, np.nan, -1e30]),
    "unpacked_lowest": (np.array([0, 10, 255], "u1"), HALF | {"missing_value": -32.0}, [np.nan, -27, 95.5]),
    "unpacked_highest": (np.array([0, 10, 255], "u1"), HALF | {"missing_value": 95.5}, [-32, -27, np.nan]),
    "float_of_a_byte": (np.array([0, 10, 255], "u1"), HALF | {"missing_value": 255.0}, [-32, -27, np.nan]),
    "packed_by_one": (np.array([0, 10, 255], "u1"), {"scale": 1.0, "offset": 0, "slope": "linear"}, [0, 10, 255]),
    "packed_twice": (np.array([0, 10, 255], "u1"), {"slope": 0.5, "scale_factor": 0.5, "add_offset": 0.0, "offset": 9}, [0, 5, 127.5]),
    "floats_of_a_scale": (np.array([0, 10], "f4"), {"scale": 0.5}, [0, 10]),
    "beyond_the_type": (np.array([0, 241, 25], "u1"), {"missing_value": np.array([-9999, -999], "i2")}, [0, 241, 25]),
    "by_way_of_single": (np.array([1, -999.9, 1e20], "f8"), {"missing_value": np.array([-999.9, 1e20], "f4")}, [1, np.nan, np.nan]),
    "in_capitals": (np.array([0, 10, 255], "u1"), {"SCALE_FACTOR": 0.5, "Add_Offset": -32.0, "FillValue": 255}, [-32, -27, np.nan]),
    "nodata": (np.array([0, 10, 255], "u1"), {"nodata": 255}, [0, 10, np.nan]),
    "malformed": (np.array([1, 2], "f4"), {"valid_range": "0, 10", "missing_value": "none", "scale_factor": ""}, [1, 2]),
    "never_written": (np.array([1, 9.969209968386869e36], "f4"), {}, [1, np.nan]),
    "never_written_integers": (np.array([1, -32767, -32768], "i2"), {}, [1, np.nan, -32768]),
}  # fmt: skip


@pytest.mark.parametrize("engine", ["scipy", "h5netcdf", "zarr2", "zarr3"])
@pytest.mark.parametrize("case", CODED)
def test_packed_masked_and_bounded_numbers_are_decoded(case, engine, tmp_path):
    raw, attrs, expected = CODED[case]
    if ("zarr" in engine and case.startswith("never_written")) or (engine == "scipy" and raw.dtype == "u1"):
        return
    if "zarr" in engine:
        array = zarr.open_group(tmp_path / "f.zarr", mode="w", zarr_format=int(engine[-1])).create_array("u", data=raw)
        array.attrs.update(
            {k: v.tolist() if hasattr(v, "tolist") else v for k, v in attrs.items()} | {"_ARRAY_DIMENSIONS": ["x"]}
        )
        path = tmp_path / "f.zarr"
    elif engine == "scipy":
        path = tmp_path / "f.nc"
        with scipy.io.netcdf_file(path, "w") as file:  # big-endian
            file.createDimension("x", len(raw))
            variable = file.createVariable("u", raw.dtype, ("x",))
            variable[:] = raw
            for key, value in attrs.items():
                setattr(variable, key, value)
    else:
        path = tmp_path / "f.h5"
        with h5py.File(path, "w") as file:
            file["u"] = raw.astype(raw.dtype.newbyteorder(">"))
            file["u"].attrs.update(attrs)
            file.attrs["_NCProperties"] = "version=2"
    np.testing.assert_allclose(open_fields(path).read("u"), np.array(expected, np.float32), rtol=1e-6)


def test_times_are_decoded_in_any_calendar_and_stay_numbers_where_they_cannot(tmp_path):
    stated = {
        "days since 2000-02-28": ("standard", "2000-02-29"),
        "days since 2001-02-28": ("360_day", "2001-02-29"),
        "days since 1999-12-31": ("noleap", "2000-01-01"),
        "fortnights since the flood": ("standard", None),
    }
    for i, (units, (calendar, second)) in enumerate(stated.items()):
        path = tmp_path / f"f{i}.nc"
        with scipy.io.netcdf_file(path, "w") as file:
            file.createDimension("time", 3)
            for name in ("time", "u"):
                file.createVariable(name, "f8", ("time",))[:] = [0, 1, 2]
            file.variables["time"].units, file.variables["time"].calendar = units, calendar
        template = open_fields(path).template
        if second is None:
            np.testing.assert_array_equal(template["time"], [0, 1, 2])
            assert template["time"].attrs["units"] == units
        else:
            assert str(template["time"].values[1]).startswith(second)


def test_text_complex_and_objects_are_no_fields_but_text_may_be_a_coordinate(tmp_path):
    data = xr.Dataset(
        {"u": (("station", "time"), np.ones((2, 3))), "flag": ("station", ["good", "bad"]), "when": ((), "noon")},
        {"station": ["Oslo", "Rome"], "time": [0, 1, 2]},
    )
    data.to_netcdf(tmp_path / "f.nc", engine="scipy")
    data.to_zarr(tmp_path / "f.zarr", zarr_format=3, consolidated=False)
    for name in ("f.nc", "f.zarr"):
        fields = open_fields(tmp_path / name)
        assert [*fields.placed] == ["u"] and [*fields.template["station"].values] == ["Oslo", "Rome"]
        assert fields.template["when"].item() == "noon" and "flag" not in fields.template
    np.savez(tmp_path / "f.npz", u=np.ones(3), z=np.ones(3, complex))
    assert [*open_fields(tmp_path / "f.npz").placed] == ["u"]


def test_chunks_of_hdf5_that_were_never_written_are_missing_or_missed(tmp_path):
    for name, fill in (("missing", -1.0), ("zero", 0.0)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset("u", (2, 4), "f4", chunks=(1, 4), fillvalue=fill)[0] = 1.0
            file["v"] = np.ones((2, 4))
    np.testing.assert_array_equal(open_fields(tmp_path / "missing.h5").read("u"), [[1.0] * 4, [np.nan] * 4])
    fields = open_fields(tmp_path / "zero.h5")
    np.testing.assert_array_equal(fields.read("v"), np.ones((2, 4)))
    with pytest.raises(UserError, match="zero.h5: variable 'u' lacks 1 of 2 chunks, never written"):
        fields.read("u")


def test_a_file_that_another_one_lies_in_is_missed(tmp_path):
    layout = h5py.VirtualLayout((2, 4), "f4")
    layout[:] = h5py.VirtualSource("parts.h5", "u", shape=(2, 4))
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_virtual_dataset("u", layout)
    with pytest.raises(UserError, match="variable 'u' lies in parts.h5, which is not there"):
        open_fields(tmp_path / "f.h5").read("u")


def test_a_group_that_counts_a_dimension_another_way_keeps_its_own(tmp_path):
    with netCDF4.Dataset(tmp_path / "f.nc", "w") as file:
        file.createDimension("x", 4)
        file.createVariable("x", "f4", ("x",))[:] = np.arange(4)
        for name, x in (("alike", np.arange(4)), ("turned", np.arange(4)[::-1])):
            group = file.createGroup(name)
            group.createVariable("x", "f8", ("x",))[:] = x
            group.createVariable("u", "f4", ("x",))[:] = 1.0
    template = open_fields(tmp_path / "f.nc").template
    assert template["alike_u"].dims == ("x",) and template["turned_u"].dims == ("turned_x",)
    np.testing.assert_array_equal(template["turned_x"], [3, 2, 1, 0])


def test_times_in_capitals_are_times(tmp_path):
    xr.Dataset({"u": ("time", np.ones(2))}, {"time": ("time", [0.0, 1.0], {"units": "Days Since 2000-01-01"})}).to_netcdf(tmp_path / "f.nc")
    np.testing.assert_array_equal(open_fields(tmp_path / "f.nc").template["time"], np.array(["2000-01-01", "2000-01-02"], "M8[ns]"))


DATES = {"minutes since 2024-05-01 10:00 CET": "", "minutes since 05/01/2024": "", "days since 2001-02-20 10:00 +2": "noleap",
         "days since 1500-02-20 10:00 +2": "standard"}  # fmt: skip


@pytest.mark.parametrize("units", DATES)
def test_zones_that_a_library_passes_over_are_refused(units, tmp_path):
    attrs = {"units": units} | ({"calendar": DATES[units]} if DATES[units] else {})
    xr.Dataset({"u": ("time", np.arange(4.0))}, {"time": ("time", 5.0 * np.arange(4), attrs)}).to_netcdf(tmp_path / "f.nc")
    with pytest.raises(UserError, match="f.nc: 'time': its times are since .* a zone as a number, such as 2024-05-01 10:00:00 \\+02:00$"):
        open_fields(tmp_path / "f.nc")


def test_times_too_coarse_for_their_steps_are_refused(tmp_path):
    hours = (1e6 + np.arange(8) / 12).astype("f4")
    attrs = {"units": "hours since 1900-01-01"}
    xr.Dataset({"u": ("time", np.arange(8.0))}, {"time": ("time", hours, attrs)}).to_netcdf(tmp_path / "f.nc")
    with pytest.raises(UserError, match="too coarse .* write them as float64"):
        open_fields(tmp_path / "f.nc")


@pytest.mark.parametrize(
    ("attrs", "words"),
    [
        ({"scale": 0.5}, "its integers have scale = 0.5, .* value = scale_factor x number"),
        ({"Intercept": -32.0, "Slope": 0.5}, "have Slope = 0.5"),
        ({"gain": "0.5"}, "have gain = 0.5"),
        ({"scale_factor": 0.5, "offset": np.int16(-32)}, "have offset = -32"),
        ({"scale_factor": 0.5, "add_offset": -32.0, "missing_value": 48.0}, "is the float 48, .* an attribute of uint8, 48 or 160"),
        ({"scale_factor": 0.5, "add_offset": -32.0, "_FillValue": -1.0}, "is the float -1, .* an attribute of uint8, 255 or 62"),
    ],
)
def test_packings_that_may_mean_two_things_are_refused(attrs, words, tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("u", data=np.arange(5, dtype="u1")).attrs.update(attrs)
    with pytest.raises(UserError, match=f"f.h5: variable 'u'.*{words}"):
        open_fields(tmp_path / "f.h5")
