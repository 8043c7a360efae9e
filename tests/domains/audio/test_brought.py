"""What users bring: own samples stay bit for bit, channels are filled together, and what is wrong with a sound is found or refused."""

import numpy as np
import pytest
import soundfile
from small_sounds import sound

from domains.audio.brought import Brought, read_given
from domains.audio.levels import REFERENCE, active_level
from domains.audio.mdct import mdct
from domains.audio.merged import as_given, classical
from domains.audio.segments import components, cut_out, places
from domains.audio.sound import Sound, read_sound
from sciddm.errors import UserError
from sciddm.given import things

RATE = 44100


@pytest.fixture
def stereo(tmp_path):
    """A file of 44.1 kHz, two channels, a second long."""
    waves = np.stack([sound(1, 1.0, RATE), 0.5 * sound(2, 1.0, RATE) + 0.3 * sound(1, 1.0, RATE)], 1)
    waves += 1e-3 * np.random.default_rng(0).standard_normal(waves.shape)  # something above the model's band
    file = tmp_path / "stereo.wav"
    soundfile.write(file, waves, RATE, subtype="PCM_24")
    return file


@pytest.mark.parametrize("suffix, subtype", [(".wav", "PCM_24"), (".flac", "PCM_16")])
def test_outside_of_gaps_a_file_stays_bit_for_bit(small_model, stereo, tmp_path, suffix, subtype):
    model, file = small_model("audio"), stereo
    if subtype != "PCM_24":
        file = tmp_path / f"given{suffix}"
        soundfile.write(file, soundfile.read(stereo)[0], RATE, subtype=subtype)
    answer = model.sample(0, 2, task="inpaint", given=[file, "gaps=0.30-0.36, 0.7-0.72"], steps=2)
    model.domain.save(answer, tmp_path / f"answer{suffix}")
    before, about = soundfile.read(file, dtype="int32"), soundfile.info(file)
    for name in ("answer", "answer-2"):
        after, now = soundfile.read(tmp_path / f"{name}{suffix}", dtype="int32")[0], soundfile.info(tmp_path / f"{name}{suffix}")
        assert (now.samplerate, now.channels, now.frames, now.subtype) == (about.samplerate, about.channels, about.frames, subtype)
        changed = np.zeros(len(after), bool)
        for start, stop in ((0.30, 0.36), (0.7, 0.72)):
            changed[round(start * RATE) : round(stop * RATE)] = True
        np.testing.assert_array_equal(after[~changed], before[0][~changed])
        assert np.mean(after[changed] != before[0][changed]) > 0.9


