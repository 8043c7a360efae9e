"""Rain gauges as tables that a user brings: when, where and how much, in dBZ with its error; a second table says where stations stand."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domains.weather import formats
from domains.weather.header import METRES, Header
from domains.weather.readers import RATES, of_length
from domains.weather.transform import reflectivity
from sciddm.data.tables import read_table
from sciddm.errors import UserError
from sciddm.given import say
from sciddm.named import near

TIME = ("time", "datetime", "date_time", "timestamp", "valid_time", "date")
STATION = ("station", "station_id", "stationid", "id", "gauge", "site", "name")
LON, LAT = ("lon", "longitude", "long"), ("lat", "latitude")
X, Y = ("x", "easting"), ("y", "northing")
VALUE = ("value", "rain", "rainfall", "rain_rate", "rainfall_rate", "precipitation", "precip", "rr", "amount", "reflectivity", "dbz")
UNITS, ERROR, INTERVAL = ("units", "unit"), ("error", "std", "sigma", "uncertainty"), ("interval", "duration", "accumulation")
AMOUNTS = ("mm", "kg m-2", "kg/m2")  # over an interval
DEGREES = re.compile(r"(decimal )?(deg(ree)?s?|°|dd)?[ _]?(e|n|east|north|true)?|wgs ?84|epsg:4326", re.IGNORECASE)
TIMES = re.compile(r"min(ute)?s?|h((ou)?rs?)?|s(ec(ond)?s?)?")
SLOPE = 10 * 1.6 / np.log(10)  # dBZ of a relative change of the rate, of Z = 200 R^1.6
DRY = 0.1  # mm/h; the least that a report of no rain leaves room for
FLOOR = 1.0  # dBZ; no gauge tells a pixel's rain better, whatever its own error
WEAKEST, MOST_RAIN = -20.0, 600.0  # dBZ, mm/h


@dataclass(frozen=True, eq=False)
class Reports:
    """pixels: (n, 2) rows and columns; minutes: (n,) after the newest frame, of the end of each; spans: (n,) minutes that each sums up, 0
    of what is instantaneous; dbz, std: (n,), NaN where nothing was reported; dry: (n,) dBZ that no rain may be below, NaN where it rained.
    """

    pixels: np.ndarray
    minutes: np.ndarray
    spans: np.ndarray
    dbz: np.ndarray
    std: np.ndarray
    dry: np.ndarray


def read_reports(tables: Sequence, stations, header: Header, now, horizon: float, interval: float, error: float, before: float) -> Reports:
    """The reports of all tables; one with stations and places but no time says where they stand.

    Rates in mm/h, and amounts in mm over `interval` minutes, become dBZ by Z = 200 R^1.6; an error e of a rate R is one of
    10 b / ln 10 e / R dBZ, 1 at least. No rain, 0, says that the rate is below the least that the gauge reports (0.1 mm/h at least), and no
    more than that. dBZ are taken as they are, 0 as no echo.

    Args: stations: a table, or None; now: datetime64 of the newest frame; horizon: minutes of forecast; interval: minutes of a frame;
        error: dBZ, where the table has no column for it; before: minutes up to `now` that the past covers.
    Raises: UserError with file and line.
    """
    tables, places = _sorted(tables, stations)
    seen = {}
    found = [_reports(table, places, header, now, horizon, interval, error, before, seen) for table in tables]
    return Reports(*(np.concatenate([getattr(one, name) for one in found]) for name in Reports.__dataclass_fields__))


def where_gauges_stand(tables: Sequence, stations, header: Header) -> np.ndarray:
    """(n, 2) broken rows and columns of all reports, NaN far outside. Raises: UserError with file and line."""
    tables, places = _sorted(tables, stations)
    return np.nan_to_num(np.concatenate([_pixels(table, places, header)[0] for table in tables]), nan=-9e9)


def _sorted(tables, stations):
    # Tables of reports, and that of stations or None.
    tables = [read_table(thing) for thing in tables]
    places = [table for table in tables if table.find(TIME) is None and table.find(STATION) is not None]
    places += [] if stations is None else [read_table(stations)]
    tables = [table for table in tables if table not in places]
    if not tables:
        raise UserError("--given: no table of reports; expected one with columns time, and lon and lat, x and y, or station, and a value")
    if len(places) > 1:
        raise UserError(f"{places[1].source}: a second table of stations beside {places[0].source}; expected one")
    return tables, places[0] if places else None


def _reports(table, places, header, now, horizon, interval, error, before, seen) -> Reports:
    times = table.times(table.need(TIME, "when a report ends"))
    if np.isnat(times).any():
        raise UserError(f"{table.where(int(np.isnat(times).argmax()))}: no time; expected a date and time such as 2024-05-01 10:05")
    column = table.find(VALUE) or table.need(("value",), "what a gauge reports, its unit in brackets, such as value [mm/h]")
    values, missing = table.numbers(column), table.missing(column)
    pixels, station = _pixels(table, places, header)
    minutes = (times - now).astype(np.int64) / 60
    _unique(table, times, station, pixels, values, seen)
    early, late = minutes < interval / 2, minutes > horizon + interval / 2
    outside = ~header.inside(np.nan_to_num(pixels, nan=-9e9))
    elsewhere = outside & ~early & ~late
    for away, why in ((early, "up to the newest frame"), (late, "after the forecast ends"), (elsewhere, "outside of the grid")):
        if away.any():
            say(f"{table.source}: {away.sum()} of {len(table)} reports {why} are left out, the first in {table.counted} "
                f"{table.lines[int(away.argmax())]}")  # fmt: skip
    kept = np.flatnonzero(~(early | late | outside))
    if not len(kept):
        span = f"{str(now)[:16]} and {horizon:g} min after it".replace("T", " ")
        raise UserError(f"{table.source}: no report is inside of the grid and between {span}; {_hint(table, places, header, outside)}")
    if missing[kept].any():
        say(f"{table.source}: {missing[kept].sum()} reports without a value count for nothing")
    if missing[kept].all():
        raise UserError(f"{table.source}: no report inside of the grid and the time of the forecast has a value; expected one at least")
    spans, dbz, std, dry = _in_dbz(table, column, values, kept, times, station, error)
    known = spans <= before + minutes[kept] + interval / 2
    if not known.all():
        first = int(kept[known.argmin()])
        said = f"{(~known).sum()} of {len(table)} reports sum up more than the {before:g} min of the past and what came after it"
        if not known.any():
            raise UserError(f"{table.where(first)}: {said}; expected shorter ones")
        say(f"{table.source}: {said}; they are left out, the first in {table.counted} {table.lines[first]}")
    return Reports(*(each[known] for each in (header.nearest(pixels[kept]), minutes[kept], spans, dbz, std, dry)))


def _pixels(table, places, header):
    # (n, 2) broken rows and columns, and (n,) what tells one gauge from another.
    source, rows = table, np.arange(len(table))
    station = table.find(STATION)
    own = any(table.find(names) for names in (LON, X))
    names = table.text(station) if station else None
    if not own:
        if station is None:
            table.need(("lon",), "where a gauge stands: lon and lat, x and y, or station")
        if places is None:
            raise UserError(f"{table.source}: has stations and no places; add --given stations=FILE with columns station, lon, lat")
        known = places.text(places.need(STATION, "which station"))
        lines = {}
        for i, name in enumerate(known):
            if name in lines:
                before = f"{places.counted} {places.lines[lines[name]]}"
                raise UserError(f"{places.where(i)}: station {name!r} is there twice, also in {before}; leave one out")
            lines[name] = i
        if unknown := [i for i, name in enumerate(names) if name not in lines]:
            name = names[unknown[0]]
            alike = [other for other in lines if other.lstrip("0") == name.lstrip("0") != ""]
            hint = f"; there is {alike[0]!r}: write it alike in both tables" if alike else near(name, lines)
            raise UserError(f"{table.where(unknown[0])}: station {name!r} is not in {places.source}{hint}")
        source, rows = places, np.array([lines[name] for name in names])
    degrees = source.find(LON) is not None
    across, up = (LON, LAT) if degrees else (X, Y)
    a, b = (_coordinate(source, names, degrees, header) for names in (across, up))
    used = np.unique(rows)
    if (lost := used[~np.isfinite(a[used] + b[used])]).size:
        raise UserError(f"{source.where(int(lost[0]))}: no place; expected {across[0]} and {up[0]}")
    if degrees and (off := used[np.abs(b[used]) > 90]).size:
        raise UserError(f"{source.where(int(off[0]))}: lat is {b[off[0]]:g}; expected -90 to 90 degrees; are lon and lat swapped?")
    found = header.pixels(a, b) if degrees else header.pixels_at(a, b)
    if found is None:
        unknown = "the frames don't say where on the Earth they lie, or pyproj is not there"
        raise UserError(f"{source.source}: lon and lat, but {unknown}; give x and y in their coordinates")
    return found[rows], names if names is not None else np.array([f"{x},{y}" for x, y in zip(a[rows], b[rows], strict=True)])


def _hint(table, places, header, outside):
    source = table if table.find(LON) or table.find(X) else places
    if not outside.all():
        return "are its times in UTC, or with their zone?"
    if source is not None and source.find(LON) and source.find(LAT):
        swapped = header.pixels(source.numbers(source.find(LAT)), np.clip(source.numbers(source.find(LON)), -90, 90))
        if swapped is not None and header.inside(np.nan_to_num(swapped, nan=-9e9)).any():
            return "lon and lat are swapped"
    return f"the grid reaches from {header.corners(source is not None and not source.find(LON))}"


def _coordinate(source, names, degrees, header):
    # Of where gauges stand, in the frames' unit of length, or in degrees.
    name = source.need(names, "where a gauge stands")
    unit, own = source.units.get(name, ""), header.x.attrs.get("units", "")
    values, length = source.numbers(name), of_length(own)
    if not unit or ((degrees or header.degrees) and DEGREES.fullmatch(unit)) or (not degrees and unit == own):
        return values
    if degrees or length not in METRES or of_length(unit) not in METRES:
        expected = "degrees, east and north" if degrees else f"{own or 'the unit'} of the frames' coordinates"
        raise UserError(f"{source.source}: {name} is in {unit!r}; expected {expected}")
    return values / METRES[of_length(unit)] * METRES[length]


def _unique(table, times, station, pixels, values, seen):
    # seen: of the tables before, too
    for i, key in enumerate(zip(times.tolist(), station.tolist(), map(tuple, np.nan_to_num(pixels)), strict=True)):
        if key in seen:
            when = str(times[i])[:16].replace("T", " ")
            other, row, value = seen[key]
            place = f"{table.counted} {table.lines[row]}" if other is table else other.where(row)
            before = f"{place} ({value:g} and {values[i]:g})"
            raise UserError(f"{table.where(i)}: a second report of {station[i]} at {when}, also in {before}; leave one out")
        seen[key] = table, i, values[i]


def _in_dbz(table, column, values, kept, times, station, default):
    # (spans, dbz, std, dry) of the rows that are kept.
    stated = table.text(table.find(UNITS)) if table.find(UNITS) else np.full(len(table), table.units.get(column, ""), object)
    if not table.find(UNITS) and not table.units.get(column) and column.lower() in ("dbz", "reflectivity"):
        stated = np.full(len(table), "dBZ", object)
    errors = table.find(ERROR)
    error = table.numbers(errors) if errors else np.full(len(table), np.nan)
    of_error = formats.plain_units(table.units.get(errors, "")) if errors else ""
    spans, per_hour = _intervals(table, times, station, stated, kept), np.full(len(table), np.nan)
    hourly = np.full(len(table), np.nan)  # of an error
    for i in kept:
        unit = formats.plain_units(stated[i])
        per_hour[i] = _per_hour(unit, spans[i])
        hourly[i] = _per_hour(of_error or unit, spans[i])
        if of_error not in ("", "dbz") and (unit == "dbz" or not np.isfinite(hourly[i])):
            raise UserError(f"{table.where(i)}: {errors} is in {table.units[errors]!r}; expected {stated[i]}, the unit of {column}")
        if not np.isfinite(per_hour[i]) and unit != "dbz":
            way_out = f"expected mm/h, mm, or dBZ, as in {column} [mm/h], or in a column units"
            raise UserError(f"{table.where(i)}: {column} is in {stated[i] or 'no unit'!r}; {way_out}")
        if error[i] < 0 or error[i] == 0:
            raise UserError(f"{table.where(i)}: {errors} is {error[i]:g}; expected one standard deviation, above 0")
        if np.isfinite(per_hour[i]) and (values[i] < 0 or values[i] * per_hour[i] > MOST_RAIN):
            what = f"{values[i]:g} {stated[i]}"
            raise UserError(f"{table.where(i)}: {column} is {what}; expected 0 to {MOST_RAIN:g} mm/h; leave empty what is missing")
        if unit == "dbz" and not (np.isnan(values[i]) or -100 <= values[i] <= 100):
            raise UserError(f"{table.where(i)}: {column} is {values[i]:g} dBZ; expected -100 to 100; leave empty what is missing")
    v, e, is_rate = values[kept], error[kept], np.isfinite(per_hour[kept])
    rate, least = v * per_hour[kept], np.full(len(kept), np.nan)
    for unit in set(stated[kept]):  # what a gauge resolves is a number of its own unit
        alike = is_rate & (stated[kept] == unit)
        if (positive := v[alike & (v > 0)]).size:
            least[alike] = positive.min() * per_hour[kept][alike]
    limit = reflectivity(np.fmax(np.fmax(least, e * hourly[kept]), DRY))
    wet = reflectivity(np.where(is_rate, rate, 0.0))
    dbz = np.where(is_rate, np.where(rate > 0, wet, 0.0), np.where(v < WEAKEST, 0.0, v))
    relative = e if of_error == "dbz" else SLOPE * e * hourly[kept] / np.where(rate > 0, rate, 1.0)
    slope = np.where(is_rate & (rate > 0), np.fmax(relative, FLOOR), np.nan)
    std = np.where(np.isnan(e) | (is_rate & ~(rate > 0)), default, np.where(is_rate, slope, e))
    dry = np.where(is_rate & (wet <= 0) & np.isfinite(v), limit, np.nan)
    return np.where(is_rate & np.isfinite(spans[kept]), spans[kept], 0.0), np.where(np.isnan(v), np.nan, dbz), std, dry


def _per_hour(unit, span):
    # mm/h of one of a unit, NaN of what is no rain.
    return 60 / span if unit in AMOUNTS and span > 0 else float(RATES.get(unit, np.nan))


def _intervals(table, times, station, stated, kept):
    # Minutes that each report sums up: its column, else the station's own step of reporting.
    name = table.find(INTERVAL)
    if name:
        found = table.numbers(name)
        if off := [i for i in kept if found[i] <= 0 or (np.isnan(found[i]) and formats.plain_units(stated[i]) in AMOUNTS)]:
            raise UserError(f"{table.where(off[0])}: {name} is {found[off[0]]:g}; expected minutes above 0")
        unit = table.units.get(name, "min").lower()
        if not TIMES.fullmatch(unit):
            raise UserError(f"{table.source}: {name} is in {unit!r}; expected min, h or s")
        return found * {"h": 60.0, "s": 1 / 60}.get(unit[0] if unit[0] in "hs" else "", 1.0)
    found = np.full(len(table), np.nan)
    units = [formats.plain_units(unit) for unit in stated]
    for i, unit in enumerate(units):
        if several := re.fullmatch(r"mm/(\d+) ?min", unit):
            found[i] = float(several[1])
    summed = np.array([unit in AMOUNTS for unit in units])
    for one in np.unique(station[summed]) if summed.any() else ():
        rows = np.flatnonzero(station == one)
        steps, counts = np.unique(np.diff(np.sort(times[rows])).astype(np.int64), return_counts=True)
        if not len(steps):
            raise UserError(
                f"{table.where(int(rows[0]))}: one report in mm, over a time that is not said; add a column interval, in minutes"
            )
        found[rows] = steps[counts.argmax()] / 60
    return found
