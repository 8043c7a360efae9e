"""Data sets on disk: zarr with checksummed chunks and a manifest. zarr itself reads a missing chunk as zeros, and says nothing."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import xarray as xr
import zarr

from sciddm.errors import UserError


def manifest_path(path: Path) -> Path:
    """The manifest lies beside the store: name -> sha256 of every file in it."""
    return path.with_name(path.name + ".manifest.json")


def write(dataset: xr.Dataset, path, *, chunk: int = 64) -> None:
    """Write `dataset` (sample, ...) to a zarr store at once: under another name first, so that a broken run leaves nothing finished.

    Raises: UserError if there is a store already, or the place can't be written or is full; nothing is left behind then.
    """
    path = Path(path)
    if path.exists():
        raise UserError(f"{path}: is there already; delete it or give another name")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    encoding = {
        name: {
            "chunks": (min(chunk, array.sizes["sample"]), *array.shape[1:]),
            "compressors": (zarr.codecs.ZstdCodec(level=3, checksum=True),),
        }
        for name, array in dataset.data_vars.items()
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.to_zarr(partial, mode="w", encoding=encoding, zarr_format=3, consolidated=False)
        manifest_path(path).write_text(json.dumps(_digests(partial), indent=0))
        os.replace(partial, path)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise UserError(
            f"{path}: the data set can't be written ({error.strerror or error}); free some space or set config.data.cache"
        ) from error


def open_store(path) -> xr.Dataset:
    """Open a zarr store and check every chunk: against the manifest if it has one, else that none is missing.

    Raises: UserError that names the file, the variable and the samples of a missing or damaged chunk.
    """
    path = Path(path)
    manifest = manifest_path(path)
    try:
        dataset = xr.open_zarr(path, consolidated=False)
        group = zarr.open_group(path, mode="r")
        if manifest.exists():
            _check_manifest(path, json.loads(manifest.read_text()), group)
        else:
            _check_complete(path, group, dataset)
    except UserError:
        raise
    except Exception as error:  # zarr, xarray and json each have their own ways to fail on a broken store
        raise UserError(
            f"{path}: not a readable zarr store ({type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]})"
        ) from error
    return dataset


def _digests(path: Path) -> dict[str, str]:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _check_manifest(path, expected: dict, group) -> None:
    for name, digest in expected.items():
        file = path / name
        if not file.exists():
            raise UserError(f"{path}: {_place(name, group)} is missing; delete the folder and it is made again")
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise UserError(
                f"{path}: {_place(name, group)} is damaged (its checksum differs); delete the folder and it is made again"
            )


def _check_complete(path, group, dataset) -> None:
    for name in dataset.data_vars:
        array = group[name]
        if array.nchunks_initialized < array.nchunks:
            missing = array.nchunks - array.nchunks_initialized
            raise UserError(
                f"{path}: variable {name!r} lacks {missing} of {array.nchunks} chunks, which would read as {array.fill_value}; "
                "copy the store again, or write it with write_empty_chunks=True if they are meant to be empty"
            )


def _place(name: str, group) -> str:
    variable, _, chunk = name.partition("/c/")
    if not chunk:
        return f"file {name!r}"
    first = int(chunk.split("/")[0]) * group[variable].chunks[0]
    last = min(first + group[variable].chunks[0], group[variable].shape[0]) - 1
    return f"variable {variable!r}, samples {first} to {last} (chunk {name!r})"
