"""GRIB messages: whole ones, and one of a field at each time; its library merges those that it does not tell apart, or crashes."""

import hashlib
import mmap
import os
import shlex
from collections.abc import Iterator

from sciddm.errors import UserError

TOLD = (
    "parameterNumber", "parameterCategory", "discipline", "number", "typeOfLevel", "level", "stepRange", "stepType", "dataType",
    "typeOfGeneratingProcess", "centre", "subCentre", "gridType", "Ni", "Nj",
)  # fmt: skip


def check_grib(file) -> None:
    """That each message of a GRIB file is made of whole sections in their order: its library crashes on others. Raises: UserError."""
    with file.open("rb") as opened:
        data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(opened.fileno()).st_size else b""
        at = data.find(b"GRIB")
        if at < 0:
            raise UserError(f"{file}: has no GRIB message; copy it again")
        while at >= 0:
            edition = data[at + 7] if at + 8 <= len(data) else 0
            end = at + int.from_bytes(data[at + 8 : at + 16] if edition == 2 else data[at + 4 : at + 7], "big")
            fine = edition in (1, 2) and at + 20 <= end <= len(data) and data[end - 4 : end] == b"7777"
            if not fine or (edition == 2 and not _whole_sections(data, at + 16, end - 4)):
                raise UserError(f"{file}: the GRIB message at byte {at} is cut or damaged; copy it again")
            at = data.find(b"GRIB", end)  # bulletins have lines of text between them


def check_once(file, wanted=None) -> None:
    """That a field is there once at each time. wanted: GRIB's number of the parameter, None for all.

    Raises: UserError with what the messages of one time differ in, such as the member or the level.
    """
    seen: dict[tuple, tuple] = {}
    for name, when, message in _messages(file, wanted):
        first = seen.setdefault((name, when), message)
        if first is message or first[0] == message[0]:
            continue  # the same once more
        unlike = [(key, a, b) for key, a, b in zip(TOLD, first[1], message[1], strict=True) if a != b]
        what = ", ".join(f"{key} {a} and {b}" for key, a, b in unlike[:3]) or "which differ in nothing but their values"
        keep = f"{unlike[0][0]}={unlike[0][1]}" if unlike else ""
        copy = f"grib_copy -w shortName={name},{keep} {shlex.quote(str(file))} one.grib"
        way_out = f"copy those of one to a file of their own, such as by `{copy}`" if keep else "write it again with one of them"
        date, clock = f"{when[0]:08d}", f"{when[1]:04d}"
        at = f"{date[:4]}-{date[4:6]}-{date[6:]} {clock[:2]}:{clock[2:]}"
        raise UserError(f"{file}: {name!r} is there more than once at {at} ({what}); expected one field at each time: {way_out}")


def _messages(file, wanted) -> Iterator[tuple]:
    # (name, (date, hour and minute, second) of validity, (digest, what is told))
    import eccodes

    with file.open("rb") as opened:
        while (handle := eccodes.codes_grib_new_from_file(opened)) is not None:
            try:
                said = {
                    key: eccodes.codes_get(handle, key) if eccodes.codes_is_defined(handle, key) else None
                    for key in (*TOLD, "paramId", "shortName", "validityDate", "validityTime", "second")
                }
                digest = hashlib.sha256(eccodes.codes_get_message(handle)).digest()
            finally:
                eccodes.codes_release(handle)
            if wanted is None or said["paramId"] == wanted:
                when = tuple(said[key] or 0 for key in ("validityDate", "validityTime", "second"))
                yield said["shortName"], when, (digest, [said[key] for key in TOLD])


def _whole_sections(data, at, end) -> bool:
    # Each says how long it is, and which one; that of the packing says no more values than the grid has points.
    before, points = 0, 0
    while at < end:
        size, number = int.from_bytes(data[at : at + 4], "big"), data[at + 4] if at + 5 <= end else 0
        follows = number == before + 1 or (before, number) == (1, 3) or (before == 7 and number in (2, 3, 4))
        if size < 5 or at + size > end or not follows:
            return False
        if number in (3, 5):
            start = at + (6 if number == 3 else 5)
            count = int.from_bytes(data[start : start + 4], "big")
            points = count if number == 3 else points
            if count > points:
                return False
        at, before = at + size, number
    return at == end and before == 7
