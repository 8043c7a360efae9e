import os

import numpy as np
import pytest
import soundfile

from domains.audio.sound import OTHERS, Sound, read_sound, resample
from sciddm.errors import UserError

RATE = 8000
RNG = np.random.default_rng(0)
NOISE = 0.1 * RNG.standard_normal((4000, 2))


def put(path, samples=NOISE, rate=RATE, **kept):
    soundfile.write(path, samples, rate, **kept)
    return path


@pytest.mark.parametrize("suffix, subtype", [("wav", "PCM_16"), ("flac", "PCM_24"), ("aiff", "PCM_S8"), ("au", "FLOAT"), ("caf", "ALAW")])
def test_a_file_is_read_by_its_content_whatever_its_name(suffix, subtype, tmp_path):
    plain = put(tmp_path / f"a.{suffix}", subtype=subtype)
    os.rename(plain, tmp_path / "b.wav")
    sound = read_sound(tmp_path / "b.wav")
    assert (sound.rate, sound.channels, sound.subtype, sound.lossy) == (RATE, 2, subtype, False) and sound.samples.dtype == np.float64
    assert sound.source == str(tmp_path / "b.wav") and sound.seconds == 0.5
    assert np.abs(sound.samples - NOISE).max() < 0.02  # 8 bits and the laws of telephones, at most


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_kinds_that_lose_samples_are_marked_and_come_in_their_length(suffix, tmp_path):
    sound = read_sound(put(tmp_path / f"a.{suffix}"))
    assert sound.lossy and sound.samples.shape == NOISE.shape


def test_pcm_is_a_multiple_of_its_step_and_full_scale_is_one(tmp_path):
    steps = np.array([[-32768], [32767], [1], [0]], np.int16)
    np.testing.assert_array_equal(read_sound(put(tmp_path / "a.wav", steps)).samples, steps / 32768)


def test_a_part_is_the_same_samples_as_in_the_whole(tmp_path):
    file = put(tmp_path / "a.wav", subtype="DOUBLE")
    np.testing.assert_array_equal(read_sound(file, 0.1, 0.3).samples, NOISE[800:2400])
    np.testing.assert_array_equal(read_sound(file).part(0.1).samples, NOISE[800:])
    np.testing.assert_array_equal(read_sound(file).mono(), NOISE.mean(1))
    for start, stop in ((0.4, 0.6), (-0.1, 0.2), (0.3, 0.3), (0.3, 0.2)):
        with pytest.raises(UserError, match=r"a.wav: there is no part from .* s; expected some of 0 to 0.500 s$"):
            read_sound(file, start, stop)


@pytest.mark.parametrize("rate, kind", [(11025, "noise"), (16000, "a tone, of which many seconds are in a page of the file")])
def test_parts_of_an_ogg_are_where_they_are_to_its_end(rate, kind, tmp_path):
    tone = np.sin(2 * np.pi * 300 * np.arange(20 * rate) / rate)
    file = put(tmp_path / "a.ogg", 0.1 * (RNG.standard_normal(20 * rate) if kind == "noise" else tone), rate)
    whole = read_sound(file).samples
    for first in (*range(0, len(whole), 40000), *range(len(whole) - 5000, len(whole) - 100, 1000)):  # the library's own seek is off there
        np.testing.assert_array_equal(read_sound(file, first / rate, (first + 100) / rate).samples, whole[first : first + 100])


