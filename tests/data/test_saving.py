import numpy as np
import pytest
import xarray as xr

from sciddm import store
from sciddm.data import saving
from sciddm.data.saving import save_dataset
from sciddm.errors import UserError

rng = np.random.default_rng(0)


@pytest.fixture
def samples():
    fields = {
        "u": (("sample", "time", "x"), rng.normal(size=(5, 3, 4)).astype(np.float32), {"units": "dBZ"}),
        "count": (("sample",), np.arange(5)),
        "rainy": (("sample",), rng.integers(0, 2, 5).astype(bool)),
        "when": (("sample",), np.datetime64("2024-05-01", "ns") + np.arange(5) * np.timedelta64(1, "h")),
    }
    fields["u"][1][2, 1] = np.nan
    return xr.Dataset(fields, {"time": ("time", [5.0, 10, 15], {"units": "min"})}, {"source": "test"})


@pytest.mark.parametrize("name", ["u.nc", "u.NC", "u.zarr", "u"])
def test_a_data_set_comes_back_from_netcdf_by_its_suffix_and_from_zarr_else(name, samples, tmp_path):
    save_dataset(samples, tmp_path / "new" / name)
    if name.lower().endswith(".nc"):
        again = xr.load_dataset(tmp_path / "new" / name, engine="h5netcdf", decode_timedelta=False)
        assert [each.name for each in (tmp_path / "new").iterdir()] == [name]
    else:
        again = store.open_store(tmp_path / "new" / name).load()
        assert store.manifest_path(tmp_path / "new" / name).exists()
    xr.testing.assert_identical(again, samples)


def test_what_was_read_from_one_format_is_saved_in_the_other(samples, tmp_path):
    save_dataset(samples, tmp_path / "a.zarr")
    save_dataset(store.open_store(tmp_path / "a.zarr").isel(sample=slice(1, 3)), tmp_path / "b.nc")
    with xr.open_dataset(tmp_path / "b.nc", engine="h5netcdf", decode_timedelta=False) as there:
        save_dataset(there, tmp_path / "c.zarr")
    xr.testing.assert_identical(store.open_store(tmp_path / "c.zarr").load(), samples.isel(sample=slice(1, 3)))


def test_no_samples_at_all_are_saved_too(samples, tmp_path):
    save_dataset(samples.isel(sample=slice(0)), tmp_path / "a.zarr")
    assert store.open_store(tmp_path / "a.zarr").u.shape == (0, 3, 4)


def test_chunks_hold_no_more_than_is_handy(samples, tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "CHUNK", 2 * samples.u[0].nbytes)
    save_dataset(samples, tmp_path / "a.zarr")
    assert store.open_store(tmp_path / "a.zarr").u.encoding["chunks"] == (2, 3, 4)


@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_nothing_is_written_over_and_a_full_disk_leaves_nothing(name, samples, tmp_path, monkeypatch):
    save_dataset(samples, tmp_path / name)
    with pytest.raises(UserError, match=f"{name}: is there already; delete it or give another name"):
        save_dataset(samples, tmp_path / name)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    monkeypatch.setattr(store, "_write_array", full)
    (tmp_path / "other").mkdir()
    with pytest.raises(
        UserError, match=rf"{name}: .* \(No space left on device\); free some space or give another place"
    ):
        save_dataset(samples, tmp_path / "other" / name)
    assert not list((tmp_path / "other").iterdir())
