"""TIFF: stacks of pages, ImageJ's and OME's, channels as variables; GeoTIFF's places of the pixels."""

import contextlib
import logging
import re
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from xarray.backends.locks import HDF5_LOCK

from domains.fields.format_lazy import Raw, lazy
from sciddm.data.reading import text

AXES = {"T": "time", "Z": "z", "Y": "y", "X": "x", "L": "wavelength", "A": "angle", "P": "phase"}
RATIO = 10**5  # of values to bytes of a file that there may be
CHANNELS = "CS"  # channels, and samples of a pixel


def open_tiff(file: Path) -> Raw:
    """What the series of a TIFF have, a variable a channel, its values left there."""
    import tifffile  # a tenth of a second

    from domains.fields.formats import stem

    variables, sizes = {}, {}
    with _complaints(), tifffile.TiffFile(file) as opened:
        several = len(opened.series) > 1
        _check_sizes(opened, file.stat().st_size)
        for number, series in enumerate(opened.series):
            name = f"{stem(file)}_{number}" if several else stem(file)
            # A page alone has no stack, and is a stack all the same: files of one page are put behind each other.
            dims = [AXES.get(letter) or f"axis_{i}" for i, letter in enumerate(series.axes)]
            dims = [
                d if sizes.setdefault(d, n) == n else f"{d}_{number}" for d, n in zip(dims, series.shape, strict=True)
            ]
            channels = [i for i, letter in enumerate(series.axes) if letter in CHANNELS]
            get = partial(_get, xr.backends.CachingFileManager(tifffile.TiffFile, str(file), lock=False), number)
            whole = lazy(dims, series.shape, series.dtype, get, _attributes(series))
            count = int(np.prod([series.shape[i] for i in channels], dtype=int))
            names = _channel_names(opened, count) if channels else [name]
            for channel, place in zip(names, np.ndindex(*[series.shape[i] for i in channels]), strict=True):
                own = f"{name}_{channel}" if several and channels else channel
                variables[own] = whole.isel({dims[i]: n for i, n in zip(channels, place, strict=True)})
        if not several:
            variables |= _places(opened.series[0].keyframe, sizes)
    return Raw(variables, {})


@contextlib.contextmanager
def _complaints():
    # Of a file that was cut off tifffile gives the pages that are there, and logs that there were more.
    said, logger = [], logging.getLogger("tifffile")
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: said.append(record.getMessage())
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    if broken := [each for each in said if "invalid page offset" in each or "corrupted" in each]:
        raise ValueError(f"it is cut off or damaged: {broken[0]}")


def _check_sizes(opened, size) -> None:
    # Of a damaged tag tifffile makes as many values as it says.
    for series in opened.series:
        page = series.keyframe
        parts = int(np.prod(page.chunked, dtype=object))
        whole = series.dataoffset is not None and series.dataoffset + series.nbytes > size
        lacks = len(page.dataoffsets) not in (0, parts)
        if whole or lacks or series.nbytes > RATIO * size:
            raise ValueError(f"it is cut off or damaged: {series.shape} values in a file of {size} bytes")


def _get(manager, number, key):
    # Pages are decoded one by one, those that are asked for; what lies in one piece is mapped.
    with HDF5_LOCK, manager.acquire_context(needs_lock=False) as opened:
        series = opened.series[number]
        if series.dataoffset is not None:
            whole = np.memmap(
                opened.filehandle.path,
                series.dtype.newbyteorder(opened.byteorder),
                "r",
                series.dataoffset,
                series.shape,
            )
            return np.array(_outer(whole, key))
        lead = series.ndim - len(series.keyframe.shape)
        shape = series.shape[:lead]
        if int(np.prod(shape, dtype=int)) != len(series.pages):
            return _outer(series.asarray(), key)
        wanted = np.arange(len(series.pages)).reshape(shape)
        wanted = _outer(wanted, key[:lead]) if lead else wanted
        pages = [_page(series, int(page), key[lead:]) for page in np.ravel(wanted)]
        return (
            np.stack(pages).reshape(*np.shape(wanted), *pages[0].shape)
            if pages
            else _outer(np.empty(series.shape, series.dtype), key)
        )


def _page(series, number, key):
    page = series.pages[number]
    if page is None:  # of a sparse stack
        return _outer(np.zeros(series.keyframe.shape, series.dtype), key)
    return _outer(page.asarray(maxworkers=1), key)


def _outer(array, key):
    # Index arrays of several axes each for itself.
    for axis in range(len(key) - 1, -1, -1):
        array = array[(slice(None),) * axis + (key[axis],)]
    return array


def _attributes(series) -> dict:
    tags = getattr(series.keyframe, "tags", {})
    nodata, said = tags.get("GDAL_NODATA"), tags.get("GDAL_METADATA")
    found = {} if nodata is None else {"_FillValue": text(nodata.value).strip("\0 ")}
    items = re.findall(r"<Item\b([^>]*)>([^<]*)</Item>", "" if said is None else text(said.value))
    for role, name, nothing in (("scale", "scale_factor", "1"), ("offset", "add_offset", "0")):
        values = [value.strip() for about, value in items if re.search(rf"""\brole=["']{role}["']""", about)]
        if values:  # of all bands, or it is refused
            lacking = len(values) < getattr(series.keyframe, "samplesperpixel", 1)
            found[name] = ", ".join(dict.fromkeys(values + [nothing] * lacking))
    return found


def _channel_names(opened, count) -> list[str]:
    names = []
    if opened.is_ome:
        names = re.findall(r"<(?:\w+:)?Channel\b[^>]*?\bName=\"([^\"]+)\"", opened.ome_metadata or "")
    elif opened.is_imagej:
        names = [str(label) for label in (opened.imagej_metadata or {}).get("Labels", [])]
    names = [re.sub(r"\W+", "_", name).strip("_") for name in names]
    fit = len(names) == count and len(set(names)) == count and all(names)
    return names if fit else [f"channel_{i}" for i in range(count)]


def _places(page, sizes) -> dict[str, xr.Variable]:
    # ModelPixelScaleTag and ModelTiepointTag of GeoTIFF 1.1 (OGC 19-008r4, B.6): places of the pixels' centres.
    scale, tie = (getattr(page.tags.get(name), "value", None) for name in ("ModelPixelScaleTag", "ModelTiepointTag"))
    if scale is None or tie is None or len(tie) != 6 or not {"x", "y"} <= {*sizes}:
        return {}
    geo = page.geotiff_tags or {}
    half = 0.0 if "PixelIsPoint" in str(geo.get("GTRasterTypeGeoKey")) else 0.5
    x = tie[3] + (np.arange(sizes["x"]) + half - tie[0]) * scale[0]
    y = tie[4] - (np.arange(sizes["y"]) + half - tie[1]) * scale[1]
    degrees = "Geographic" in str(geo.get("GTModelTypeGeoKey"))
    units = {"x": {"units": "degrees_east"}, "y": {"units": "degrees_north"}} if degrees else {"x": {}, "y": {}}
    return {"x": xr.Variable("x", x, units["x"]), "y": xr.Variable("y", y, units["y"])}
