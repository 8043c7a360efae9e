import numpy as np
import pytest
import soundfile

from domains.audio import written
from domains.audio.sound import Sound, read_sound
from domains.audio.written import CONTAINERS, PCM, quantised, write_answers, write_sound
from sciddm.errors import UserError

RNG = np.random.default_rng(0)
NOISE = np.clip(0.4 * RNG.standard_normal((3000, 2)), -1, 1 - 2.0**-31)
NOISE[:2] = [[-1.0, 1 - 2.0**-31], [0.0, 2.0**-30]]


def there(tmp_path, format="WAV", subtype="PCM_16", samples=NOISE):
    steps = np.rint(samples * 2**31).clip(-(2**31), 2**31 - 1).astype(np.int32)  # of floats the library writes no ALAC
    soundfile.write(tmp_path / "given", steps if "ALAC" in subtype else samples, 16000, subtype=subtype, format=format)
    return read_sound(tmp_path / "given")


@pytest.mark.parametrize("format, subtype, suffix", [
    ("WAV", "PCM_U8", ".wav"), ("WAV", "PCM_16", ".wav"), ("WAV", "PCM_24", ".wav"), ("WAV", "PCM_32", ".wav"), ("WAV", "FLOAT", ".wav"),
    ("WAV", "DOUBLE", ".wav"), ("WAV", "ULAW", ".wav"), ("WAV", "ALAW", ".wav"), ("WAVEX", "PCM_24", ".wav"), ("AIFF", "PCM_S8", ".aiff"),
    ("FLAC", "PCM_S8", ".flac"), ("FLAC", "PCM_16", ".flac"), ("FLAC", "PCM_24", ".flac"), ("AU", "PCM_32", ".au"), ("CAF", "ULAW", ".caf"),
    ("CAF", "ALAC_16", ".caf"), ("CAF", "ALAC_24", ".caf"),
])  # fmt: skip
def test_a_sound_is_written_as_it_came_bit_for_bit(format, subtype, suffix, tmp_path, capsys):
    given = there(tmp_path, format, subtype)
    write_sound(given, tmp_path / f"a{suffix}")
    again = read_sound(tmp_path / f"a{suffix}")
    assert (again.format, again.subtype, again.rate) == (format, subtype, 16000) and capsys.readouterr().err == ""
    np.testing.assert_array_equal(again.samples, given.samples)


@pytest.mark.parametrize("format, subtype, suffix, kept", [
    ("FLAC", "PCM_S8", ".wav", "PCM_U8"), ("WAV", "ULAW", ".flac", "PCM_16"), ("AIFF", "PCM_S8", ".caf", "PCM_S8"),
    ("CAF", "ALAC_16", ".wav", "PCM_16"), ("CAF", "ALAC_32", ".caf", "PCM_32"),
    ("OGG", "VORBIS", ".wav", "FLOAT"), ("MP3", "MPEG_LAYER_III", ".aiff", "FLOAT"),
    ("WAV", "IMA_ADPCM", ".flac", "PCM_16"), ("WAV", "DOUBLE", ".rf64", "DOUBLE"),
])  # fmt: skip
def test_a_container_without_the_width_takes_a_wider_one_that_holds_every_sample(format, subtype, suffix, kept, tmp_path, capsys):
    given = there(tmp_path, format, subtype)
    write_sound(given, tmp_path / f"a{suffix}")
    again = read_sound(tmp_path / f"a{suffix}")
    assert again.subtype == kept
    np.testing.assert_array_equal(again.samples, given.samples)
    assert bool(capsys.readouterr().err) == (kept != subtype and kept not in ("PCM_U8", "PCM_S8"))


def test_the_widest_is_taken_and_said_where_none_holds_every_sample(tmp_path, capsys):
    write_sound(there(tmp_path, "WAV", "FLOAT"), tmp_path / "a.flac")
    assert capsys.readouterr().err == "a.flac: FLAC has no FLOAT; written as PCM_24, the widest it has\n"
    np.testing.assert_allclose(read_sound(tmp_path / "a.flac").samples, NOISE, atol=0.51 * 2.0**-23 + 2.0**-24)


def test_kinds_with_a_loss_are_written_in_blocks_and_keep_the_length(tmp_path, monkeypatch):
    monkeypatch.setattr(written, "BLOCK", 1000)
    for suffix in (".ogg", ".mp3", ".opus"):
        write_sound(there(tmp_path), tmp_path / f"a{suffix}")
        assert len(read_sound(tmp_path / f"a{suffix}").samples) == 3000


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24"])
def test_dither_has_the_law_of_a_triangle_and_is_where_samples_changed_alone(subtype, tmp_path):
    step, changed = 2.0 ** (1 - PCM[subtype]), np.zeros((200_000, 2), bool)
    changed[:, 1] = True
    samples = np.full((200_000, 2), 10.3 * step)
    samples[:, 0] = 12 * step
    found = quantised(samples, subtype, changed) / step
    assert (found[:, 0] == 12).all() and (found == np.rint(found)).all()
    # Triangular dither of +-1 step makes mean and variance free of the signal: E = x, var = 2/12 + 1/12 = 1/4 step^2 (Wannamaker 2000).
    assert found[:, 1].mean() == pytest.approx(10.3, abs=4 * 0.5 / np.sqrt(200_000))
    assert found[:, 1].var() == pytest.approx(0.25, rel=0.02)
    np.testing.assert_array_equal(found, quantised(samples, subtype, changed) / step)
    assert (quantised(samples, subtype, changed, seed=1) / step != found).any()


