import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from figures import overlaps
from PIL import Image

from domains.weather import animate, plots
from sciddm.errors import UserError

pytestmark = pytest.mark.usefixtures("closed")


def images(fig):
    return [ax for ax in fig.axes if ax.images]


def same_size(fig):
    """Of a figure that is drawn: `overlaps` does."""
    sizes = np.array([ax.get_window_extent().bounds[2:] for ax in images(fig)])
    return np.ptp(sizes, axis=0).max() < 1.0


def test_a_row_of_frames_has_lead_times_km_units_and_equal_panels(rain):
    fig = plots.frames(rain, label="event")
    titles = [ax.get_title() for ax in images(fig)]
    assert titles[:5] == ["−15 min", "−10 min", "−5 min", "now", "+5 min"] and titles[-1] == "+60 min"
    assert images(fig)[0].images[0].get_extent() == [0, 48, 0, 48]
    assert "reflectivity [dBZ]" in [ax.get_ylabel() for ax in fig.axes]
    assert {"x [km]", "y [km]"} <= {label for ax in fig.axes for label in (ax.get_xlabel(), ax.get_ylabel())}
    assert not any(ax.texts or ax.lines for ax in images(fig))  # nothing covers rain
    assert not overlaps(fig) and same_size(fig)


def test_missing_pixels_show_the_hatched_ground_and_dry_ones_are_white(rain):
    fig = plots.frames(rain[:1])
    ax = images(fig)[0]
    image = ax.images[0]
    rgba = image.cmap(image.norm(image.get_array()))
    assert rgba[20, 20, 3] == 0.0 and ax.patches[0].get_hatch()
    np.testing.assert_array_equal(rgba[0, 0], [1, 1, 1, 1])


def test_colours_change_every_five_dbz_and_get_darker_or_warmer():
    norm = matplotlib.colors.BoundaryNorm(plots.LEVELS, plots.RADAR.N)
    assert (
        norm([5.0, 9.9])[0] == norm([5.0, 9.9])[1] == 0
        and norm([10.0])[0] == 1
        and norm([74.0])[0] == plots.RADAR.N - 1
    )
    assert len(set(plots.RADAR.colors)) == len(plots.LEVELS) - 1
    r, g, b = np.array([matplotlib.colors.to_rgb(c) for c in plots.RADAR.colors]).T
    luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b
    blues, warm = luminance[:5], luminance[7:]
    assert (np.diff(blues[:4]) < 0).all() and (np.diff(warm) < 0).all()


def test_stamps_show_every_member_and_frame_the_truth(rain):
    members = np.stack([rain[8] + i for i in range(9)])
    fig = plots.stamps(members, rain[8], 25)
    assert len(images(fig)) == 10 and images(fig)[0].get_title() == "observed"
    assert images(fig)[0].spines["left"].get_linewidth() > 2 * images(fig)[1].spines["left"].get_linewidth()
    assert "9 members, +25 min" == fig._suptitle.get_text()
    assert not overlaps(fig) and same_size(fig)


def test_the_forecast_has_a_row_each_and_shows_the_lead_time_it_says(rain):
    members = np.stack([rain[4:] + i for i in range(3)])
    fig = plots.forecast(
        rain[:4], rain[4:], members, {"persistence": rain[3:4].repeat(12, 0)}, notes={"persistence": "CRPS 7 dBZ"}
    )
    panels = images(fig)
    assert len(panels) == 1 + 6 * 4
    assert [ax.get_title() for ax in panels[:5]] == ["observed, now", "+5 min", "+15 min", "+30 min", "+60 min"]
    np.testing.assert_allclose(panels[0].images[0].get_array().filled(np.nan), rain[3])  # the last one that was seen
    np.testing.assert_allclose(
        panels[3].images[0].get_array().filled(np.nan), rain[4 + 5]
    )  # +30 min is the sixth frame
    np.testing.assert_allclose(panels[5].images[0].get_array().filled(np.nan), rain[4] + 1)  # the mean of +0, +1, +2
    np.testing.assert_allclose(panels[9].images[0].get_array().filled(np.nan), np.where(np.isnan(rain[4]), np.nan, 1.0))
    assert "spread (standard deviation of the members) [dBZ]" in [ax.get_ylabel() for ax in fig.axes]
    names = [t.get_text() for ax in fig.axes for t in ax.texts]
    assert {"mean of 3", "spread", "member 1", "member 2", "persistence", "CRPS 7 dBZ"} <= set(names)
    assert not overlaps(fig) and same_size(fig)


def native(x, start=-15):
    time = start + 5.0 * np.arange(x.shape[1])
    km = np.arange(24) * 2.0 + 1.0
    return xr.Dataset({"reflectivity": (("sample", "time", "y", "x"), x)}, {"time": time, "y": km, "x": km})


