"""ODIM HDF5: composites, and the lowest sweep of a volume on a square grid."""

import re

import h5py
import numpy as np
import xarray as xr

from domains.weather.coded import Meant, Said, with_meaning
from sciddm.data.coding import Coding, check_packing, meant_value
from sciddm.data.reading import need, text
from sciddm.errors import UserError
from sciddm.memory import check_memory

EXTRA = "weather"  # of sciddm, with the libraries of these
IMAGES = ("COMP", "IMAGE", "CVOL")  # objects that are maps
DEGREES = {"y": {"units": "degrees_north", "standard_name": "latitude"}, "x": {"units": "degrees_east", "standard_name": "longitude"}}
KNOWN = {"DBZH": "dBZ", "RATE": "mm/h"}
PIXEL = 1.0  # km; of the grid that a sweep is put on
EARTH = 6371000.0  # m


def images(file, opened: h5py.File, said: Said):
    """The composites of one quantity, each a frame: those of several times one after the other.

    Raises: UserError where the file does not tell which quantity, or which of several data sets of one time.
    """
    kind = text(opened["what"].attrs["object"]).upper()
    if kind not in IMAGES:
        raise UserError(f"{file}: its object is {kind}, which is no map; expected one of {', '.join(IMAGES)}, PVOL or SCAN")
    there = [(*one, text(_first(one[2], "quantity", ""))) for one in _data_of(opened)]
    found = [(dataset, data, whats) for dataset, data, whats, name in there if name in KNOWN]
    asked, _, quantity = said.variable.rpartition("/")
    quantities = sorted({text(_first(whats, "quantity")) for _, _, whats in found})
    if quantity and quantity not in quantities:
        raise UserError(f"{file}: no quantity config.data.variable = {said.variable!r}, found {quantities}; expected DBZH or RATE")
    if not quantity and len(quantities) != 1:
        way_out = f", --config.data.variable={quantities[0]}" if quantities else ""
        names = sorted({name for *_, name in there})
        raise UserError(f"{file}: quantities {names}; expected DBZH or RATE{way_out}")
    quantity = quantity or quantities[0]
    found = [one for one in found if text(_first(one[2], "quantity")) == quantity and asked in ("", one[0])]
    if not found:
        raise UserError(f"{file}: no data set {asked!r} with {quantity} as config.data.variable = {said.variable!r} has it")
    stamps = [_time(whats, dataset if len(found) > 1 else "", file) for dataset, _, whats in found]
    if len(set(stamps)) < len(stamps):
        names = [dataset for dataset, _, _ in found]
        way_out = f"such as --config.data.variable={names[0]}/{quantity}" if len(set(names)) == len(names) else "leave the others out"
        raise UserError(f"{file}: {quantity} of {stamps[0]} is there {len(found)} times ({', '.join(names)}); expected one, {way_out}")
    for stamp, (dataset, data, whats) in sorted(zip(stamps, found, strict=True), key=lambda each: each[0]):
        yield _image(file, opened, dataset, data, whats, quantity, stamp, said)


def _data_of(opened):
    # (name of the data set, group of its data, attributes of `what` from the innermost to the outermost)
    for name, dataset in opened.items():
        if not (name.startswith("dataset") and isinstance(dataset, h5py.Group)):
            continue
        for part, data in dataset.items():
            if part.startswith("data") and isinstance(data, h5py.Group) and "data" in data:
                yield name, data, [dict(group["what"].attrs) for group in (data, dataset, opened) if "what" in group]


def _first(whats, key, *default):
    # An attribute of the innermost group that has it.
    found = [what[key] for what in whats if key in what]
    return found[0] if found or not default else default[0]


