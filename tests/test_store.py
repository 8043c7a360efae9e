"""What every data set on disk shares; each domain's own tests damage its chunks."""

import gc
import os

import numpy as np
import pytest
import xarray as xr

from sciddm import store
from sciddm.errors import UserError


def test_a_chunk_of_zeros_is_written_and_not_taken_for_a_lost_one(tmp_path):
    data = xr.Dataset({"u": (("sample", "x"), np.zeros((8, 3), np.float32))})
    store.write(data, tmp_path / "u.zarr", chunk=2)
    store.manifest_path(tmp_path / "u.zarr").unlink()
    xr.testing.assert_equal(store.open_store(tmp_path / "u.zarr"), data)
    os.remove(tmp_path / "u.zarr/u/c/1/0")
    with pytest.raises(UserError, match="variable 'u' lacks 1 of 4 chunks"):
        store.open_store(tmp_path / "u.zarr")


@pytest.mark.parametrize("shard", [None, 4])
def test_a_data_set_comes_back_with_its_types_attributes_and_coordinates(shard, tmp_path):
    rng = np.random.default_rng(0)
    fields = {
        "u": (("sample", "x"), rng.normal(size=(10, 3)).astype(np.float32), {"units": "1", "mean": np.float32(2)}),
        "double": (("sample", "x"), rng.normal(size=(10, 3))),
        "flag": (("sample",), rng.integers(0, 2, 10).astype(bool)),
        "packed": (("sample",), np.arange(10, dtype=np.int16), {"scale_factor": 0.5, "_FillValue": -1}),
        "crs": ((), np.int32(0), {"grid_mapping_name": "none"}),
    }
    coords = {"x": ("x", [1.0, 2, 4], {"units": "m"}), "number": ("sample", np.arange(10))}
    data = xr.Dataset(fields, coords, {"seed": 3})
    store.write(data, tmp_path / "u.zarr", chunk=2, shard=shard)
    again = store.open_store(tmp_path / "u.zarr").load()
    xr.testing.assert_identical(again.drop_vars("packed"), data.drop_vars("packed"))
    np.testing.assert_array_equal(again.packed, 0.5 * np.arange(10))
    np.testing.assert_array_equal(store.open_array(tmp_path / "u.zarr", "packed")[2:5].read().result(), [2, 3, 4])
    assert (tmp_path / "u.zarr/u/c/2/0").exists() and (tmp_path / "u.zarr/u/c/3/0").exists() is (shard is None)


def test_a_disk_that_fills_up_while_chunks_are_written_leaves_nothing(tmp_path, monkeypatch):
    def full(*args):
        raise ValueError("RESOURCE_EXHAUSTED: Failed to write 9 bytes [os_error_code='28']")  # tensorstore's words

    monkeypatch.setattr(store, "_write_array", full)
    with pytest.raises(UserError, match=r"u.zarr: the data set can't be written \(No space left on device\)"):
        store.write(xr.Dataset({"u": (("sample",), np.zeros(3))}), tmp_path / "u.zarr")
    assert not list(tmp_path.iterdir())


def test_a_scalar_that_other_libraries_do_not_write_is_no_lost_chunk(tmp_path):
    data = xr.Dataset({"u": ("x", np.ones(3)), "crs": ((), np.int32(0), {"grid_mapping_name": "latitude_longitude"})})
    data.to_zarr(tmp_path / "u.zarr", zarr_format=3, consolidated=False)
    assert store.open_store(tmp_path / "u.zarr").crs.attrs["grid_mapping_name"] == "latitude_longitude"


def test_several_damaged_arrays_are_told_once_and_not_in_threads_of_zarr(tmp_path, caplog):
    for name in "abcd":
        xr.Dataset({name: ("x", np.arange(4.0))}).to_zarr(tmp_path / "f.zarr", consolidated=False, mode="a")
    for name in "abc":
        (tmp_path / f"f.zarr/{name}/zarr.json").write_text('{"')
    with pytest.raises(UserError, match="f.zarr: not a readable zarr store .*copy it again"):
        store.open_store(tmp_path / "f.zarr")
    gc.collect()
    assert "never retrieved" not in caplog.text