def test_a_comparison_shows_the_scored_frames_and_the_one_before_them(rain):
    members, answer = np.stack([rain + i for i in range(3)]), native(rain[None] + 9)
    fig = plots.comparison(native(rain[None]), native(members), {"kriging on extrapolation": answer}, slice(4, None))
    panels = images(fig)
    assert [ax.get_title() for ax in panels[:6]] == ["truth, now", "+5 min", "+20 min", "+30 min", "+45 min", "+60 min"]
    np.testing.assert_allclose(panels[0].images[0].get_array().filled(np.nan), rain[3])
    np.testing.assert_allclose(panels[6].images[0].get_array().filled(np.nan), rain[4] + 1)
    np.testing.assert_allclose(panels[-1].images[0].get_array().filled(np.nan), rain[-1] + 9)
    assert len(panels) == 6 + 5 * 5 and not overlaps(fig) and same_size(fig)
    name = next(t for ax in fig.axes for t in ax.texts if t.get_text() == "kriging on extrapolation")
    assert name.get_window_extent().x0 > 0
    assert said(fig) == ["framed: given", "hatched: not known"] and wide(panels[0]) and not wide(panels[1])
    fig = plots.comparison(native(rain[None]), native(members[:1]), {}, np.array([0, 2]))
    assert [ax.get_title() for ax in images(fig)] == ["−15 min", "−5 min", "", ""] and not overlaps(fig)


def said(fig):
    return [text.get_text() for legend in fig.legends for text in legend.get_texts()]


def wide(ax):
    return ax.spines["left"].get_linewidth() > 1.5


def test_what_is_given_is_a_row_a_frame_or_circles_and_is_named_in_the_legend(rain):
    members, rain = native(np.nan_to_num(np.stack([rain, rain]))), np.nan_to_num(rain)
    hidden = np.where(np.arange(24) < 9, np.nan, rain)
    fig = plots.comparison(native(rain[None]), members, columns=2, given=hidden, framed=np.array([15]))
    rows = images(fig)
    np.testing.assert_allclose(rows[2].images[0].get_array().filled(np.nan), hidden[0])
    assert [wide(ax) for ax in rows[:4]] == [False, True, False, False]
    assert said(fig) == ["framed: given", "hatched: not known"]
    reports = (np.array([3, 4]), np.array([5, 6]), np.array([4, 15]), np.array([20.0, 0.0]))
    fig = plots.comparison(native(rain[None]), members, None, slice(4, None), 2, gauges=reports)
    (circles,) = images(fig)[1].collections
    np.testing.assert_allclose(circles.get_offsets(), [[2 * 5.5, 2 * 3.5]])
    assert circles.get_array() == [20.0] and len(images(fig)[2].collections) == 1 and not images(fig)[3].collections
    assert said(fig) == ["gauges, in the colour of what they report", "framed: given"] and not overlaps(fig)


def test_a_gallery_has_a_row_each_sequence(rain):
    fig = plots.gallery(native(np.stack([rain, rain + 5])))
    assert (
        len(images(fig)) == 16 and images(fig)[0].get_title() == "−15 min" and images(fig)[7].get_title() == "+60 min"
    )
    assert images(fig)[0].images[0].get_extent() == [0, 48, 0, 48] and not overlaps(fig) and same_size(fig)


def test_exceedance_is_the_share_of_members(rain):
    members = np.stack([rain[4:], 0 * rain[4:], 0 * rain[4:], rain[4:]])
    fig = plots.exceedance(members, 25.0, rain[4:])
    panel = images(fig)[0].images[0].get_array()
    np.testing.assert_allclose(panel.filled(-1), np.where(np.isnan(rain[4]), -1, 0.5 * (rain[4] >= 25)))
    assert not overlaps(fig) and same_size(fig)


def test_a_loop_has_every_frame_once_and_holds_the_last(rain, tmp_path):
    open_before = plt.get_fignums()
    path = animate.gif({"observed": rain[:6], "member 1": rain[:6]}, tmp_path / "loop.gif", seconds=0.2, dpi=50)
    assert plt.get_fignums() == open_before
    with Image.open(path) as loop:
        assert loop.n_frames == 6
        durations, pictures = [], []
        for t in range(6):
            loop.seek(t)
            durations.append(loop.info["duration"])
            pictures.append(np.asarray(loop.convert("RGB")))
    assert durations == [200] * 5 + [600]
    assert all((a != b).any() for a, b in zip(pictures, pictures[1:], strict=False))
    with pytest.raises(UserError, match="sequences of one shape"):
        animate.gif({"a": rain, "b": rain[:3]}, tmp_path / "no.gif")