def _time(whats, dataset, file):
    # The nominal time of the file; where it has several data sets of a quantity, that at which each begins.
    date, time = ("startdate", "starttime") if dataset else ("date", "time")
    if not any(date in what for what in whats) or not any(time in what for what in whats):
        raise UserError(f"{file}: {dataset or 'the file'} has no {date} and {time}; expected them in its group what")
    date, time = (text(_first(whats, key)) for key in (date, time))
    said = f"{file}: {dataset or 'the file'} is of date {date!r} and time {time!r}; expected YYYYMMDD and HHMMSS"
    if not re.fullmatch(r"\d{8}", date) or not re.fullmatch(r"\d{4}(\d\d)?", time) or int(time[4:6] or 0) > 60:
        raise UserError(said)
    try:
        minute = np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:8]}T{time[:2]}:{time[2:4]}", "s")
    except ValueError as error:
        raise UserError(said) from error
    return minute + int(time[4:6] or 0)  # 60 in a leap second, which is the next one here


def _meant(where, dtype, gain, offset, nodata, undetect, said) -> Meant:
    # raw -> gain raw + offset; `undetect`: looked and saw nothing, which is no echo in any unit; `nodata` goes before it.
    codes = [*said.missing] if nodata is None else [float(nodata), *said.missing]
    gain, offset = check_packing(float(gain), float(offset), where, ("gain", "offset"))
    coding = Coding(missing=tuple(meant_value(v, np.dtype(dtype)) for v in codes), scale=gain, offset=offset)
    return Meant(coding, np.dtype(dtype), None if undetect is None else float(undetect))


def _image(file, opened, dataset, data, whats, quantity, stamp, said):
    raw = np.asarray(data["data"])
    gain, offset = _first(whats, "gain", 1.0), _first(whats, "offset", 0.0)
    codes = (_first(whats, "nodata", None), _first(whats, "undetect", None))
    meant = _meant(f"{file}: {quantity} of {dataset}", raw.dtype, gain, offset, *codes, said)
    where = dict(opened["where"].attrs) | (dict(opened[dataset]["where"].attrs) if "where" in opened[dataset] else {})
    if raw.ndim != 2 or raw.dtype.kind not in "iuf":
        raise UserError(f"{file}: {dataset} has {raw.ndim} axes of {raw.dtype}; expected numbers along y and x")
    for key, n in (("ysize", raw.shape[0]), ("xsize", raw.shape[1])):
        if key in where and int(where[key]) != n:
            raise UserError(f"{file}: {key} is {int(where[key])}, and the data of {dataset} have {raw.shape}; copy the file again")
    pyproj = need("pyproj", file, EXTRA)
    crs = pyproj.CRS(text(where["projdef"]))
    corners = [pyproj.Proj(crs)(float(where[f"{name}_lon"]), float(where[f"{name}_lat"])) for name in ("LL", "UR")]
    if "UL_lon" in where and "LR_lon" in where:
        corners += [pyproj.Proj(crs)(float(where[f"{name}_lon"]), float(where[f"{name}_lat"])) for name in ("UL", "LR")]
    west, north = min(x for x, _ in corners), max(y for _, y in corners)
    coords = {"time": [stamp]}
    for dim, n, start, axis in (("y", raw.shape[0], north, 1), ("x", raw.shape[1], west, 0)):
        if f"{dim}scale" not in where:
            raise UserError(f"{file}: no {dim}scale, the size of a pixel; expected it in /where")
        size = float(where[f"{dim}scale"])
        wide = max(corner[axis] for corner in corners) - min(corner[axis] for corner in corners)
        if not abs(n * size / wide - 1) < 0.1 + 2 / n:
            raise UserError(f"{file}: {n} pixels of {dim}scale = {size:g} m, and corners {wide:.6g} m apart; expected them to agree")
        centres = start + (np.arange(n) + 0.5) * size * (1 if dim == "x" else -1)  # the first row is the northern one
        plane = {"units": "m", "standard_name": f"projection_{dim}_coordinate"}
        coords[dim] = (dim, centres, DEGREES[dim] if crs.is_geographic else plane)
    found = xr.DataArray(raw[None], coords, ("time", "y", "x"), quantity, {"units": KNOWN[quantity]})
    return with_meaning(mapped(found, "crs", crs.to_cf()), meant)


