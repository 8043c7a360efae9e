"""Pictures have axes, units and directions: plots, plots_lines, plots_panels."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgba

from domains.fields import plots
from domains.fields.layout import Layout
from domains.fields.plots_panels import GREY, Scale, View

COORDS = {
    "depth": ("depth", np.array([0.0, 5, 20, 80]), {"units": "m", "positive": "down"}),
    "y": ("y", np.linspace(5.0, 0.2, 12), {"units": "m"}),
    "x": ("x", np.linspace(0.0, 8.0, 20) ** 1.2, {"units": "m", "long_name": "distance"}),
    "lat": ("lat", np.linspace(60.0, -60.0, 12), {"units": "degrees_north", "long_name": "latitude"}),
    "lon": ("lon", (np.arange(20) * 9.0 + 200) % 360, {"units": "degrees_east", "long_name": "longitude"}),
}
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def strict():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    plt.close("all")


def layout(*space, names=("u", "t"), **options):
    shape = [COORDS[dim][1].size for dim in space]
    about = {"u": {"units": "mm", "long_name": "precipitation"}, "t": {"units": "K"}}
    data = {name: (("time", *space), np.zeros((0, *shape)), about[name]) for name in names}
    return Layout(xr.Dataset(data, {dim: COORDS[dim] for dim in space}), tuple(names), space, time="time", **options)


def fields(made, count=6):
    return RNG.standard_normal((count, *made.shape)) + np.arange(len(made.variables)) * 280.0


def texts(fig):
    axes = [text for ax in fig.axes for text in (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(), *(t.get_text() for t in ax.texts))]
    return {text.replace("\n", " ") for text in axes if text} | {fig.get_suptitle()}


def maps(fig):
    return [ax for ax in fig.axes if ax.collections and ax.get_label() != "<colorbar>"]


@pytest.mark.parametrize("frames", [0, 3])
@pytest.mark.parametrize("space", [("x",), ("y", "x"), ("lat", "lon"), ("depth", "y", "x")])
def test_every_picture_has_names_and_units_of_what_it_shows(space, frames):
    made = layout(*space, frames=frames, step=6.0, time_units="hours since 2000-01-01")
    x = fields(made)
    found = [plots.gallery(made, x), plots.ensemble(made, x[1:], x[0], {"kriging": x[2:], "splines": x[3]}), plots.ensemble(made, x[:1])]
    if frames:
        found += [plots.sequence(made, x[1:], x[0], {"persistence": x[3]}, given=1), plots.sequence(made, x)]
    for fig in found:
        said = texts(fig)
        assert {"precipitation [mm]", "t [K]", made.label(space[-1])} <= said
        assert len(space) == 1 or made.label(space[-2]) in said
        assert fig.get_figwidth() <= 12.0
    if len(space) < 3 and not frames:
        found[1].canvas.draw()  # without a word from the layout engine
    if len(space) == 3:
        assert "depth = 20 m" in found[0].get_suptitle()
    if frames:
        assert "last frame, 12 hours" in found[1].get_suptitle()
        assert {"last given", "+6 hours", "+12 hours"} <= texts(found[3])
        assert {"0 hours", "6 hours", "12 hours"} <= texts(found[4])


def test_the_top_of_a_map_is_the_larger_coordinate_and_depth_goes_down():
    made = layout("y", "x", names=("u",))
    ax = maps(plots.gallery(made, fields(made)))[0]
    low, high = ax.get_ylim()
    assert low < 0.2 < 5.0 < high and ax.get_xlim()[0] < ax.get_xlim()[1]
    mesh = ax.collections[0]
    value = np.zeros((12, 20))
    value[0, 3] = 1.0  # y = 5, at the top
    mesh = View(made).map(plt.figure().add_subplot(), value, Scale(value))
    row, column = np.argwhere(np.asarray(mesh.get_array()).reshape(12, 20) == 1.0)[0]
    corner = mesh.get_coordinates()[row, column]
    np.testing.assert_allclose(corner, [COORDS["x"][1][2:4].mean(), 5.0 + 0.5 * (5.0 - COORDS["y"][1][1])])
    deep = layout("x", "depth", names=("u",))
    ax = maps(plots.gallery(deep, fields(deep)))[0]
    assert ax.get_ylim()[0] > ax.get_ylim()[1] and "depth" in ax.get_ylabel()


def test_axes_are_as_long_a_unit_only_where_units_agree():
    for space, expected in ((("y", "x"), 1.0), (("lat", "lon"), 1.0), (("depth", "lat"), "auto")):
        made = layout(*space, names=("u",))
        assert maps(plots.gallery(made, fields(made)))[0].get_aspect() == expected


def test_longitudes_that_pass_greenwich_go_on():
    made = layout("lat", "lon", names=("u",))
    view = View(made)
    assert (np.diff(view.at_x) == 9.0).all() and view.label_x == "longitude [degrees_east]"
    uneven = xr.Dataset({"u": (("n", "x"), np.zeros((0, 4)))}, {"x": ("x", [3.0, 1.0, 2.0, 2.0])})
    assert View(Layout(uneven, ("u",), ("x",), sample="n")).label_x == "index of x"


def test_what_is_masked_is_grey_on_maps_and_lines():
    masked = np.zeros((12, 20, 2), bool)
    masked[:4, :7, 1] = True
    made = layout("lat", "lon", masked=masked)
    x = fields(made)
    axes = maps(plots.ensemble(made, np.where(masked, 1e9, x), np.where(masked, np.nan, x[0])))
    for ax, count in ((axes[0], 0), (axes[len(axes) // 2], 28)):
        drawn = ax.collections[0].get_array()
        assert np.ma.count_masked(drawn) == count and ax.get_facecolor() == to_rgba(GREY)
    assert axes[len(axes) // 2].collections[0].norm.vmax < 1000
    line = layout("x", masked=np.arange(20)[:, None] // 5 == [1, 9])
    row = plots.ensemble(line, fields(line)).axes
    assert [sum(patch.get_facecolor() == to_rgba(GREY) for patch in ax.patches) for ax in row] == [1, 0]


def test_spread_has_a_scale_of_its_own_from_zero_and_colours_beyond_are_said():
    made = layout("y", "x", names=("u",))
    x = fields(made)
    fig = plots.ensemble(made, x[1:], x[0], {"wild": 9 + x[1]})
    panels = maps(fig)
    spread = next(ax for ax in panels if ax.get_title() == "spread of 5")
    assert spread.collections[0].norm.vmin == 0.0
    np.testing.assert_allclose(spread.collections[0].get_array().reshape(12, 20), x[1:].std(0, ddof=1)[..., 0])
    shared = {id(ax.collections[0].norm): None for ax in panels if ax is not spread}
    assert len({(ax.collections[0].norm.vmin, ax.collections[0].norm.vmax) for ax in panels if ax is not spread}) == 1 and shared
    bar = next(ax for ax in fig.axes if ax.get_ylabel().replace("\n", " ") == "precipitation [mm]")
    assert bar._colorbar.extend in ("max", "both") and "spread [mm]" in texts(fig)


def test_observations_are_circles_in_the_colours_of_the_field():
    made = layout("depth", "y", "x", names=("u",), frames=2, step=3.0, time_units="h")
    x = fields(made)
    places = np.array([[3.0, 20, 1, 2], [3.0, 19, 4, 5], [3.0, 80, 1, 2], [0.0, 20, 1, 2]])
    fig = plots.ensemble(made, x[1:], x[0], observed={"u": (places, np.array([0.1, 0.2, 0.3, 0.4]))})
    mesh, circles = maps(fig)[0].collections
    np.testing.assert_allclose(circles.get_offsets(), [[2.0, 1.0], [5.0, 4.0]])  # of the slice and the frame that are shown
    np.testing.assert_allclose(circles.get_array(), [0.1, 0.2])
    assert circles.norm is mesh.norm and len(maps(fig)[1].collections) == 1
    assert said(fig) == ["observed, in the colour of the value"]


def said(fig):
    return [text.get_text() for legend in fig.legends for text in legend.get_texts()]


def test_what_is_given_stands_beside_the_truth_and_grey_is_named():
    made = layout("y", "x", names=("u",))
    x = fields(made)
    known = np.where(np.arange(20)[:, None] < 7, np.nan, x[0])
    fig = plots.ensemble(made, x[1:], x[0], given=known)
    assert [ax.get_title() for ax in maps(fig)] == ["truth", "given", "mean", "member 1", "member 2", "spread of 5"]
    assert np.ma.count_masked(maps(fig)[1].collections[0].get_array()) == 7 * 12 and said(fig) == ["not known"]
    assert said(plots.ensemble(made, x[1:], x[0])) == []


def test_no_more_than_eight_panels_and_what_has_no_room_is_named():
    made = layout("y", "x", names=("u",))
    x = fields(made)
    fig = plots.ensemble(made, x[1:], x[0], {f"answer {i}": x[1] for i in range(6)})
    assert len(maps(fig)) == 8 and fig.get_suptitle() == "not shown: answer 4, answer 5"


def test_a_picture_of_another_size_than_the_layouts_has_indices():
    made = layout("y", "x", names=("u",), masked=np.zeros((12, 20, 1), bool))
    ax = maps(plots.gallery(made, RNG.standard_normal((2, 18, 30, 1))))[0]
    np.testing.assert_allclose([*ax.get_xlim(), *ax.get_ylim()], [-0.5, 29.5, -0.5, 17.5])


def test_the_rank_picture_has_the_flat_line_and_its_band():
    ax = plots.rank_picture(np.array([10.0, 20.0, 30.0, 40.0])).axes[0]
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches[:4]], [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 0.25)
    assert ax.get_xlabel() == "rank of the truth among 3 members"
    half = 1.96 * np.sqrt(0.25 * 0.75 / 100)
    band = ax.patches[4]
    np.testing.assert_allclose([band.get_y(), band.get_height()], [0.25 - half, 2 * half])