@pytest.mark.parametrize("old, new", [(8000, 16000), (44100, 16000), (16000, 44100), (11025, 8000), (48000, 8000), (44101, 16000)])
def test_resampling_keeps_length_and_has_no_delay(old, new):
    for count in (*range(1, 30), 4999, 5000):
        assert len(resample(np.ones((count, 1)), old, new)) == round(count * new / old)
    tone = lambda rate: np.sin(2 * np.pi * 440 * np.arange(rate) / rate + 0.3)  # noqa: E731
    found = Sound(tone(old)[:, None], old).resampled(new)
    inside = slice(new // 10, -new // 10)
    assert found.rate == new and found.seconds == 1.0
    np.testing.assert_allclose(found.samples[inside, 0], tone(new)[inside], atol=1e-7)


def test_a_wav_that_breaks_off_is_read_as_far_as_it_goes_and_said(tmp_path, capsys):
    whole = put(tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[: 44 + 4 * 1000 + 1])
    samples = read_sound(tmp_path / "a.wav").samples
    assert samples.shape == (1000, 2) and "a.wav: breaks off after 0.125 of 0.500 s; " in capsys.readouterr().err
    streamed = whole[:40] + b"\xff" * 4 + whole[44:]  # whoever wrote it didn't know how long it would be
    (tmp_path / "b.wav").write_bytes(streamed)
    assert len(read_sound(tmp_path / "b.wav").samples) == 4000 and capsys.readouterr().err == ""


def test_a_broken_flac_is_read_up_to_the_fault_and_said(tmp_path, capsys):
    noise = 0.1 * RNG.standard_normal(40000)
    whole = put(tmp_path / "a.flac", noise).read_bytes()
    for name, content in (("a", whole[: len(whole) // 2]), ("b", whole[: len(whole) // 2] + bytes(2000) + whole[len(whole) // 2 + 2000 :])):
        (tmp_path / f"{name}.flac").write_bytes(content)
        samples = read_sound(tmp_path / f"{name}.flac").samples[:, 0]
        assert 15000 < len(samples) < 20001
        np.testing.assert_array_equal(samples, np.rint(noise[: len(samples)] * 32768) / 32768)
        assert f"{name}.flac: breaks off after {len(samples) / RATE:.3f} of 5.000 s (" in capsys.readouterr().err


def test_a_flac_of_a_stream_whose_length_is_not_said_is_read_to_its_end(tmp_path, capsys):
    header = bytearray(put(tmp_path / "a.flac").read_bytes())
    header[21] &= 0xF0
    header[22:26] = bytes(4)
    (tmp_path / "b.flac").write_bytes(header)
    np.testing.assert_array_equal(read_sound(tmp_path / "b.flac").samples, read_sound(tmp_path / "a.flac").samples)
    np.testing.assert_array_equal(read_sound(tmp_path / "b.flac", 0.1, 0.2).samples, read_sound(tmp_path / "a.flac", 0.1, 0.2).samples)
    assert capsys.readouterr().err == ""


def odd(folder):
    """(file, what is said of it)."""
    (folder / "text.wav").write_text("these are words, not sounds\n" * 3)
    (folder / "empty.wav").touch()
    (folder / "song.m4a").write_bytes(b"\0\0\0 ftypM4A " + bytes(99))
    (folder / "headed.wav").write_bytes(put(folder / "x.wav").read_bytes()[:44])
    unfinished = bytearray(put(folder / "x.wav").read_bytes())
    unfinished[40:44] = bytes(4)
    (folder / "unfinished.wav").write_bytes(unfinished)
    (folder / "headless.raw").write_bytes(bytes(1000))
    os.mkfifo(folder / "pipe.wav")
    holes = np.zeros((4, 2))
    holes[2, 1] = np.nan
    put(folder / "nan.wav", holes, subtype="FLOAT")
    put(folder / "inf.wav", np.array([0, np.inf]), subtype="DOUBLE")
    put(folder / "one.wav", np.zeros(1))
    put(folder / "none.wav", np.zeros(0))
    put(folder / "many.wav", np.zeros((4, 65)))
    put(folder / "slow.wav", rate=99)
    put(folder / "fast.wav", rate=1_000_001)
    yield "text.wav", "is not a sound file, whatever its name; expected wav, flac, "
    yield "empty.wav", "is empty; expected a sound, copy it again"
    yield "song.m4a", r"is MPEG-4 .*; write it as a WAV by: ffmpeg -i \S*song.m4a \S*song.m4a.wav"
    yield "headed.wav", "has no samples; expected a sound, copy it again"
    yield "unfinished.wav", r"has no samples; .* by: sox --ignore-length \S*unfinished.wav \S*unfinished-whole.wav"
    yield "headless.raw", "is not a sound file"
    yield "pipe.wav", "is a pipe; expected a file"
    yield "nan.wav", r"sample 2 of channel 1, at 0.0003 s, is nan \(1 such samples\); expected finite numbers"
    yield "inf.wav", r"sample 1, at 0.0001 s, is inf"
    yield "one.wav", "is too short, 1 sample; expected a sound"
    yield "none.wav", "has no samples; expected a sound"
    yield "many.wav", "has 65 channels; expected 64 at most"
    yield "slow.wav", "has 99 samples a second; expected 100 to 1,000,000"
    yield "fast.wav", "has 1000001 samples a second"
    yield "not_there.wav", "no such file; expected a sound"
    yield "", "is a folder; expected a sound"


def test_where_a_sample_is_not_finite_counts_from_the_start_of_the_file(tmp_path):
    put(tmp_path / "a.wav", np.where(np.arange(4000) == 3000, np.nan, 0), subtype="FLOAT")
    with pytest.raises(UserError, match="sample 3000, at 0.3750 s, is nan"):
        read_sound(tmp_path / "a.wav", 0.25)


def test_what_is_no_sound_is_refused_in_one_line_that_names_the_file(tmp_path):
    for name, said in odd(tmp_path):
        with pytest.raises(UserError, match=f"{tmp_path / name}: {said}"):
            read_sound(tmp_path / name)


def test_without_its_library_a_sound_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match=r"a.wav: reading it needs soundfile: install sciddm\[audio\] by: pip install"):
        read_sound(tmp_path / "a.wav")


def test_marks_of_other_kinds_are_no_beginning_of_those_that_are_read():
    heads = [b"RIFF\0\0\0\0WAVE", b"fLaC\0\0\0\x22\x10\0\x10\0", b"OggS\0\2\0\0\0\0\0\0", b"FORM\0\0\0\0AIFF", b".snd\0\0\0\x18\0\0\0\0"]
    assert not any(head[place : place + len(mark)] == mark for head in heads for place, mark, _ in OTHERS)
