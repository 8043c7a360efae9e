"""Which dimension counts samples, which is time, which are space: found where it is plain, asked for where it isn't."""

import numpy as np
import pytest
import xarray as xr

from configs.fields import get_config
from domains.fields.cuts import pairs
from domains.fields.readers import open_fields
from domains.fields.roles import make_plan
from sciddm.errors import UserError


def plan_of(folder, dataset=None, array=None, **data):
    if array is not None:
        path = folder / "own.npy"
        np.save(path, array)
    else:
        path = folder / "own.nc"
        dataset.to_netcdf(path, engine="h5netcdf")
    config = get_config()
    config.data.update(data)
    return make_plan(open_fields(path), config.data)


def gridded(dims, sizes, names=("u",), **coords):
    values = {name: (dims, np.random.default_rng(0).standard_normal(sizes).astype(np.float32)) for name in names}
    return xr.Dataset(values, coords)


@pytest.mark.parametrize(
    "dims, sizes, sample, time, space",
    [
        (("sample", "y", "x"), (9, 4, 5), "sample", "", ("y", "x")),
        (("y", "sample", "x"), (4, 9, 5), "sample", "", ("y", "x")),
        (("x", "y", "realization"), (4, 5, 9), "realization", "", ("x", "y")),
        (("time", "lat", "lon"), (9, 4, 5), "", "time", ("lat", "lon")),
        (("member", "time", "x"), (9, 4, 5), "member", "time", ("x",)),
        (
            ("experiment", "z", "y", "x"),
            (9, 3, 4, 5),
            "experiment",
            "",
            ("z", "y", "x"),
        ),  # the only one that is none of space
        (("time", "lev", "y", "x"), (9, 1, 4, 5), "", "time", ("y", "x")),  # one level is no dimension of space
    ],
)
def test_roles_are_found_by_name_wherever_they_stand(dims, sizes, sample, time, space, tmp_path):
    layout = plan_of(tmp_path, gridded(dims, sizes)).layout
    assert (layout.sample, layout.time, layout.space) == (sample, time, space)


@pytest.mark.parametrize(
    "sizes, sample", [((50, 4, 4), "axis_0"), ((50, 6, 4), "axis_0"), ((3, 8, 8), "axis_0"), ((90, 12), "axis_0")]
)
def test_a_bare_array_has_its_samples_in_front_where_that_is_plain(sizes, sample, tmp_path):
    assert plan_of(tmp_path, array=np.random.default_rng(0).standard_normal(sizes)).layout.sample == sample


@pytest.mark.parametrize("sizes", [(8, 8, 8), (4, 8, 9), (8, 90), (64,), (8, 9, 90)])
def test_a_bare_array_without_plain_samples_is_asked_for_them(sizes, tmp_path):
    with pytest.raises(UserError, match=r"axis_0 \(\d+\).*--config.data.sample_dim"):
        plan_of(tmp_path, array=np.zeros(sizes))


def test_what_the_config_says_goes_before_what_is_found(tmp_path):
    layout = plan_of(tmp_path, gridded(("sample", "y", "x"), (9, 4, 5)), sample_dim="x").layout
    assert layout.sample == "x" and layout.space == ("y",) or layout.space == ("sample", "y")
    layout = plan_of(tmp_path, array=np.random.default_rng(0).standard_normal((8, 8, 8)), sample_dim="axis_2").layout
    assert layout.sample == "axis_2" and layout.space == ("axis_0", "axis_1")


def test_variables_on_two_grids_are_told_apart_and_static_fields_found(tmp_path):
    both = gridded(("time", "y", "x"), (9, 4, 5), ("u", "v"))
    both["orography"] = (("x", "y"), np.ones((5, 4)))
    layout = plan_of(tmp_path, both).layout
    assert layout.variables == ("u", "v") and layout.statics == ("orography",)
    both["w"] = (("time", "lev", "y", "x"), np.zeros((9, 3, 4, 5)))
    with pytest.raises(UserError, match="more than one grid.*u, v on.*w on.*--config.data.variables=w"):
        plan_of(tmp_path, both)
    assert plan_of(tmp_path, both, variables=("v",)).layout.variables == ("v",)