def mapped(array, name, attrs):
    """A field with a grid mapping."""
    found = array.assign_coords({name: ((), 0, dict(attrs))})
    found.attrs = array.attrs | {"grid_mapping": name}
    found.encoding = array.encoding
    return found


def sweep(file, said: Said, pick):
    """The lowest sweep about the radar: the nearest gate of each pixel of `PIXEL` km, by ground range and azimuth. pick: `pick_field`."""
    xradar = need("xradar", file, EXTRA)
    _check_gates(file)
    tree = xradar.io.open_odim_datatree(str(file), mask_and_scale=False)
    sweeps = [node.to_dataset() for name, node in tree.children.items() if name.startswith("sweep")]
    lowest = min(sweeps, key=lambda each: float(each["sweep_fixed_angle"]))
    gates = pick(file, lowest, said.variable)
    about = gates.attrs
    gain, offset = about.get("scale_factor", 1.0), about.get("add_offset", 0.0)
    meant = _meant(f"{file}: {gates.name}", gates.dtype, gain, offset, about.get("_FillValue"), about.get("_Undetect"), said)
    values = meant.decode(gates.transpose("azimuth", "range").values)
    elevation, ranges = float(lowest["sweep_fixed_angle"]), lowest["range"].values.astype(float)
    _, ground, _ = xradar.georeference.antenna_to_cartesian(
        ranges, np.zeros_like(ranges), np.full_like(ranges, elevation)
    )
    azimuth = lowest["azimuth"].values.astype(float)
    beam, gate = np.median(np.diff(np.sort(azimuth))), np.median(np.diff(ground)) / 1000
    half = int((ground[-1] / 1000 + gate / 2) // PIXEL)
    check_memory(64.0 * (2 * half) ** 2, f"{file}: a sweep of {half:,} km about the radar", "copy the file again")
    centres = (np.arange(2 * half) + 0.5 - half) * PIXEL
    distance = np.hypot(centres[:, None], centres[None])
    direction = np.degrees(np.arctan2(centres[None], centres[:, None])) % 360
    ray, off_ray = _nearest(np.concatenate([azimuth - 360, azimuth, azimuth + 360]), direction)
    bin_, off_bin = _nearest(ground / 1000, distance)
    seen = (off_ray <= beam) & (off_bin <= gate)  # else outside the sweep, or in a sector without rays
    grid = np.where(seen, values[ray % len(azimuth), bin_], np.float32(np.nan))
    coords = {"time": [lowest["time"].values.min()]}
    coords |= {d: (d, centres, {"units": "km", "standard_name": f"projection_{d}_coordinate"}) for d in "yx"}
    found = xr.DataArray(grid[None], coords, ("time", "y", "x"), gates.name, {"units": about.get("units", "")})
    where = {name: (lowest if name in lowest else tree)[name].values for name in ("longitude", "latitude")}
    centre = {f"{name}_of_projection_origin": float(value) for name, value in where.items()}
    done = Meant(meant.coding._replace(missing=()), meant.dtype, decoded=True)
    return with_meaning(mapped(found, "crs", {"grid_mapping_name": "azimuthal_equidistant", "earth_radius": EARTH} | centre), done)


def _check_gates(file):
    # The axes of a sweep are made of what the file says that they are, before its data are looked at.
    with h5py.File(file) as opened:
        for name, data, _ in _data_of(opened):
            shape = data["data"].shape
            for key, n in zip(("nrays", "nbins"), shape, strict=False):
                said = int(opened[name]["where"].attrs.get(key, n)) if "where" in opened[name] else n
                if said != n:
                    raise UserError(f"{file}: {key} of {name} is {said}, and its data have {shape}; copy the file again")


def _nearest(points, wanted):
    # (index into points, distance) of the point nearest to each of `wanted`.
    order = np.argsort(points)
    middle = (points[order][1:] + points[order][:-1]) / 2
    index = order[np.searchsorted(middle, wanted)]
    return index, np.abs(points[index] - wanted)
