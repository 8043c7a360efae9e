"""The user's own file under an equation's names: the same out of every format, and what does not fit is refused in one line."""

import importlib

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr

import sciddm as sd
from domains.pde.own import open_own
from sciddm.errors import UserError

A, U = np.random.default_rng(0).normal(size=(2, 5, 8, 8)).astype(np.float32)
X = (np.arange(8) + 0.5) / 8


def dataset(**changes):
    fields = {"a": A, "u": U} | changes
    return xr.Dataset({k: (("sample", "y", "x"), v, {"units": "1"}) for k, v in fields.items()}, {"x": X, "y": X})


def as_zarr(path):
    dataset().to_zarr(path / "f.zarr", zarr_format=3)
    return path / "f.zarr"


def as_netcdf(path):
    dataset().to_netcdf(path / "f.nc", engine="h5netcdf")
    return path / "f.nc"


def as_pdebench(path):
    with h5py.File(path / "f.hdf5", "w") as file:
        file["nu"], file["tensor"], file["x-coordinate"], file["y-coordinate"] = A, U[:, None], X, X
    return path / "f.hdf5"


def as_the_well(path):
    with h5py.File(path / "f.h5", "w") as file:
        for name, value in (("a", A), ("u", U)):
            file[f"t0_fields/{name}"] = value
            file[f"t0_fields/{name}"].attrs["time_varying"] = False
        file["dimensions/x"], file["dimensions/y"] = X, X
    return path / "f.h5"


def as_mat(path):
    scipy.io.savemat(path / "f.mat", {"thresh_a_data": A, "thresh_p_data": U})
    return path / "f.mat"


def as_mat73(path):
    with h5py.File(path / "g.mat", "w") as file:
        file["thresh_a_data"], file["thresh_p_data"] = A.T, U.T
    return path / "g.mat"


def as_pieces(path):
    for i, part in enumerate((slice(0, 2), slice(2, 5))):
        dataset().isel(sample=part).to_netcdf(path / f"{i}.nc", engine="h5netcdf")
    return path


def read(path, equation="poisson", **options):
    """name -> (N, 8, 8) of all samples, as the domain has them."""
    fields, plan = open_own(path, equation, **options)
    order = (plan.layout.sample, *plan.layout.space)
    arrays = {name: fields.template[name].copy(data=fields.read(name)) for name in plan.layout.variables}
    return xr.Dataset({name: array.transpose(*order) for name, array in arrays.items()})


@pytest.mark.parametrize("make", [as_zarr, as_netcdf, as_pdebench, as_the_well, as_mat, as_mat73, as_pieces])
def test_every_format_gives_the_same_fields(make, tmp_path):
    fields = read(make(tmp_path))
    np.testing.assert_array_equal(fields.a, A)
    np.testing.assert_array_equal(fields.u, U)


def broken(path, **changes):
    dataset(**changes).to_netcdf(path / "f.nc", engine="h5netcdf")
    return path / "f.nc"


def test_errors_name_file_variable_and_index(tmp_path):
    for value in (np.nan, np.inf):
        bad = U.copy()
        bad[3, 2, 1] = value
        with pytest.raises(UserError, match=rf"f.nc: variable 'u' is {value} at index \(3, 2, 1\)"):
            read(broken(tmp_path, u=bad))
    with pytest.raises(UserError, match="f.mat: no variable for 'wT'.*set --config.data.names.wT="):
        read(as_mat(tmp_path), "navier-stokes", names={"w0": "thresh_a_data"})
    with pytest.raises(UserError, match="f.mat: no variable for 'u'.*did you mean 'thresh_p_data'"):
        read(as_mat(tmp_path), names={"u": "thresh_u_data"})
    with pytest.raises(UserError, match="f.zarr: variable 'u' is in '1'; expected 'Pa'.*or --config.data.units.u="):
        read(as_zarr(tmp_path), units={"u": "Pa"})
    with pytest.raises(UserError, match="f.nc: no variable for 'u'"):
        read(broken(tmp_path, u=U + 1j))
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "none.nc")


def test_an_index_is_that_of_the_file_whichever_samples_are_read(tmp_path):
    bad = U.copy()
    bad[3, 2, 1] = np.nan
    fields, plan = open_own(broken(tmp_path, u=bad), "poisson")
    assert np.isfinite(fields.read("u", {"sample": slice(0, 3)})).all()
    with pytest.raises(UserError, match=r"at index \(3, 2, 1\)"):
        fields.read("u", {"sample": slice(2, 5)})


def test_a_grid_with_uneven_spacing_is_refused(tmp_path):
    uneven = dataset().assign_coords(x=X**2)
    uneven.to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    with pytest.raises(UserError, match="f.nc: coordinate 'x' is not evenly spaced at index"):
        read(tmp_path / "f.nc")