def test_a_gap_of_one_channel_is_bound_by_the_other(small_model, stereo):
    domain, found = small_model("audio").domain, read_sound(stereo)
    gap = np.zeros(found.samples.shape, bool)
    gap[20000:22000, 0] = True
    brought = Brought(found, gap, np.zeros(gap.shape))
    segments = cut_out(brought, classical(brought, domain.rate), domain)
    part = segments.part
    assert all(one.gap.any() for one in part.damages) and part.gap[:, 1::2].sum() == 0
    # the known channel is put back into whatever the model says
    z = np.random.default_rng(1).standard_normal((1, segments.length // domain.bins, domain.bins, len(part.damages))).astype(np.float32)
    heard = np.asarray(part.wave(domain)(part.certain(domain)(z)))[0]
    np.testing.assert_allclose(heard[:, 1::2], part.heard[:, 1::2], atol=1e-3)


def test_a_clipped_sound_has_its_level_from_the_classical_answer_and_not_from_what_is_left_of_it(small_model):
    domain, wave = small_model("audio").domain, sound(1, 1.0)[:, None]
    level = 0.15 * np.abs(wave).max()
    clipped = Sound(np.clip(wave, -level, level), 8000)
    brought = Brought(clipped, np.zeros(wave.shape, bool), np.sign(wave) * (np.abs(wave) > level))
    by_classical = classical(brought, domain.rate)
    scale = cut_out(brought, by_classical, domain).scale
    assert scale == pytest.approx(REFERENCE / active_level(by_classical, domain.rate))
    truth = REFERENCE / active_level(wave, domain.rate)
    assert abs(np.log(scale / truth)) < 0.6 * abs(np.log(REFERENCE / active_level(clipped.samples, domain.rate) / truth))


def test_answers_that_are_the_truth_come_back_as_the_file(small_model, stereo):
    """The way to the model's rate, level and components, and back."""
    domain, whole = small_model("audio").domain, read_sound(stereo)
    low = Sound(whole.resampled(domain.rate).samples, domain.rate).resampled(RATE)  # of which the model's band is all there is
    low = Sound(low.samples[: len(whole.samples)], RATE, "DOUBLE")
    gap = np.zeros(low.samples.shape, bool)
    gap[20000:23000] = True
    brought = Brought(low, gap, np.zeros(gap.shape))
    segments = cut_out(brought, classical(brought, domain.rate), domain)
    truth = cut_out(Brought(low, gap, np.zeros(gap.shape)), low.samples, domain)
    scale = segments.scale / truth.scale
    samples = np.stack([one.heard for one in truth.part.damages]) * scale
    if truth.part.mixing is not None:
        samples = (samples.T @ truth.part.mixing.T @ np.linalg.inv(segments.part.mixing).T).T
    coefficients = np.moveaxis(mdct(samples, domain.bins), 0, -1)[None]
    answer = as_given(coefficients, brought, segments, classical(brought, domain.rate), domain)["waveform"].values[0]
    inside = gap[:, 0] & (np.abs(np.arange(len(gap)) - 21500) < 1200)
    error = answer[inside] - low.samples[inside]
    assert np.sqrt((error**2).mean()) < 0.01 * np.sqrt((low.samples[inside] ** 2).mean())


def test_components_do_not_correlate_and_are_as_loud_as_the_model_knows():
    rng = np.random.default_rng(0)
    heard = rng.standard_normal((8000, 2)) @ np.array([[1.0, 0.8], [0.0, 0.3]])
    mixing = components(heard, 8000)
    parts = heard @ np.linalg.inv(mixing).T
    np.testing.assert_allclose(parts.T @ parts / 8000, 0.01 * np.eye(2), atol=3e-4)
    silent = components(np.stack([heard[:, 0], heard[:, 0]], 1), 8000)  # two channels that are the same
    assert np.isfinite(np.linalg.inv(silent)).all()


def test_only_the_surroundings_of_gaps_are_asked_about():
    gap = np.zeros(80000, bool)
    gap[10000:10100] = gap[60000:60200] = True
    firsts, length = places(gap, 8192, 128, local=True)
    assert length == 8192 and len(firsts) == 2
    for first, (start, stop) in zip(firsts, ((10000, 10100), (60000, 60200)), strict=True):
        assert first + 2500 < start and stop + 2500 < first + length
    assert places(gap, 8192, 128, local=False) == ((0,), 80000)
    gap[:] = np.arange(80000) % 4000 < 100
    assert places(gap, 8192, 128, local=True) == ((0,), 80000)
    assert places(np.ones(100, bool), 8192, 128, local=True) == ((0,), 8192)


@pytest.mark.parametrize(
    "said, message",
    [
        (["gaps=0.9-1.2"], "ends at 1.000 s"), (["gaps=later"], "is no gap"), ([], "has no runs of zeros"),
        (["gaps=0.1-0.2", "clip=2"], "expected above 0 and up to full scale"), (["gaps=0.1-0.2", "clip=0.99"], "no sample reaches"),
        (["gaps=0.1-0.2", "noise=loud"], "is no number"), (["gaps=0.1-0.2", "cutoff=5000"], "expected 100 to 3800 Hz"),
        (["gaps=0.1-0.2", "gaps=0.3-0.4"], "given twice"), (["gpas=0.1-0.2"], "gaps"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line_with_a_way_out(stereo, said, message):
    names = ("gaps", "clip", "cutoff", "noise")
    with pytest.raises(UserError, match=message) as error:
        read_given(things([stereo, *said], names), ("gaps",), 8000, "a sound")
    assert "\n" not in str(error.value)


def test_two_sounds_or_none_are_refused(stereo, tmp_path):
    other = tmp_path / "other.wav"
    other.write_bytes(stereo.read_bytes())
    for given in ([stereo, other], ["gaps=0.1-0.2"]):
        with pytest.raises(UserError, match="sounds; expected one"):
            read_given(things(given, ("gaps",)), ("gaps",), 8000, "a sound")


def test_noise_is_said_as_it_was_typed_of_the_whole_band_of_the_file(capsys):
    waves = np.random.default_rng(0).standard_normal((16000, 1)) * 0.1
    brought = read_given(things([Sound(waves, 16000, "PCM_16", "WAV", "noisy.wav"), {"noise": "-34 dB"}]), ("noise",), 8000, "a sound")
    assert "noise at -34.0 dB of full scale" in capsys.readouterr().err
    assert brought.noise == pytest.approx(10 ** (-34 / 20) / np.sqrt(2))
