"""Square charts of a sphere whose field lives on a latitude-longitude grid.

    latitude_i = -90 + (i + 1/2) 180 / lat,   longitude_j = 360 j / lon,   x = (cos lat cos lon, cos lat sin lon, sin lat)

Charts are gnomonic (great circles are straight), stand on rings of latitude with one at each pole, and interpolate bilinearly:
longitude wraps, and beyond a pole comes the meridian on the other side.
"""

import numpy as np

from sciddm.lookahead.views.base import Views, interpolating, nearest_is_own


def sphere(shape, *, chart: int, overlap: float = 0.25, span: float | None = None, axes=(1, 2)) -> Views:
    """Charts that cover the sphere; `points` are unit vectors.

    Args:
        shape: (lat, lon) of the grid; chart: pixels of a chart's side; axes: latitude's and longitude's in the batched array.
        overlap: at least this share of a chart's side lies in its neighbour; span: degrees of a side, None: a pixel a latitude row.
    Raises: ValueError on an odd number of longitudes, a span beyond 120 degrees, or an overlap outside [0, 1).
    """
    lat, lon = (int(size) for size in shape)
    if lat < 2 or lon < 4 or lon % 2:
        raise ValueError(
            f"shape = {(lat, lon)}: expected at least 2 latitudes and an even number of longitudes from 4 on"
        )
    span = chart * 180.0 / lat if span is None else float(span)
    if chart < 2 or not 0 < span <= 120:
        raise ValueError(
            f"chart = {chart} pixels spans {span:g} degrees: expected 2 or more pixels and up to 120 degrees"
        )
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap = {overlap}: expected a share of a chart's side, in [0, 1)")
    grid = grid_points(lat, lon).reshape(-1, 3)
    half, spacing = np.tan(np.radians(span) / 2), (1 - overlap) * np.radians(span)
    while not np.all(np.any(_inside(grid, frames := _frames(spacing), half, chart)[0], -1)):
        spacing *= 0.9  # corners of squares on a sphere do not meet
    east, north, up = frames
    ticks = half * ((np.arange(chart) + 0.5) * 2 / chart - 1)
    y, x = (tick.reshape(1, -1, 1) for tick in np.meshgrid(ticks, ticks, indexing="ij"))
    points = up[:, None] + x * east[:, None] + y * north[:, None]
    points /= np.linalg.norm(points, axis=-1, keepdims=True)
    indices, coefficients = _bilinear(points, lat, lon)
    total = np.zeros(lat * lon)
    np.add.at(total, indices, coefficients)
    # Meridians crowd at the poles, more than a chart's pixels do: points that less than one pixel touches are interpolated in their charts.
    between = np.flatnonzero(total < 1.0)
    return interpolating(
        coefficients,
        indices=indices.astype(np.int32),
        shape=(lat, lon),
        view_shape=(chart, chart),
        axes=tuple(axes),
        central=nearest_is_own(points, up),
        points=points,
        fill=(between, *_within(grid[between], frames, half, chart)) if len(between) else None,
    )


def grid_points(lat: int, lon: int):
    """(lat, lon, 3) unit vectors of the grid, south to north."""
    latitude = (np.arange(lat) + 0.5) * np.pi / lat - np.pi / 2
    return _unit(latitude[:, None], np.arange(lon)[None] * 2 * np.pi / lon)


def _unit(latitude, longitude):
    parts = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)
    return np.stack(np.broadcast_arrays(*parts), -1)


def _frames(spacing):
    # (V, 3) east, north and up of charts at most `spacing` radians apart along and across rings
    rings = np.linspace(-np.pi / 2, np.pi / 2, int(np.ceil(np.pi / spacing)) + 1)
    latitude, longitude = [], []
    for place, ring in enumerate(rings):
        widest = np.cos(max(abs(ring) - spacing / 2, 0.0))  # the side nearest the equator has the farthest to go
        count = 1 if place in (0, len(rings) - 1) else int(np.ceil(2 * np.pi * widest / spacing))
        latitude += [ring] * count
        longitude += list(np.arange(count) * 2 * np.pi / count)
    latitude, longitude = np.asarray(latitude), np.asarray(longitude)
    east = np.stack([-np.sin(longitude), np.cos(longitude), np.zeros_like(longitude)], -1)
    up = _unit(latitude, longitude)
    return east, np.cross(up, east), up


def _inside(points, frames, half, chart):
    # (U, V) whether a point lies between the pixels of a chart, and its column and row there
    x, y, z = (points @ axis.T for axis in frames)
    z = np.where(z > 0, z, np.inf)
    column, row = ((side / z / half + 1) * chart / 2 - 0.5 for side in (x, y))
    inside = np.isfinite(z) & (np.minimum(column, row) >= 0) & (np.maximum(column, row) <= chart - 1)
    return inside, column, row


def _within(points, frames, half, chart):
    # (U, 4 V') pixels of all charts that contain each of the points, and their shares; those of the others are 0
    inside, column, row = _inside(points, frames, half, chart)
    charts = np.argsort(~inside, axis=-1, kind="stable")[:, : int(inside.sum(-1).max())]
    inside, column, row = (np.take_along_axis(a, charts, -1) for a in (inside, column, row))
    column, row = np.where(inside, column, 0.0), np.where(inside, row, 0.0)
    i, j = (np.minimum(a.astype(int), chart - 2) for a in (row, column))
    u, v = row - i, column - j
    pixels, shares = [], []
    for di, cu in ((0, 1 - u), (1, u)):
        for dj, cv in ((0, 1 - v), (1, v)):
            pixels.append(charts * chart**2 + (i + di) * chart + j + dj)
            shares.append(cu * cv * inside)
    return np.concatenate(pixels, -1), np.concatenate(shares, -1)


def _bilinear(points, lat, lon):
    row = (np.arcsin(np.clip(points[..., 2], -1, 1)) + np.pi / 2) * lat / np.pi - 0.5
    column = np.arctan2(points[..., 1], points[..., 0]) * lon / (2 * np.pi)
    i, j = np.floor(row).astype(int), np.floor(column).astype(int)
    u, v = row - i, column - j
    indices, coefficients = [], []
    for di, cu in ((0, 1 - u), (1, u)):
        for dj, cv in ((0, 1 - v), (1, v)):
            beyond = (i + di < 0) | (i + di >= lat)
            mirrored = np.where(i + di < 0, -1 - (i + di), np.where(beyond, 2 * lat - 1 - (i + di), i + di))
            indices.append(mirrored * lon + (j + dj + np.where(beyond, lon // 2, 0)) % lon)
            coefficients.append(cu * cv)
    return np.stack(indices, -1), np.stack(coefficients, -1)
