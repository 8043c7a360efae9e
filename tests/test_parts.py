"""Members in parts: nothing is made twice, a damaged part is made anew, and parts of another answer are never mixed in."""

import os
import time

import jax
import numpy as np
import pytest

import sciddm as sd
from sciddm import activity, parts

STRUCTURE = jax.tree.structure({"a": 0, "b": 0})


@pytest.fixture
def make():
    """Rows as leaves, and which rows were asked for."""

    def make(rows):
        make.asked.append(list(rows))
        return {"a": np.asarray(rows, np.float32), "b": np.asarray(rows)[:, None] * np.ones((1, 3), np.float32)}

    make.asked = []
    return make


def run(make, folder, count, about=None, size=4):
    return parts.in_parts(make, count, size, folder, about or {"seed": 0}, STRUCTURE)


def test_all_rows_come_in_order_and_the_last_part_is_filled_up(make, tmp_path):
    found = run(make, tmp_path / "p", 10)
    np.testing.assert_array_equal(found["a"], np.arange(10))
    assert found["b"].shape == (10, 3) and make.asked[-1] == [8, 9, 9, 9]


def test_what_was_stopped_goes_on_and_more_members_take_those_that_are_there(make, tmp_path):
    def stops(rows):
        if rows[0] == 4:
            raise KeyboardInterrupt
        return make(rows)

    with pytest.raises(KeyboardInterrupt):
        run(stops, tmp_path / "p", 12)
    np.testing.assert_array_equal(run(make, tmp_path / "p", 12)["a"], np.arange(12))
    assert [rows[0] for rows in make.asked] == [0, 4, 8]
    run(make, tmp_path / "p", 16)
    assert [rows[0] for rows in make.asked] == [0, 4, 8, 12]
    parts.drop(tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_what_takes_long_says_once_how_long_and_how_it_is_stopped(make, tmp_path, monkeypatch, capsys):
    clock = iter(np.cumsum([0, 500, 0, 4] + [0, 9] * 9998))  # s, at the start and end of each part: the first one compiles
    monkeypatch.setattr(parts.time, "monotonic", lambda: next(clock, 1e9))
    monkeypatch.setattr(parts, "Bar", lambda **options: activity.tqdm(**options, file=open(os.devnull, "w")))

    def stops(rows):
        if rows[0] >= 12:
            raise KeyboardInterrupt
        return make(rows)

    with pytest.raises(KeyboardInterrupt):
        parts.in_parts(stops, 40_000, 4, tmp_path / "p", {"seed": 0}, STRUCTURE, progress=True)
    said = f"sample: takes about 11.1 hours more; Ctrl-C stops it, what is made stays in {tmp_path / 'p'}, and the same command goes on"
    assert capsys.readouterr().err == f"{said}, also with a smaller --count\n"
    np.testing.assert_array_equal(run(make, tmp_path / "p", 8)["a"], np.arange(8))
    assert len(make.asked) == 3


def test_a_damaged_part_is_made_anew(make, tmp_path):
    run(make, tmp_path / "p", 8)
    part = tmp_path / "p" / "members-000004.npz"
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 255
    part.write_bytes(data)
    (tmp_path / "p" / "members-000000.npz").write_bytes(b"")
    np.testing.assert_array_equal(run(make, tmp_path / "p", 8)["a"], np.arange(8))
    assert [rows[0] for rows in make.asked] == [0, 4, 0, 4]


def test_parts_of_another_answer_are_refused_by_what_differs_and_stay(make, tmp_path):
    run(make, tmp_path / "p", 8, {"seed": 0, "task": "fill"})
    before = sorted(path.name for path in (tmp_path / "p").iterdir())
    with pytest.raises(sd.UserError, match="whose seed was 0 and is now 1; remove it, or give another --out"):
        run(make, tmp_path / "p", 8, {"seed": 1, "task": "fill"})
    (tmp_path / "p" / "about.json").write_text("{")
    with pytest.raises(sd.UserError, match="an answer that is not known"):
        run(make, tmp_path / "p", 8)
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == before and len(make.asked) == 2


def test_two_at_once_are_refused(make, tmp_path):
    def inside(rows):
        with pytest.raises(sd.UserError, match="another process is making these members"):
            run(make, tmp_path / "p", 8)
        return make(rows)

    run(inside, tmp_path / "p", 4)


def test_the_clock_of_the_bar_goes_on_while_a_part_is_made(make, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(activity, "TICK", 0.01)

    def slow(rows):
        time.sleep(0.3)
        return make(rows)

    parts.in_parts(slow, 4, 4, tmp_path / "p", {"seed": 0}, STRUCTURE, progress=True)
    assert capsys.readouterr().err.count("0/4") > 5
