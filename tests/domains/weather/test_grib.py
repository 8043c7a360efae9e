"""Messages of GRIB that are damaged, and those of one time."""

import numpy as np
import pytest
from grib_files import write_grib

from domains.weather.grib import check_grib
from domains.weather.readers import read_archive
from sciddm.errors import UserError

RATES = np.random.default_rng(0).uniform(0.5, 20, (3, 8, 10))
TIMES = np.datetime64("2024-05-01T10:00", "s") + 300 * np.arange(3).astype("timedelta64[s]")


def test_damaged_messages_are_noticed_before_their_library_sees_them(tmp_path):
    for body in (b"GRIB", b"GRIB\0\0\0\x02" + (40).to_bytes(8, "big") + b"\0" * 20 + b"7777", b"x" * 40):
        (tmp_path / "f.grib2").write_bytes(body)
        with pytest.raises(UserError, match="f.grib2: .*copy it again"):
            check_grib(tmp_path / "f.grib2")
    file = write_grib(tmp_path / "g.grib2", RATES, TIMES)
    body = bytearray(file.read_bytes())
    body[body.index(b"\x00\x00\x00\x50", 140) - 0] = 250  # of the values that the first message packs, eighty
    file.write_bytes(body)
    with pytest.raises(UserError, match="message at byte 0 is cut or damaged"):  # by its library's own end, where that has no memory
        check_grib(file)


@pytest.mark.parametrize(
    ("unlike", "words"),
    [
        ([{"typeOfLevel": "heightAboveGround", "level": level} for level in (2, 10)],
         "level 2 and 10.*`grib_copy -w shortName=prate,level=2 "),
        ([{"productDefinitionTemplateNumber": 1, "perturbationNumber": member} for member in (1, 2)], "number 1 and 2"),
        ([{"centre": centre} for centre in ("ecmf", "edzw")], "centre ecmf and edzw"),
        ([{}, {"bitsPerValue": 20}], "differ in nothing but their values"),
    ],
)  # fmt: skip
def test_grib_messages_of_one_time_are_refused_by_what_they_differ_in(unlike, words, tmp_path):
    for keys in unlike:
        file = write_grib(tmp_path / "f.grib2", RATES, TIMES, "ab", **keys)
    with pytest.raises(UserError, match=f"f.grib2: 'prate' is there more than once at 2024-05-01 10:00 .*{words}"):
        read_archive(file)


def test_grib_messages_that_are_there_twice_are_read_once(tmp_path):
    for _ in range(2):
        file = write_grib(tmp_path / "f.grib2", RATES, TIMES, "ab")
    assert len(read_archive(file)) == 3
