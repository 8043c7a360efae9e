"""Fields come back as they came: what is written is read by xarray alone, and held against the user's file attribute by attribute."""

import numpy as np
import pytest
import xarray as xr
from fields_domains import batch, differences, domain_of, restored
from small_fields import small_dataset

from domains.fields.layout import Layout, is_latitude
from sciddm.errors import UserError


def reactor():
    """Two variables, 12 x 20, mm, y descending, order (y, sample, x), and a static field."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((2, 12, 30, 20)).astype(np.float32)
    return xr.Dataset(
        {
            "u": (
                ("y", "sample", "x"),
                values[0],
                {"units": "mol m-3", "long_name": "substrate", "levels": np.array([1, 2, 3])},
            ),
            "v": (("y", "sample", "x"), values[1], {"units": "mol m-3", "cell_methods": "area: mean"}),
            "wall": (("y", "x"), rng.standard_normal((12, 20)), {"units": "mm"}),
        },
        {
            "y": ("y", np.arange(12)[::-1] * 0.25, {"units": "mm"}),
            "x": ("x", np.arange(20) * 0.25, {"units": "mm", "axis": "X"}),
        },
        {"title": "reactor", "feed": 0.0545},
    )


def storm():
    """Four variables on a grid of latitudes and longitudes, no dates, no units, a hole that is always there, and a scalar in words."""
    rng = np.random.default_rng(1)
    hole = np.zeros((9, 11), bool)
    hole[:3, 4:] = True
    fields = {
        name: (("timestep", "lat", "lon"), np.where(hole, np.nan, rng.standard_normal((24, 9, 11))).astype(np.float32))
        for name in "ptuv"
    }
    coords = {
        "timestep": np.arange(0, 144, 6, dtype=np.int32),
        "lat": np.float32(20 + 5 * np.arange(9)),
        "lon": np.float32(np.arange(11) - 140),
    }
    return xr.Dataset(
        fields | {"reftime": ((), "1996 01 05 00:00", {"units": "text_time", "long_name": "reference time"})}, coords
    )


def film():
    """One long run of one dimension with dates."""
    times = np.datetime64("2026-03-01T08:00", "ns") + np.arange(60) * np.timedelta64(1, "s")
    h = np.random.default_rng(2).standard_normal((60, 16))
    return xr.Dataset(
        {"h": (("time", "x"), h, {"units": "um"})},
        {"time": times, "x": ("x", np.arange(16.0), {"units": "um"})},
        {"title": "film"},
    )


def ocean():
    """Three dimensions, a level of one point, a grid mapping and latitudes of two dimensions."""
    rng = np.random.default_rng(3)
    lat = 50 + 0.1 * np.arange(6)[:, None] + 0.01 * np.arange(7)
    return xr.Dataset(
        {
            "temp": (("member", "run", "z", "y", "x"), rng.standard_normal((20, 1, 4, 6, 7)).astype(np.float32),
                     {"units": "degC", "grid_mapping": "crs", "valid_range": np.float32([-50, 50])}),
            "crs": ((), 0, {"grid_mapping_name": "lambert_conformal_conic", "standard_parallel": 25.0}),
        },
        {"z": ("z", [-1.0, -2.0, -5.0, -9.0], {"units": "m", "positive": "up"}), "y": ("y", np.arange(6) * 1000.0, {"units": "m"}),
         "x": ("x", np.arange(7) * 1000.0, {"units": "m"}), "lat": (("y", "x"), lat, {"units": "degrees_north"}),
         "member": ("member", np.arange(20), {"long_name": "which"})},
        {"Conventions": "CF-1.11"},
    )  # fmt: skip


FILES = {
    "reactor": (reactor, "own.nc", ("sample",), {}),
    "storm": (storm, "own.nc", ("timestep",), {}),
    "film": (film, "own.zarr", ("time",), {}),
    "film in windows": (film, "own.zarr", ("time",), {"window": 4}),
    "ocean": (ocean, "own.nc", ("member",), {"sample_dim": "member"}),
    "sequences": (small_dataset, "own.nc", ("sample", "time"), {"window": 4}),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_samples_are_read_by_xarray_alone_with_the_file_s_names_units_coordinates_order_direction_and_attributes(
    name, suffix, tmp_path
):
    make, file, counted, data = FILES[name]
    domain = domain_of(make(), tmp_path, file, **data)
    again, x = restored(domain), batch(domain)
    again.save(again.to_native(x), tmp_path / f"out{suffix}")
    opened = xr.open_dataset if suffix == ".nc" else lambda path: xr.open_zarr(path, consolidated=False)
    original = (
        xr.open_dataset(tmp_path / file) if file.endswith(".nc") else xr.open_zarr(tmp_path / file, consolidated=False)
    )
    with opened(tmp_path / f"out{suffix}") as written:
        found = differences(original.load(), written.load(), counted)
        window = [one for one in found if not (data.get("window") and one[1] == "dimensions")]
        assert not window, window
        for variable in domain.variables:  # the values, too, where they lie in the file
            held = original[variable].isel({counted[0]: slice(-len(x), None)}) if name == "reactor" else None
            if held is not None:
                first = original.sizes["sample"] - len(domain.dataset("test"))
                held = original[variable].isel(sample=slice(first, first + len(x)))
                np.testing.assert_array_equal(written[variable].values, held.values)
        assert domain.from_native(written).shape == x.shape
        np.testing.assert_allclose(domain.from_native(written), domain.filled(x), rtol=1e-6)
    original.close()


def test_fields_in_other_units_and_directions_are_brought_to_the_model_s_or_refused(tmp_path):
    domain = domain_of(reactor(), tmp_path)
    x = batch(domain)
    other = domain.to_native(x).isel(y=slice(None, None, -1)).transpose("x", "sample", "y")
    other["u"] = (other["u"] * 1e-3).assign_attrs(units="mmol cm-3")
    np.testing.assert_allclose(domain.from_native(other), x, rtol=1e-5)
    with pytest.raises(UserError, match="variable 'u' is in 'kg'; expected 'mol m-3'.*different things"):
        domain.from_native(other.assign(u=other["u"].assign_attrs(units="kg")))


def test_other_data_of_a_trained_model_are_converted_to_its_units(tmp_path):
    domain = domain_of(reactor(), tmp_path)
    scaled = reactor()
    scaled["u"] = (scaled["u"] * 1e-3).assign_attrs(units="mmol cm-3")
    scaled.to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    again = restored(domain, path=str(tmp_path / "other.nc"), cache=str(tmp_path / "cache"))
    np.testing.assert_allclose(batch(again), batch(domain), rtol=1e-5)


def test_windows_in_time_come_back_with_times_after_the_first_frame(tmp_path):
    native = (domain := domain_of(film(), tmp_path, "own.zarr", window=4)).to_native(batch(domain))
    assert native["h"].dims == ("sample", "time", "x")
    np.testing.assert_array_equal(native["time"], [0, 1, 2, 3])
    assert native["time"].attrs["units"] == "seconds"
    native = (domain := domain_of(small_dataset(), tmp_path, window=4)).to_native(batch(domain))
    assert native["c"].dims == ("y", "sample", "time", "x") and native["time"].attrs["units"] == "s"
    np.testing.assert_array_equal(native["time"], [0, 10, 20, 30])


def test_a_mask_is_nan_again_and_nowhere_else(tmp_path):
    domain = domain_of(storm(), tmp_path)
    x = batch(domain)
    assert np.isfinite(x).all()
    native = restored(domain).to_native(x + 1)
    assert all(
        np.isnan(native["p"].values[i, :3, 4:]).all() and np.isfinite(native["p"].values[i, 3:]).all() for i in range(3)
    )


def test_areas_follow_the_cosine_of_the_latitude_of_one_or_two_dimensions(tmp_path):
    weights = domain_of(storm(), tmp_path).layout.weights
    expected = np.cos(np.deg2rad(20 + 5 * np.arange(9)))[:, None] * np.ones(11)
    np.testing.assert_allclose(weights, expected / expected.mean(), rtol=1e-6)
    weights = domain_of(ocean(), tmp_path, "own2.nc", sample_dim="member").layout.weights
    expected = np.cos(np.deg2rad(ocean()["lat"].values)) * np.ones((4, 1, 1))
    np.testing.assert_allclose(weights, expected / expected.mean(), rtol=1e-6)
    assert np.all(domain_of(reactor(), tmp_path, "own3.nc").layout.weights == 1)
    assert is_latitude("lat", {}) and not is_latitude("latent", {}) and not is_latitude("lat", {"units": "m"})


def test_a_layout_goes_through_the_checkpoint(tmp_path):
    layout = domain_of(ocean(), tmp_path, sample_dim="member").layout
    again = Layout.from_json(layout.to_json())
    assert again.space == ("z", "y", "x") and again.sample == "member" and again.grid == (4, 6, 7)
    assert again.header.identical(layout.header)


def test_a_wider_layout_goes_on_in_even_steps(tmp_path):
    layout = domain_of(reactor(), tmp_path).layout
    wide = layout.wider((18, 30))
    np.testing.assert_allclose(wide.coordinate("y"), 2.75 - 0.25 * np.arange(18))
    made = wide.as_dataset({name: np.zeros((2, 18, 30)) for name in ("u", "v")})
    assert made["u"].dims == ("y", "sample", "x") and made["u"].attrs["units"] == "mol m-3"