def test_a_condition_is_given_and_not_generated(tmp_path):
    layout = plan_of(tmp_path, gridded(("sample", "y", "x"), (9, 4, 5), ("a", "u")), condition=("a",)).layout
    assert layout.variables == ("u",) and layout.conditions == ("a",)


def test_a_crop_is_by_coordinate_in_either_direction_and_by_index_without_one(tmp_path):
    data = gridded(("sample", "y", "x"), (9, 6, 5), y=[50.0, 40, 30, 20, 10, 0])
    plan = plan_of(tmp_path, data, crop=("y=10:40", "x=1:4"))
    assert plan.slices == {"y": slice(1, 5), "x": slice(1, 4)}
    np.testing.assert_array_equal(plan.layout.coordinate("y"), [40, 30, 20, 10])


def test_coarse_coordinates_are_means_of_the_fine_ones(tmp_path):
    data = gridded(("sample", "y", "x"), (9, 6, 5), y=[50.0, 40, 30, 20, 10, 0])
    layout = plan_of(tmp_path, data, coarsen=("y=2", "x=2")).layout
    np.testing.assert_array_equal(layout.coordinate("y"), [45, 25, 5])
    assert layout.grid == (3, 2)


def test_longitudes_that_go_once_around_are_periodic(tmp_path):
    data = gridded(
        ("time", "lat", "lon"),
        (9, 4, 6),
        lat=[0.0, 1, 2, 3],
        lon=("lon", np.arange(0.0, 360, 60), {"units": "degrees_east"}),
    )
    assert plan_of(tmp_path, data).layout.periodic == ("lon",)
    assert plan_of(tmp_path, data, crop=("lon=0:200",)).layout.periodic == ()


def test_pairs_are_split_once_and_brackets_put_together_again():
    assert pairs("transforms", ("q=logit(low=0", "high=1)", "t=log")) == {"q": "logit(low=0,high=1)", "t": "log"}


@pytest.mark.parametrize(
    "data, said",
    [
        ({"sample_dim": "smaple"}, "did you mean sample"),
        ({"time_dim": "t"}, "no such dimension"),
        ({"variables": ("w",)}, "no variable 'w'"),
        ({"condition": ("u",), "variables": ("u",)}, "in config.data.variables, too"),
        ({"static": ("u",)}, "no variable is left to generate"),
        ({"crop": ("y=a:b",)}, "two numbers"),
        ({"crop": ("y=3",)}, "two numbers"),
        ({"crop": ("y",)}, "NAME=VALUE"),
        ({"crop": ("y=90:99",)}, "nothing lies there"),
        ({"crop": ("sample=0:3",)}, "is none that this key takes"),
        ({"coarsen": ("y=0",)}, "whole number"),
        ({"coarsen": ("y=7",)}, "whole number"),
        ({"periodic": ("z",)}, "no such dimension"),
        ({"augment": ("sample",)}, "is none that this key takes"),
        ({"window": 4}, "no dimension of time"),
    ],
)
def test_a_key_that_does_not_fit_the_file_is_one_line_that_names_it(data, said, tmp_path):
    file = gridded(("sample", "y", "x"), (9, 4, 5), y=[0.0, 1, 2, 3])
    with pytest.raises(UserError, match=said) as error:
        plan_of(tmp_path, file, **data)
    assert "\n" not in str(error.value)


def test_too_many_dimensions_of_space_and_too_many_of_samples_are_asked_about(tmp_path):
    with pytest.raises(UserError, match="1 to 3"):
        plan_of(tmp_path, gridded(("time", "a", "b", "c", "d"), (9, 2, 2, 2, 2)))
    with pytest.raises(UserError, match="which counts the samples"):
        plan_of(tmp_path, gridded(("member", "run", "x"), (9, 8, 5)))
    with pytest.raises(UserError, match="which is time"):
        plan_of(tmp_path, gridded(("time", "step", "x"), (9, 8, 5)))
