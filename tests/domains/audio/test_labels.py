import re

import numpy as np
import pytest
import scipy.signal

from domains.audio.labels import check_gaps, clip_level, cutoff, merged, noise_level, read_gaps, zero_runs
from domains.audio.sound import Sound, read_sound, resample
from domains.audio.written import quantised
from sciddm.errors import UserError
from sciddm.given import Thing

RATE = 8000
GAPS = [(1.2, 1.5), (62.25, 63.0)]
TIME = np.arange(4 * RATE) / RATE
# Words: pitch of 120 Hz with a falling spectrum, on and off.
RNG = np.random.default_rng(0)
SPEECH = scipy.signal.lfilter([1], [1, -0.9], np.sign(np.sin(2 * np.pi * 120 * TIME)) * (np.sin(2 * np.pi * 0.8 * TIME) > 0)) / 30
SPEECH += 0.05 * RNG.standard_normal(len(TIME)) * (np.sin(2 * np.pi * 0.8 * TIME + 1) > 0.6)


@pytest.mark.parametrize("text", [
    "1.2 1.5\n62.25 63\n",
    "# my gaps\r\n\r\n1.2\t1.5\tclick # one\r\n62.25\t63.0\t\r\n",
    "1.200000\t1.500000\t\n\\\t100.0\t4000.0\n62.25\t63\tlast, one\n",
    "1,2;1,5\n62,25;63,0\n", "1,2\t1,5\n62,25\t63\n",
    "start end\n1.2, 1.5\n62.25 , 63\n", "when,until\n1.2,1.5\n62.25,63\n",
    "00:01.2 00:01.5\n1:02.25 1:03\n", "00:00:01.2 0:0:1.5\n00:01:02.25 00:01:03",
    "name,start,stop\nb,62.25,63\na,1.2,1.5\n", '"label";"onset";"offset"\n"a";"1,2";"1,5"\n"b";"62,25";"63"\n',
    "end,start\n1.5,1.2\n63,62.25\n", "start,duration\n1.2,.3\n62.25,0.75\n", "Duration (s)\tBegin Time (s)\n0.3\t1.2\n0.75\t62.25\n",
    "start_ms,end_ms\n1200,1500\n62250,63000\n", "1200ms 1.5s\n62.25s 63s\n".replace(" ", ","),
    "1.2-1.5\n62.25 - 63\n", "1.2-1.5, 1:02.25-1:03\n", "1.2e0 15e-1\n62.25 63.0\n",
    "1.2 1.4\n62.5 63.0\n62.25 62.75\n1.4 1.5\n1.25 1.3\n",
])  # fmt: skip
def test_gaps_are_read_from_all_the_ways_to_write_them(text, tmp_path):
    (tmp_path / "gaps.txt").write_text(text)
    np.testing.assert_allclose(read_gaps(tmp_path / "gaps.txt"), GAPS, rtol=1e-12)
    (tmp_path / "gaps.txt").write_bytes(text.encode("utf-16"))
    np.testing.assert_allclose(read_gaps(str(tmp_path / "gaps.txt")), GAPS, rtol=1e-12)


@pytest.mark.parametrize("said", [
    "1.2-1.5, 62.25-63", "1.2 - 1.5;1:02.25\u20131:03", "62.25..63,1200ms-1.5s", "1.2 to 1.5, 62.25 to 63", [(1.2, 1.5), (62.25, 63)],
    np.array([(62.25, 63), (1.2, 1.5)]), Thing("1.2-1.5,62.25-63", "gaps"),
])  # fmt: skip
def test_gaps_are_read_from_the_command_line_and_from_numbers(said):
    np.testing.assert_allclose(read_gaps(said), GAPS, rtol=1e-12)


@pytest.mark.parametrize("text, said", [
    ("1 2\n4 3\n", "line 2: the gap from 4 to 3 s ends before it starts; expected start and end in seconds"),
    ("1 2\n3 3\n", "line 2: the gap from 3 to 3 s has no length"),
    ("1 2\n\n-1 3\n", "line 3: -1 s is before the sound starts"),
    ("1 2\nthen 3\n", "line 2: 'then' is no time"), ("1 2\n3 inf\n", "line 2: 'inf' is no time"),
    ("1 2\n3 nan\n", "line 2: 'nan' is no time"),
    ("1 2\n3\n", "line 2: '3' has 1 column; expected start and end"), ("1:2:3:4 9:0:0\n", "line 1: '1:2:3:4' is no time"),
    ("start,end\n", "has no gaps; expected start and end in seconds"), ("", "has no gaps"), ("RIFF\0\0", "is no text"),
])  # fmt: skip
def test_errors_of_a_file_of_gaps_name_its_line(text, said, tmp_path):
    (tmp_path / "gaps.txt").write_text(text)
    with pytest.raises(UserError, match=rf"gaps.txt(, |: ){said}"):
        read_gaps(tmp_path / "gaps.txt")


@pytest.mark.parametrize("said, error", [
    ("1.5-1.2", "gaps '1.5-1.2': the gap from 1.5 to 1.2 s ends before it starts"),
    ("soon", "'soon' is no gap and no file; expected seconds, such as"),
    ("1.2", "'1.2' is no gap"), ("-1-2", "-1 s is before the sound starts"), ([(1, 2, 3)], r"\(1, 2, 3\) \(number 0\) is no pair"),
    ([], "gaps: has no gaps"),
])  # fmt: skip
def test_errors_of_gaps_that_are_typed_say_what_is_expected(said, error):
    with pytest.raises(UserError, match=error):
        read_gaps(said)


