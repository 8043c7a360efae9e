import shutil

import numpy as np
import pytest
import xarray as xr

from domains.pde import generate
from sciddm import store
from sciddm.errors import UserError


@pytest.fixture
def path(once, tmp_path):
    made = once("poisson", lambda folder: generate.ensure_dataset("poisson", 16, 130, 3, folder, progress=False))
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return next(tmp_path.glob("*.zarr"))


def first_chunk(path, name="u"):
    return next(file for file in sorted((path / name / "c").rglob("*")) if file.is_file())


def test_a_data_set_is_made_once_with_names_units_coordinates_and_provenance(path, tmp_path):
    dataset = store.open_store(path)
    assert dataset.a.dims == ("sample", "y", "x") and dataset.u.attrs["units"] == "1" and dataset.attrs["seed"] == 3
    np.testing.assert_allclose(dataset.x, (np.arange(16) + 0.5) / 16)
    stamp = path.stat().st_mtime_ns
    assert generate.ensure_dataset("poisson", 16, 130, 3, tmp_path) == path and path.stat().st_mtime_ns == stamp


def test_the_bits_do_not_depend_on_the_number_of_workers(path, tmp_path, monkeypatch):
    again = generate.ensure_dataset("poisson", 16, 130, 3, tmp_path / "again", progress=False)
    for name in ("a", "u"):
        np.testing.assert_array_equal(store.open_store(path)[name], store.open_store(again)[name])
    monkeypatch.setattr(generate, "LITTLE", 0)
    a = generate.ensure_dataset("darcy", 32, 128, 0, tmp_path / "two", progress=False, workers=2)
    b = generate.make_chunk("darcy", 32, 0, [0, 127])
    np.testing.assert_array_equal(store.open_store(a)["u"].values[[0, 127]], b["u"])


def test_a_flipped_bit_is_named_with_its_variable_and_samples(path):
    file = first_chunk(path)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match="variable 'u', samples 0 to 63.*damaged"):
        store.open_store(path)


def test_a_missing_chunk_is_named_not_read_as_zeros(path):
    first_chunk(path, "a").unlink()
    with pytest.raises(UserError, match="variable 'a', samples 0 to 63.*missing"):
        store.open_store(path)
    store.manifest_path(path).unlink()  # a store of somebody else's
    with pytest.raises(UserError, match="'a' lacks 1 of 3 chunks"):
        store.open_store(path)


def test_a_broken_store_is_one_clear_message(path):
    (path / "zarr.json").write_text("{")
    store.manifest_path(path).unlink()
    with pytest.raises(UserError, match="not a readable zarr store"):
        store.open_store(path)


def test_an_interrupted_write_leaves_nothing_that_looks_finished(tmp_path, monkeypatch):
    dataset = xr.Dataset({"u": (("sample", "x"), np.zeros((4, 3), np.float32))})

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(UserError, match="No space left on device"):
        store.write(dataset, tmp_path / "x.zarr")
    assert not list(tmp_path.glob("*.zarr")) and not list(tmp_path.glob(".*partial"))
    shutil.rmtree(tmp_path)


def test_unknown_equations_and_resolutions_are_refused(tmp_path):
    with pytest.raises(UserError, match="darci"):
        generate.ensure_dataset("darci", 32, 4, 0, tmp_path)
    with pytest.raises(UserError, match="resolution = 7"):
        generate.ensure_dataset("darcy", 7, 4, 0, tmp_path)
    with pytest.raises(UserError, match="at least 64 for kuramoto"):
        generate.ensure_dataset("kuramoto-sivashinsky", 32, 4, 0, tmp_path)
    with pytest.raises(UserError, match="count = 0"):
        generate.ensure_dataset("darcy", 16, 0, 0, tmp_path)


def test_a_store_that_is_there_is_never_written_over(path):
    before = store.open_store(path).load()
    with pytest.raises(UserError, match="is there already"):
        store.write(before * 2, path)
    xr.testing.assert_equal(store.open_store(path).load(), before)