def test_variables_on_different_grids_are_refused(tmp_path):
    scipy.io.savemat(tmp_path / "f.mat", {"a": A, "u": U[:, :4]})
    with pytest.raises(UserError, match=r"f.mat: variable 'u' has shape \(5, 4, 8\), but 'a' has \(5, 8, 8\)"):
        read(tmp_path / "f.mat")
    np.savez(tmp_path / "f.npz", a=A, u=np.stack([U, U], 1))
    with pytest.raises(UserError, match=r"f.npz: variable 'u' lies on .* \(2\).*; expected samples along .* two dimensions"):
        read(tmp_path / "f.npz")


def in_units(path, units):
    fields = dataset()
    fields["u"].attrs["units"] = units
    fields.to_netcdf(path / "f.nc", engine="h5netcdf")
    return path / "f.nc"


def test_units_are_compared_by_what_they_mean_and_converted_where_they_can_be(tmp_path):
    same = read(in_units(tmp_path, "m/s"), units={"u": "m s-1"})
    np.testing.assert_array_equal(same.u, U)
    fields = read(in_units(tmp_path, "hPa"), units={"u": "Pa", "a": "1"})
    np.testing.assert_allclose(fields.u, 100 * U, rtol=1e-6)
    assert fields.u.attrs["units"] == "Pa" and fields.u.dtype == np.float32
    for units, why in (("dBZ", "'dBZ' is no unit that is known"), ("m", "they measure different things")):
        with pytest.raises(UserError, match=f"f.nc: variable 'u' is in '{units}'; expected 'Pa', but {why}; .*or --config.data.units.u="):
            read(in_units(tmp_path, units), units={"u": "Pa"})


def test_samples_and_times_are_told_by_their_names_whichever_axis_they_are(tmp_path):
    xr.Dataset({"u": (("x", "time", "run"), U.T, {"units": "1"})}).to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    fields, plan = open_own(tmp_path / "f.nc", "burgers")
    assert plan.layout.sample == "run" and plan.layout.space == ("time", "x") and plan.layout.time == ""
    np.testing.assert_array_equal(read(tmp_path / "f.nc", "burgers").u, U)


def own_config(path, **data):
    config = importlib.import_module("configs.pde").get_config("smoke")
    config.data.update({"equation": "poisson", "resolution": 8, "held_out": 2, "path": str(path)} | data)
    return config


def own_domain(path, **data):
    return sd.get_domain(own_config(path, **data))


def test_samples_come_back_on_the_grid_of_the_file_in_the_units_that_were_asked_for(tmp_path):
    fields = dataset().assign_coords(x=("x", 100 * X, {"units": "km"})).rename(sample="run").transpose("y", "x", "run")
    fields["u"].attrs["units"] = "hPa"
    fields.to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    domain = own_domain(tmp_path / "f.nc", units={"u": "Pa"})
    found = domain.to_native(domain.fields("test"))
    assert found.u.dims == ("y", "x", "run") and found.u.attrs["units"] == "Pa" and found.x.attrs["units"] == "km"
    np.testing.assert_allclose(found.x, 100 * X)
    np.testing.assert_allclose(found.u.transpose("run", "y", "x"), 100 * U[-2:], rtol=1e-6)
    again = type(domain)(own_config(tmp_path / "gone.nc"), domain.normalizer.to_json())  # which does not look at the file
    xr.testing.assert_identical(again.to_native(domain.fields("test")), found)
    np.testing.assert_array_equal(again.from_native(found), domain.fields("test"))


def test_a_file_that_names_no_axes_has_those_of_the_equation(tmp_path):
    domain = own_domain(as_mat(tmp_path))
    found = domain.to_native(domain.fields("all"))
    assert found.a.dims == ("sample", "y", "x") and found.attrs["equation"] == "poisson"
    np.testing.assert_allclose(found.x, X)
    np.testing.assert_array_equal(found.u, U)


def test_a_grid_that_is_not_square_is_referred_to_the_domain_for_any(tmp_path):
    scipy.io.savemat(tmp_path / "f.mat", {"a": A[:, :4], "u": U[:, :4]})
    with pytest.raises(UserError, match=r"fields have shape \(4, 8\); expected \(8, 8\), .*; --config fields:smoke trains on any grid"):
        own_domain(tmp_path / "f.mat")


def test_held_out_samples_are_the_last_ones_and_some_are_left_to_train_on(tmp_path):
    file = as_netcdf(tmp_path)
    domain = own_domain(file)
    np.testing.assert_array_equal(domain.fields("train")[..., 1], U[:3])
    np.testing.assert_array_equal(domain.fields("test")[..., 0], A[3:])
    with pytest.raises(UserError, match="config.data.held_out = 5: .*f.nc has 5 samples"):
        own_domain(file, held_out=5)