def test_a_label_at_one_point_of_a_track_is_no_gap_and_columns_of_other_names_are_said(tmp_path, capsys):
    (tmp_path / "track.txt").write_text("0.5\t0.7\tcough\n1.5\t1.5\tpoint\n")
    assert read_gaps(tmp_path / "track.txt") == [(0.5, 0.7)]
    (tmp_path / "table.csv").write_text("foo,bar\n0.5,0.7\n")
    assert read_gaps(tmp_path / "table.csv") == [(0.5, 0.7)]
    assert re.findall("line 2: a label at 1.5 s alone|columns foo, bar are taken for", capsys.readouterr().err)[1:]


def test_gaps_beyond_the_end_or_over_all_of_a_sound_are_refused():
    sound = Sound(np.zeros((RATE, 1)), RATE, source="a.wav")
    check_gaps([(0.2, 0.5), (0.9, 1.0)], sound)
    with pytest.raises(UserError, match="a.wav: ends at 1.000 s, before the gap from 0.9 to 1.1 s does; are gaps in seconds?"):
        check_gaps([(0.9, 1.1)], sound)
    with pytest.raises(UserError, match="a.wav: is all gap"):
        check_gaps([(0.0, 1.0)], sound)


def test_merged_gaps_touch_no_more():
    assert merged([(3, 4), (1, 2), (2, 2.5), (0.5, 5)]) == [(0.5, 5)] and merged([(3, 4), (1, 2)]) == [(1, 2), (3, 4)]


def test_runs_of_zeros_are_found_to_the_sample_where_all_channels_have_them(capsys):
    samples = 0.1 + RNG.random((6 * RATE, 2))
    for first, stop in ((0, 100), (1000, 1032), (2000, 2031), (6 * RATE - 50, 6 * RATE), (9000, 9000 + 2 * RATE + 1)):
        samples[first:stop] = 0
    samples[3000:3100, 0] = 0  # of one channel alone
    assert zero_runs(samples, RATE) == [(1000, 1032)]
    said = capsys.readouterr().err
    assert said == "1 runs of zeros, the first from 1.12 to 3.13 s, are longer than 2 s and taken for pauses\n"
    assert zero_runs(samples[:8000, 0], RATE, 0.003) == [(1000, 1032), (2000, 2031), (3000, 3100)]
    assert zero_runs(np.zeros(RATE), RATE) == [] and zero_runs(np.ones(RATE), RATE) == []


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "FLOAT"])
def test_the_levels_of_clipping_are_found_on_each_side(subtype):
    for low, high in ((-0.25, 0.25), (None, 0.125), (-0.125, None), (-0.0625, 0.25)):
        sound = np.clip(SPEECH, low, high)[:, None]
        assert clip_level(quantised(sound, subtype, np.zeros(sound.shape, bool))) == (low, high)


def test_sound_that_is_whole_is_not_clipped():
    tone = lambda f, steps: np.rint(np.sin(2 * np.pi * f * TIME) * steps) / 128  # noqa: E731
    for sound in (RNG.standard_normal(8000), tone(20, 10), tone(200, 100), tone(313, 1e9), np.zeros(99), np.full(99, 0.3)):
        assert clip_level(sound) == (None, None)


def test_the_edge_of_a_lost_band_is_found_also_below_the_steps_of_16_bits():
    noise = scipy.signal.lfilter([1], [1, -0.8], 0.05 * RNG.standard_normal(4 * 16000))
    for edge in (1000, 2000, 3400, 4000):
        low = resample(resample(noise, 16000, 2 * edge), 2 * edge, 16000)
        for sound in (low, np.stack([low, low], 1), np.rint(low * 32768) / 32768):
            assert cutoff(sound, 16000) == pytest.approx(edge, rel=0.08)  # a resampler's band ends 5 to 9 % below half its rate
    for whole in (noise, SPEECH, np.zeros(8000), np.ones(10)):
        assert cutoff(whole, 16000) is None


@pytest.mark.parametrize("std", [0.1, 0.01, 0.001])
def test_the_level_of_noise_is_found_within_a_tenth_whatever_tone_goes_on_and_off(std):
    gated = 0.3 * np.sin(2 * np.pi * 440 * TIME) * (np.sin(2 * np.pi * 0.7 * TIME) > 0)
    noise = std * RNG.standard_normal(len(TIME))
    for sound in (noise, gated + noise, SPEECH + noise, np.stack([gated, gated + noise], 1)):
        assert noise_level(sound, RATE) == pytest.approx(std, rel=0.1)
    for seconds in (0.5, 1, 2):
        found = [noise_level(std * RNG.standard_normal(int(seconds * RATE)), RATE) for _ in range(20)]
        assert np.mean(found) == pytest.approx(std, rel=0.03)


def test_silence_and_lost_bands_do_not_lower_the_level_of_noise():
    noise = 0.01 * RNG.standard_normal(4 * RATE)
    noise[: 2 * RATE] = 0
    assert noise_level(noise, RATE) == pytest.approx(0.01, rel=0.1)
    # Of white noise of variance v below 4 kHz of 8 there is v / 2 left, and v in each bin.
    assert noise_level(resample(noise[2 * RATE :], 8000, 16000), 16000) == pytest.approx(0.01 * np.sqrt(2), rel=0.1)
    assert noise_level(np.zeros(RATE), RATE) == 0 and noise_level(np.ones(10), RATE) == 0


def test_the_voice_that_comes_with_the_domain_has_none_of_this():
    from pathlib import Path

    import domains.audio

    files = sorted(Path(domains.audio.__file__).parent.glob("data/*/*.flac"))
    assert len(files) == 76
    for file in files[::6]:
        sound = read_sound(file)
        assert clip_level(sound.samples) == (None, None) and cutoff(sound.samples, sound.rate) is None
        assert noise_level(sound.samples, sound.rate) < 1e-3
