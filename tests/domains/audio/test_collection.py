import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

import domains.audio
from domains.audio import collection
from domains.audio.collection import SUFFIXES, Kept, open_collection
from domains.audio.sound import read_sound
from sciddm.errors import UserError

EMBEDDED = Path(domains.audio.__file__).parent / "data"
RATE = 8000
RNG = np.random.default_rng(0)
NOISE = 0.1 * RNG.standard_normal(RATE)


def put(path, samples=NOISE, rate=RATE, **kept):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **kept)
    return path


def test_a_folder_is_read_with_those_in_it_in_order_of_names_by_suffix(tmp_path, capsys):
    for name in ("b.wav", "a/z.FLAC", "a/c.ogg", "d.mp3", "e.opus"):
        put(tmp_path / name, format={"FLAC": "FLAC", "opus": "OGG"}.get(name.split(".")[1]))
    for name in (".hidden.wav", ".git/x.wav", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no sound")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = open_collection(tmp_path, 16000)
    assert [path.relative_to(tmp_path).as_posix() for path in found.paths] == ["a/c.ogg", "a/z.FLAC", "b.wav", "d.mp3", "e.opus"]
    assert [found.frames(i) for i in range(5)] == [16000] * 5 and found.seconds == 5 and capsys.readouterr().err == ""
    assert [(file.rate, file.frames, file.channels) for file in found.files] == [(RATE, RATE, 1)] * 5
    assert [path.name for path in open_collection(tmp_path / "*.wav", RATE).paths] == ["b.wav"]
    assert len(open_collection(tmp_path / "**" / "*.*[gGcC]", RATE).paths) == 2 and len(open_collection(tmp_path / "b.wav", RATE)) == 1


def test_files_that_are_no_sound_to_train_on_are_left_out_and_named_with_the_reason(tmp_path, capsys):
    put(tmp_path / "good.wav", np.stack([NOISE, NOISE], 1))
    put(tmp_path / "clipped.wav", np.clip(NOISE, -0.1, 0.1))
    (tmp_path / "a text.wav").write_text("no sound at all, and long enough to look at\n")
    (tmp_path / "b empty.wav").touch()
    whole = put(tmp_path / "c broken.flac", np.tile(NOISE, 5)).read_bytes()
    (tmp_path / "c broken.flac").write_bytes(whole[: len(whole) // 2])
    put(tmp_path / "d nan.wav", np.where(np.arange(RATE) == 7000, np.nan, NOISE), subtype="FLOAT")
    put(tmp_path / "e silent.wav", 0.9e-4 * np.sign(NOISE), subtype="FLOAT")
    put(tmp_path / "f short.wav", NOISE[:1999])
    put(tmp_path / "g one.wav", NOISE[:1])
    put(tmp_path / "h none.wav", NOISE[:0])
    found = open_collection(tmp_path, RATE)
    assert [path.name for path in found.paths] == ["clipped.wav", "good.wav"] and [file.clipped for file in found.files] == [True, False]
    assert [(path.name, reason) for path, reason in found.skipped] == [
        ("a text.wav", "is not a sound file, whatever its name"), ("b empty.wav", "is empty"),
        ("c broken.flac", "is broken (flac decoder lost sync)"), ("d nan.wav", "has NaN or infinite samples"), ("e silent.wav", "silent"),
        ("f short.wav", "0.250 s, shorter than 0.25"), ("g one.wav", "1 sample"), ("h none.wav", "has no samples"),
    ]  # fmt: skip
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f"{tmp_path}: 8 of 10 files are left out: a text.wav (is not a sound file, whatever its name), b empty.wav")
    assert said[0].endswith("e silent.wav (silent) and 3 more") and len(said) == 2
    assert said[1] == f"{tmp_path}: 1 of 2 files are clipped in more than 1 % of samples, such as clipped.wav"


def test_no_sound_at_all_is_an_error_that_says_why(tmp_path):
    known = ", ".join(SUFFIXES)
    for path, said in (("none", f"no such file or folder; expected sounds as {known}"), ("*.wav", "no file fits the pattern")):
        with pytest.raises(UserError, match=said):
            open_collection(tmp_path / path, RATE)
    with pytest.raises(UserError, match=f"a folder without sounds; expected files {known}"):
        open_collection(tmp_path, RATE)
    put(tmp_path / "a.wav", NOISE[:10])
    with pytest.raises(UserError, match=r"none of 1 files is a sound to train on: a.wav \(0.001 s, shorter than 0.25\); give others"):
        open_collection(tmp_path, RATE)


def test_without_its_library_files_are_not_taken_for_broken(tmp_path, monkeypatch):
    put(tmp_path / "a.wav")
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(UserError, match=rf"^{tmp_path}: reading it needs soundfile: install sciddm\[audio\]"):
        open_collection(tmp_path, RATE)


def test_what_is_read_is_the_mean_of_channels_at_the_rate_and_zeros_after_the_end(tmp_path):
    put(tmp_path / "a.wav", np.stack([NOISE, 0.5 * NOISE], 1), 16000)
    found, sound = open_collection(tmp_path, RATE), read_sound(tmp_path / "a.wav").resampled(RATE)
    assert found.frames(0) == 4000 and found.read(0, 0, 10).dtype == np.float32
    np.testing.assert_allclose(found.read(0, 100, 500), sound.mono()[100:600], atol=1e-6)
    np.testing.assert_allclose(found.read(0, 3900, 200), np.concatenate([sound.mono()[3900:], np.zeros(100)]), atol=1e-6)
    assert not found.read(0, 9000, 10).any()
    with pytest.raises(ValueError):
        found.read(0, -1, 10)


@pytest.mark.parametrize("rate, suffix", [(RATE, "wav"), (11025, "ogg"), (44100, "wav"), (44101, "flac"), (48000, "mp3"), (16000, "flac")])
def test_parts_of_a_long_file_are_those_of_the_whole(rate, suffix, tmp_path, monkeypatch):
    put(tmp_path / f"a.{suffix}", 0.1 * RNG.standard_normal((rate * 8 + 77, 2)), rate)
    found = open_collection(tmp_path, 16000)
    whole = found.read(0, 0, found.frames(0))
    monkeypatch.setattr(collection, "LONG", 1.0)
    monkeypatch.setattr(Kept, "get", None)  # is not asked
    for start, count in ((0, 1000), (1, 1), (30001, 16000), (77777, 4096), (found.frames(0) - 999, 999), (found.frames(0), 5)):
        part = found.read(0, start, count)
        np.testing.assert_allclose(part[: len(whole) - start], whole[start : start + count], atol=1e-5)
    assert len(found.read(0, found.frames(0) - 10, 30)) == 30


def test_files_are_resampled_once_as_far_as_memory_is_meant_for_it(tmp_path, monkeypatch):
    for i in range(4):
        put(tmp_path / f"{i}.wav", (i + 1) * NOISE / 10)
    made = []
    monkeypatch.setattr(collection, "_whole", lambda file, rate: made.append(file.path.stem) or np.zeros(RATE, np.float32))
    found = open_collection(tmp_path, RATE)
    object.__setattr__(found, "kept", Kept(3.5 * 4 * RATE))
    for i in (0, 1, 2, 0, 3, 0, 2, 3, 0, 1, 0):
        found.read(i, 0, 10)
    assert made == ["0", "1", "2", "3", "1"]  # of which 1 went, not used for longest, and then 2
    monkeypatch.setattr(collection, "KEPT", 3.5 * 4 * RATE)
    monkeypatch.setattr(collection, "SHORT", 0.5)
    np.testing.assert_allclose(open_collection(tmp_path, RATE).read(2, 5, 100), 0.3 * NOISE[5:105], atol=1.01 * 2.0**-15)
    assert len(made) == 5  # no whole file where not all can be kept


def test_reads_from_many_threads_and_another_process_agree(tmp_path):
    found = open_collection(EMBEDDED, RATE)
    object.__setattr__(found, "kept", Kept(1e6))  # so that files come and go
    places = [(int(i), int(start)) for i, start in zip(RNG.integers(0, 76, 200), RNG.integers(0, 8000, 200), strict=True)]
    alone = [found.read(i, start, 4000) for i, start in places]
    with ThreadPoolExecutor(8) as pool:
        np.testing.assert_array_equal(list(pool.map(lambda place: found.read(*place, 4000), places)), alone)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal([again.read(i, start, 4000) for i, start in places[:9]], alone[:9])


def test_the_level_is_of_what_is_loud_and_not_of_pauses(tmp_path, monkeypatch):
    loud = np.sqrt(2) * 0.2 * np.sin(2 * np.pi * 500 * np.arange(2 * RATE) / RATE)
    put(tmp_path / "a.wav", np.concatenate([0.001 * np.ones(6 * RATE), loud, np.zeros(RATE)]), subtype="DOUBLE")
    found = open_collection(tmp_path, RATE)
    assert found.level(0) == pytest.approx(0.2, rel=0.01)
    monkeypatch.setattr(collection, "LONG", 1.0)
    assert found.level(0) == pytest.approx(0.2, rel=0.01)


def test_the_split_is_by_file_name_and_the_same_for_a_moved_folder(tmp_path):
    for i in range(10):
        put(tmp_path / "a" / f"{i}.wav")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    names = lambda parts: [sorted(path.name for path in part.paths) for part in parts]  # noqa: E731
    found = [open_collection(tmp_path / name, RATE) for name in "ab"]
    for held_out, count in ((0.3, 3), (4, 4), (0.01, 1), (0.99, 9), (1, 1), (9, 9)):
        train, test = names(found[0].split(held_out))
        assert len(test) == count and sorted(train + test) == [f"{i}.wav" for i in range(10)]
        assert names(found[1].split(held_out)) == [train, test]
    assert set(names(found[0].split(3))[1]) < set(names(found[0].split(4))[1])
    for held_out in (10, 11, -1):
        with pytest.raises(UserError, match=f"a: 10 files, of which {held_out} can't be held out"):
            found[0].split(held_out)
    with pytest.raises(UserError, match=r"0.wav: 1 file, of which 0.1 can't be held out; expected .* cut a long one in two"):
        open_collection(tmp_path / "a" / "0.wav", RATE).split(0.1)


def test_subfolders_train_and_held_out_are_the_split(tmp_path):
    train, test = open_collection(EMBEDDED, RATE).split(0.5)
    assert [{path.parent.name for path in part.paths} for part in (train, test)] == [{"train"}, {"held_out"}]
    assert train.seconds == pytest.approx(335.5, abs=0.1) and test.seconds == pytest.approx(179.9, abs=0.1)
    put(tmp_path / "train" / "a.wav")
    put(tmp_path / "train" / "b.wav")
    assert [len(part) for part in open_collection(tmp_path, RATE).split(1)] == [1, 1]  # one alone says nothing


def test_the_voice_that_comes_with_the_domain_is_whole_and_held_out_clips_are_enough():
    found = open_collection(EMBEDDED, RATE)
    assert len(found) == 76 and not found.skipped
    assert {(file.rate, file.channels, file.clipped) for file in found.files} == {(RATE, 1, False)}
    held_out = [file.frames // 24064 for file in found.split(1)[1].files]
    assert sum(held_out) >= 54 and min(held_out) >= 1
    licence = (EMBEDDED / "LICENSE-CC-BY-SA-3.0.txt").read_text()
    assert "Allison Smith" in (EMBEDDED / "README.md").read_text() and licence.startswith("THE WORK (AS DEFINED BELOW)")
