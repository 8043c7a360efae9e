"""Tables that a user brings: CSV, parquet or a DataFrame as columns by name, with units from the header and the line of every row."""

import csv
import importlib.util
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sciddm.data.reading import kind_of, read_bytes, reading
from sciddm.errors import UserError
from sciddm.named import near

TEXT, PARQUET = (".csv", ".tsv", ".txt", ".dat"), (".parquet", ".pq")
SPREADSHEETS = (".xlsx", ".xls", ".ods")
EMPTY = {"", "nan", "na", "n/a", "null", "none", "-", "--", "nat", "<na>"}
HEADER = re.compile(r"^\s*(?P<name>[^\[\]()]*?)\s*(?:\[(?P<square>[^\]]*)\]|\((?P<round>[^)]*)\))\s*$")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
LONGEST = 2**24  # characters of a cell; csv itself stops at 131,072
COMMA = re.compile(r"[+-]?\d+,\d+")
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
BRACKETED = re.compile(r"(\S+?)\s*(\[[^\]]*\]|\([^)]*\))")
DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2}|\d{8})(?:[T ]?(?P<clock>\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?|\d{4}(?:\d{2})?))?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?"
)
ZONE = re.compile(r"(?:Z|UTC|GMT)?(?P<hours>[+-]\d{2}(?::?\d{2})?)?", re.IGNORECASE)  # of a header


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length, each cell as it stands.

    source: for messages, a file or "a DataFrame"; columns: name -> (n,) of texts, or of whatever a DataFrame holds; units: of the columns
    whose header has them in brackets, as "rain [mm/h]"; lines: (n,) int, of the file, or rows of a DataFrame from 0.
    """

    source: str
    columns: dict[str, np.ndarray]
    units: dict[str, str]
    lines: np.ndarray
    counted: str = "line"

    def __len__(self):
        return len(self.lines)

    @cached_property
    def _plain(self):
        return {name.lower().replace(" ", "_"): name for name in self.columns}

    def where(self, row: int) -> str:
        """The place of a row for a message: "gauges.csv, line 12"."""
        return f"{self.source}, {self.counted} {self.lines[row]}"

    def find(self, names: Sequence[str]) -> str | None:
        """The column that goes by the first of `names` that is there, whatever its case; None: there is none."""
        return next((self._plain[name] for name in names if name in self._plain), None)

    def need(self, names: Sequence[str], what: str) -> str:
        """`find`. Raises: UserError that lists the columns there are. what: such as "the time of a report"."""
        found = self.find(names)
        if found is None:
            there = ", ".join(self.columns) + near(names[0], self.columns)
            raise UserError(f"{self.source}: no column {names[0]!r}, {what}; its columns are {there}; rename one, or add it")
        return found

    def missing(self, name: str) -> np.ndarray:
        """(n,) bool: cells that are empty, or say so, as "NA" does."""
        return np.array([_is_empty(cell) for cell in self.columns[name]], bool)

    def text(self, name: str) -> np.ndarray:
        """(n,) str, "" where empty; whole numbers of a DataFrame as they are written: 7, not 7.0."""

        def plain(cell):
            if _is_empty(cell):
                return ""
            return str(int(cell)) if isinstance(cell, (float, np.floating)) and float(cell).is_integer() else str(cell).strip()

        return np.array([plain(cell) for cell in self.columns[name]], object)

    def numbers(self, name: str) -> np.ndarray:
        """(n,) float64, NaN where empty. Raises: UserError with the line of the first cell that is no finite number."""
        cells = self.columns[name]
        found = np.full(len(cells), np.nan)
        for i, cell in enumerate(cells):
            if _is_empty(cell):
                continue
            if isinstance(cell, str) and not NUMBER.fullmatch(cell.strip()):
                raise UserError(f"{self.where(i)}: {name} is {cell.strip()!r}; expected a number{_hint(cell.strip())}")
            try:
                found[i] = float(cell)
            except (TypeError, ValueError):
                raise UserError(f"{self.where(i)}: {name} is {cell!r}; expected a number") from None
            if not np.isfinite(found[i]):
                raise UserError(f"{self.where(i)}: {name} is {cell}; expected a finite number, or nothing where it is missing")
        return found

    def times(self, name: str) -> np.ndarray:
        """(n,) datetime64[s] in UTC, NaT where empty: "2024-05-01 10:05", with T or seconds, "202405011005", and with a zone, "+02:00".

        Without a zone they are in that of the header, "time [+02:00]", or in UTC. Raises: UserError with the line of what is no time.
        """
        found, zone = np.full(len(self), "NaT", "datetime64[s]"), self.units.get(name, "")
        if zone.lower().startswith(("yyyy", "iso")):  # how they are written
            zone = ""
        if zone and not (known := ZONE.fullmatch(zone)):
            raise UserError(f"{self.source}: {name} is in {zone!r}; expected UTC, or hours from it, such as {name} [+02:00]")
        for i, cell in enumerate(self.columns[name]):
            if not _is_empty(cell):
                found[i] = as_utc(cell, f"{self.where(i)}: {name}", (known["hours"] or "") if zone else "")
        return found


def is_table(thing) -> bool:
    """Whether it is a DataFrame, or a path whose suffix is that of a table."""
    if isinstance(thing, (str, Path)):
        return kind_of(Path(thing)) in (*TEXT, *PARQUET, *SPREADSHEETS)
    return type(thing).__name__ == "DataFrame"


def read_table(thing) -> Table:
    """The columns of a table: a path of CSV (by commas, semicolons, tabs or blanks, with a header; lines of # are comments) or
    parquet, or a DataFrame of pandas or polars.

    Raises: UserError in one line with the file and the line, where it has no header, a name twice, no rows, another number of cells in a
    row, decimal commas or is no text.
    """
    if not isinstance(thing, (str, Path)):
        frame = thing if hasattr(thing, "iloc") else thing.to_pandas()
        return _of_frame(frame, "a DataFrame")
    path = Path(thing).expanduser()
    kind = kind_of(path)
    if kind in PARQUET:
        if not path.is_file():
            raise UserError(f"{path}: no such file; expected a table")
        if importlib.util.find_spec("pyarrow") is None:
            raise UserError(f"{path}: reading it needs pyarrow: pip install pyarrow, or write it as CSV")
        import pandas  # only where a table is read

        with reading(path):
            frame = pandas.read_parquet(path)
        return _of_frame(frame, str(path))
    if kind in SPREADSHEETS:
        raise UserError(f"{path}: a spreadsheet; save it as CSV (comma separated, UTF-8)")
    if kind not in TEXT:
        known = ", ".join((*TEXT, *PARQUET))
        raise UserError(f"{path}: {kind or 'a name without a suffix'} is no table that is known; expected one of {known}")
    return _of_text(_decoded(path), str(path))


def _of_frame(frame, source) -> Table:
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    elif getattr(frame.index.dtype, "kind", "") == "M" and "time" not in frame.columns:
        frame = frame.rename_axis("time").reset_index()
    names, units = _header([str(name) for name in frame.columns], f"{source}: its header")
    columns = {name: frame.iloc[:, i].to_numpy(object) for i, name in enumerate(names) if name}
    if not len(frame):
        raise UserError(f"{source}: no rows; expected one at least")
    return Table(source, columns, units, np.arange(len(frame)), "row")


def _of_text(text: str, source: str) -> Table:
    lines = text.splitlines(keepends=True)
    first = next((i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), None)
    if first is None:
        raise UserError(f"{source}: is empty; expected a line with the names of the columns, and rows")
    sign = max(",;\t", key=lambda s: _outside_quotes(lines[first]).count(s))
    if sign not in _outside_quotes(lines[first]) and len(lines[first].split()) > 1:
        sign, lines = " ", [line.strip() + "\n" for line in lines]
        if '"' not in lines[first]:
            lines[first] = BRACKETED.sub(r'"\1 \2"', lines[first])  # a unit belongs to its name
    # A file by commas tells its line itself: a cell in quotes may go over several.
    kept = [line for line in lines[first:] if not line.lstrip().startswith("#")]
    places = [i for i, line in enumerate(lines[first:], first + 1) if not line.lstrip().startswith("#")]
    reader, rows, numbers = csv.reader(io.StringIO("".join(kept), newline=""), delimiter=sign, skipinitialspace=True), [], []
    before = 0
    csv.field_size_limit(LONGEST)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                numbers.append(places[before])
            before = reader.line_num
    except csv.Error as error:
        place = places[min(before, len(places) - 1)]
        raise UserError(f"{source}, line {place}: {error}; expected cells with {sign!r} between them") from None
    header = rows[0]
    names, units = _header(header, f"{source}, line {numbers[0]}")
    if all(NUMBER.fullmatch(cell.strip()) or TIME.fullmatch(cell.strip()) for cell in header if cell.strip()):
        raise UserError(f"{source}, line {numbers[0]}: {header[0]!r} is no name of a column; expected a first line with names")
    body, width = rows[1:], len(header)
    if not body:
        raise UserError(f"{source}: no rows below the header; expected one at least")
    for row, number in zip(body, numbers[1:], strict=True):
        while len(row) > width and not row[-1].strip():
            row.pop()
        if len(row) != width:
            hint = "; are there decimal commas? write decimal points" if sign == "," and len(row) > width else ""
            raise UserError(f"{source}, line {number}: {len(row)} cells; expected {width}, as the header has{hint}")
    columns = {name: np.array([row[i].strip() for row in body], object) for i, name in enumerate(names) if name}
    return Table(source, columns, units, np.array(numbers[1:]))


def _header(cells, where) -> tuple[list[str], dict[str, str]]:
    # Names without what stands in brackets behind them; a column without a name, as an index is written, has none.
    names, units = [], {}
    for cell in cells:
        found = HEADER.match(cell)
        name = (found["name"] if found and found["name"] else cell).strip()
        if found and found["name"]:
            units[name] = (found["square"] if found["square"] is not None else found["round"]).strip()
        if name and name in names:
            raise UserError(f"{where}: column {name!r} is there twice; rename one")
        names.append(name)
    if not any(names):
        raise UserError(f"{where}: no names of columns; expected some, such as time, value")
    return names, units


def _decoded(path: Path) -> str:
    if path.is_dir() or not path.exists():
        raise UserError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; expected a table")
    data = read_bytes(path)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace").lstrip("\ufeff")
    if b"\0" in data[:4096]:
        raise UserError(f"{path}: is no text; expected a table as CSV")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")  # what spreadsheets write where they don't write UTF-8


def _outside_quotes(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _is_empty(cell) -> bool:
    if isinstance(cell, str):
        return cell.strip().lower() in EMPTY
    return cell is None or str(cell) == "<NA>" or cell != cell  # pandas.NA is not to be compared


def _hint(text: str) -> str:
    if THOUSANDS.fullmatch(text):
        return f"; write {text.replace(',', '')} without a comma" + (f", or {text.replace(',', '.')}" if COMMA.fullmatch(text) else "")
    if COMMA.fullmatch(text):
        return f"; write {text.replace(',', '.')} with a decimal point"
    return "; leave out what is only known to be beyond a limit" if text[:1] in "<>≤≥" else ""


def as_utc(cell, what: str, zone: str = "") -> np.datetime64:
    # zone: hours from UTC of what has none, "+02:00"
    if not isinstance(cell, str):
        if getattr(cell, "tzinfo", None) is not None:
            cell = cell.tz_convert("UTC").tz_localize(None) if hasattr(cell, "tz_convert") else cell.isoformat()
        elif isinstance(cell, (int, float, np.number)) and not isinstance(cell, bool) and not DATE.match(str(cell)):
            raise UserError(f"{what} is {cell}; expected a date and time such as 2024-05-01 10:05")
        cell = str(cell).partition(".")[0] if isinstance(cell, (int, float, np.number)) else str(cell)
    found = TIME.fullmatch(cell.strip())
    expected = "expected a date and time such as 2024-05-01 10:05, in UTC or with its zone, +02:00"
    if not found:
        hint = "; it has no date" if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", cell.strip()) else ""
        raise UserError(f"{what} is {cell.strip()!r}{hint}; {expected}")
    digits, clock = DATE.match(found["date"]), (found["clock"] or "00:00").replace(":", "")
    text = f"{'-'.join(digits.groups())}T{clock[:2]}:{clock[2:4]}:{clock[4:] or '00'}"
    try:
        time = np.datetime64(text).astype("datetime64[s]")
    except ValueError:
        raise UserError(f"{what} is {cell.strip()!r}, which is no date; {expected}") from None
    zone = found["zone"] or zone or "Z"
    if zone[0] in "+-":
        hours, minutes = int(zone[1:3]), int(zone[3:].replace(":", "") or 0)
        time = time - np.timedelta64((1 if zone[0] == "+" else -1) * (60 * hours + minutes), "m")
    return time
