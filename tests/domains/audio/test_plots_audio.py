"""Pictures of sounds: levels and places are right, and every picture says what it shows."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import overlaps

from domains.audio import plots
from sciddm.errors import UserError
from sciddm.testing import check_picture

RATE = 8000
MARKS = [(0.2, 0.25), (0.4, 0.42)]


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def tone(decibels, hertz, seconds=0.5, rate=RATE):
    return 10 ** (decibels / 20) * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def test_a_tone_of_minus_20_db_is_at_its_frequency_and_level():
    _, ax = plt.subplots()
    mesh = plots.spectrogram(ax, tone(-20, 1000), RATE, low=-90, high=0)
    level = mesh.get_array()
    inner = level[:, 3:-3]  # frames that the sound fills
    corners = mesh.get_coordinates()
    middles = 0.5 * (corners[:-1, 0, 1] + corners[1:, 0, 1])
    np.testing.assert_allclose(middles[inner.argmax(0)], 1000, atol=1e-6)
    np.testing.assert_allclose(inner.max(0), -20, atol=0.01)
    assert inner[middles > 1200].max() < -90 and mesh.get_clim() == (-90, 0)


def test_a_burst_is_at_its_time_whole_or_zoomed():
    sound = np.zeros(RATE)
    sound[3000:3080] = tone(-6, 2000, 0.01)
    for span, apart in ((None, 0.008), ((0.3, 0.5), 0.001)):
        level, _, seconds = plots.levels(sound, RATE, span=span)
        assert seconds[level.max(0).argmax()] == pytest.approx(3040 / RATE, abs=apart)
        np.testing.assert_allclose(np.diff(seconds), apart)


def test_a_long_sound_at_a_high_rate_keeps_its_loudest_at_the_right_place():
    rate, sound = 96000, np.zeros(20 * 96000)
    sound[: rate // 2] = tone(-20, 12000, 0.5, rate)
    level, hertz, seconds = plots.levels(sound, rate)
    assert level.shape[1] <= 1500 and level.shape[0] <= 1024
    at = np.unravel_index(level.argmax(), level.shape)
    assert hertz[at[0]] == pytest.approx(12000, abs=rate / 2 / 700) and level.max() == pytest.approx(-20, abs=0.1)
    assert seconds[level.max(0) > -25].max() == pytest.approx(0.5, abs=0.03)


def test_a_sound_shorter_than_a_window_is_drawn():
    level, _, seconds = plots.levels(tone(-20, 1000, 0.001), RATE)
    assert len(seconds) == 1 and np.isfinite(level).all()


def test_colours_reach_up_to_the_loudest_of_all():
    assert plots.colour_range([tone(-20.5, 1000), tone(-34, 500)], RATE) == (-100, -20)
    assert plots.colour_range([np.zeros(100)], RATE)[1] == -110


@pytest.mark.parametrize("count", [1, 9])
def test_the_gallery_shows_up_to_eight_sounds_in_one_scale(count):
    figure = plots.gallery(np.array([tone(-10 - i, 500 + 300 * i, 0.1) for i in range(count)]), RATE)
    check_picture(figure)
    assert overlaps(figure) == []
    meshes = [ax.collections[0] for ax in figure.axes if ax.collections and ax.get_label() != "<colorbar>"]
    assert len(meshes) == min(count, 8) and len({mesh.get_clim() for mesh in meshes}) == 1


def test_a_restoration_zooms_on_the_first_gap_with_all_answers_over_the_truth():
    truth = tone(-20, 440)
    given = truth.copy()
    given[1600:2000] = np.nan
    answers = [(f"member {i + 1}", truth + 0.01 * i) for i in range(4)]
    rows = [("truth", truth), ("given", given), ("$Janssen$_1", 0.9 * truth), ("mean of 4", truth), *answers]
    figure = plots.restoration(rows, RATE, marks=MARKS)
    check_picture(figure)
    assert overlaps(figure) == []
    waves = figure.axes[2]
    assert waves.get_xlim()[0] < 0.2 and 0.25 < waves.get_xlim()[1] < 0.4
    assert len(waves.get_lines()) == len(rows)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["truth", "given", "$Janssen$_1", "mean of 4", "4 answers"]
    spectrograms = [ax for ax in figure.axes if ax.get_title() == "" and ax.get_ylim() == (0, RATE / 2)]
    assert len(spectrograms) == 2 * (4 + plots.ANSWERS_SHOWN)


def test_a_restoration_without_truth_and_marks_zooms_on_the_loudest():
    given = np.concatenate([0.1 * tone(-20, 440, 1.0), tone(-20, 440, 0.3), 0.1 * tone(-20, 440, 1.0)])
    figure = plots.restoration([("given", given), ("answer", given)], RATE)
    check_picture(figure)
    start, stop = figure.axes[2].get_xlim()
    assert 0.99 < start and stop < 1.31 and stop - start == pytest.approx(0.25)


def test_ranks_have_the_uniform_share_and_its_error():
    counts = np.array([30, 50, 40, 60, 20])
    figure = plots.ranks(counts, 0.75, 0.6, overlap=1.0)
    check_picture(figure)
    ax = figure.axes[0]
    np.testing.assert_allclose([bar.get_height() for bar in ax.containers[0]], counts / 200)
    band = next(patch for patch in ax.patches if patch.get_label() == "two standard errors").get_bbox()
    np.testing.assert_allclose([band.y0, band.y1], 0.2 + 2 * np.array([-1, 1]) * np.sqrt(0.2 * 0.8 / 200))
    assert "0.75" in ax.get_title() and "0.60" in ax.get_title()


def test_spectra_show_the_level_of_a_tone_and_average_members_by_power():
    loud, silent = tone(-20, 1000, 1.0), np.zeros(RATE)
    figure = plots.spectra({"truth": loud, "given": 0.1 * loud, "members": np.stack([loud, silent])}, RATE, edge=2000.0)
    check_picture(figure)
    found = {line.get_label(): line.get_xydata() for line in figure.axes[0].get_lines()}
    for label, expected in (("truth", -20), ("given", -40), ("members", -20 + 10 * np.log10(0.5))):
        hertz, level = found[label].T
        assert hertz[level.argmax()] == 1000 and level.max() == pytest.approx(expected, abs=0.05)
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "given up to 2000 Hz"


def test_nothing_to_draw_is_refused():
    with pytest.raises(UserError, match="sounds: there is none"):
        plots.gallery([], RATE)
    with pytest.raises(UserError, match="rows: there is none"):
        plots.restoration([], RATE)