def test_without_a_grid_samples_stay_as_they_are():
    for subtype in ("FLOAT", "DOUBLE", "ULAW"):
        assert quantised(NOISE, subtype) is NOISE


def test_what_reaches_beyond_full_scale_is_clipped_and_counted(tmp_path, capsys):
    samples = np.array([[0.5], [1.0], [1.2], [-1.0], [-1.1], [3.0]])
    most = 1 - 2.0**-15
    np.testing.assert_array_equal(quantised(samples, "PCM_16", np.zeros((6, 1), bool))[:, 0], [0.5, most, most, -1, -1, most])
    assert capsys.readouterr().err == "3 samples reach beyond full scale and are clipped there\n"
    write_sound(Sound(samples[:3], 8000), tmp_path / "a.wav")
    assert capsys.readouterr().err == "a.wav: 1 sample reaches beyond full scale and is clipped there\n"
    write_sound(Sound(samples, 8000, "FLOAT"), tmp_path / "b.wav")
    assert capsys.readouterr().err == "" and read_sound(tmp_path / "b.wav").samples.max() == 3.0


def test_answers_stand_beside_each_other_and_keep_what_did_not_change(tmp_path):
    given = there(tmp_path)
    changed = np.zeros(NOISE.shape, bool)
    changed[100:200] = True
    answers = [Sound(np.where(changed, value, given.samples), 16000) for value in (0.1, 0.2, 0.3)]
    paths = write_answers(answers, tmp_path / "b.wav", changed)
    assert [path.name for path in paths] == ["b.wav", "b-2.wav", "b-3.wav"]
    for path, value in zip(paths, (0.1, 0.2, 0.3), strict=True):
        found = read_sound(path).samples
        np.testing.assert_array_equal(found[~changed], given.samples[~changed])
        np.testing.assert_allclose(found[changed], value, atol=1.51 * 2.0**-15)
        assert len(np.unique(found[changed])) > 1  # dither
    (one, _), (two, _) = (soundfile.read(path) for path in write_answers([given, given], tmp_path / "c.wav"))
    assert (one != two).any()  # of each answer its own


def test_answers_come_all_or_none(tmp_path, monkeypatch):
    answers = [Sound(NOISE, 16000)] * 3
    (tmp_path / "a-3.wav").write_text("mine")
    with pytest.raises(UserError, match="a-3.wav: is there already; delete it or give another name"):
        write_answers(answers, tmp_path / "a.wav")
    (tmp_path / "a-3.wav").unlink()
    whole, done = written._write, []

    def fails(*args):
        done.append(whole(*args))
        if len(done) == 2:
            raise UserError("no more")

    monkeypatch.setattr(written, "_write", fails)
    with pytest.raises(UserError, match="no more"):
        write_answers(answers, tmp_path / "a.wav")
    assert len(done) == 2 and list(tmp_path.iterdir()) == []


def test_a_wav_too_long_for_its_header_becomes_rf64(tmp_path, monkeypatch):
    monkeypatch.setattr(written, "MOST", 11_999)
    given = there(tmp_path)
    write_sound(given, tmp_path / "a.wav")
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RF64"
    np.testing.assert_array_equal(read_sound(tmp_path / "a.wav").samples, given.samples)
    monkeypatch.setattr(written, "MOST", 12_000)
    write_sound(given, tmp_path / "b.wav")
    assert (tmp_path / "b.wav").read_bytes()[:4] == b"RIFF"


def test_what_can_not_be_written_is_refused_and_leaves_nothing(tmp_path):
    sound, known = Sound(NOISE, 16000), ", ".join(CONTAINERS)
    for name in ("a.txt", "a"):
        with pytest.raises(UserError, match=rf"{name}: format .* can't be written; expected one of {known}$"):
            write_sound(sound, tmp_path / name)
    with pytest.raises(UserError, match=r"a.opus: 2 channels at 44100 Hz can't be written as OGG OPUS .*; give a name that ends in .wav"):
        write_sound(Sound(NOISE, 44100), tmp_path / "a.opus")
    with pytest.raises(UserError, match=r"a.flac: 9 channels at 8000 Hz can't be written as FLAC PCM_16"):
        write_sound(Sound(np.zeros((10, 9)), 8000), tmp_path / "a.flac")
    assert list(tmp_path.iterdir()) == []
    write_sound(sound, tmp_path / "a.wav")
    with pytest.raises(UserError, match=r"a.wav: is there already; delete it or give another name"):
        write_sound(sound, tmp_path / "a.wav")
