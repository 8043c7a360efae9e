import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr

from domains.pde.readers import read_fields
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


@pytest.mark.parametrize("make", [as_zarr, as_netcdf, as_pdebench, as_the_well, as_mat, as_mat73])
def test_every_format_gives_the_same_fields(make, tmp_path):
    fields = read_fields(make(tmp_path), ("a", "u"))
    np.testing.assert_array_equal(fields.a, A)
    np.testing.assert_array_equal(fields.u, U)


def broken(path, **changes):
    dataset(**changes).to_netcdf(path / "f.nc", engine="h5netcdf")
    return path / "f.nc"


def test_errors_name_file_variable_and_index(tmp_path):
    bad = U.copy()
    bad[3, 2, 1] = np.nan
    file = broken(tmp_path, u=bad)
    with pytest.raises(UserError, match=r"f.nc: variable 'u' is nan at index \(3, 2, 1\)"):
        read_fields(file, ("a", "u"))
    with pytest.raises(UserError, match="no variable for 'wT'.*set config.data.names.wT"):
        read_fields(as_mat(tmp_path), ("wT",))
    with pytest.raises(UserError, match="did you mean 'thresh_p_data'"):
        read_fields(as_mat(tmp_path), ("u",), names={"u": "thresh_u_data"})
    with pytest.raises(UserError, match="in '1'; expected 'Pa'"):
        read_fields(as_zarr(tmp_path), ("a", "u"), units={"u": "Pa"})
    with pytest.raises(UserError, match="no such file"):
        read_fields(tmp_path / "none.nc", ("u",))
    (tmp_path / "f.txt").write_text("1")
    with pytest.raises(UserError, match="format '.txt' is not known"):
        read_fields(tmp_path / "f.txt", ("u",))
    (tmp_path / "b.h5").write_bytes(b"not hdf5 at all")
    with pytest.raises(UserError, match="b.h5: can't be read"):
        read_fields(tmp_path / "b.h5", ("u",))


def test_a_grid_with_uneven_spacing_is_refused(tmp_path):
    uneven = dataset().assign_coords(x=X**2)
    uneven.to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    with pytest.raises(UserError, match="coordinate 'x' of 'a' is not evenly spaced at index"):
        read_fields(tmp_path / "f.nc", ("a", "u"))


def test_variables_on_different_grids_are_refused(tmp_path):
    scipy.io.savemat(tmp_path / "f.mat", {"a": A, "u": U[:, :4]})
    with pytest.raises(UserError, match="'u' has shape"):
        read_fields(tmp_path / "f.mat", ("a", "u"))


def in_units(path, units):
    fields = dataset()
    fields["u"].attrs["units"] = units
    fields.to_netcdf(path / "f.nc", engine="h5netcdf")
    return path / "f.nc"


def test_units_are_compared_by_what_they_mean_and_converted_where_they_can_be(tmp_path):
    same = read_fields(in_units(tmp_path, "m/s"), ("a", "u"), units={"u": "m s-1"})
    np.testing.assert_array_equal(same.u, U)
    fields = read_fields(in_units(tmp_path, "hPa"), ("a", "u"), units={"u": "Pa", "a": "1"})
    np.testing.assert_allclose(fields.u, 100 * U, rtol=1e-6)
    assert fields.u.attrs["units"] == "Pa" and fields.u.dtype == np.float32
    with pytest.raises(
        UserError, match="'u' is in 'dBZ'; expected 'Pa', but 'dBZ' is no unit.*or set config.data.units"
    ):
        read_fields(in_units(tmp_path, "dBZ"), ("a", "u"), units={"u": "Pa"})


def test_a_folder_means_the_one_file_in_it(tmp_path):
    np.testing.assert_array_equal(read_fields(as_netcdf(tmp_path).parent, ("u",)).u, U)
    as_zarr(tmp_path)
    with pytest.raises(UserError, match="files of 2 formats"):
        read_fields(tmp_path, ("u",))
    (tmp_path / "g.nc").write_bytes((tmp_path / "f.nc").read_bytes())
    with pytest.raises(UserError, match="2 files, such as f.nc and g.nc; expected one, name it"):
        read_fields(tmp_path / "*.nc", ("u",))
