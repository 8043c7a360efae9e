"""What packed numbers, times and text in files mean."""

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr
import zarr

from domains.fields.readers import open_fields

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
    "malformed": (np.array([1, 2], "f4"), {"valid_range": "0, 10", "missing_value": "none", "scale_factor": ""}, [1, 2]),
    "never_written": (np.array([1, 9.969209968386869e36], "f4"), {}, [1, np.nan]),
}  # fmt: skip


@pytest.mark.parametrize("engine", ["scipy", "h5netcdf", "zarr2", "zarr3"])
@pytest.mark.parametrize("case", CODED)
def test_packed_masked_and_bounded_numbers_are_decoded(case, engine, tmp_path):
    raw, attrs, expected = CODED[case]
    if "zarr" in engine and case == "never_written":
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
