"""An equation's variables out of the user's own file: picked by name, their samples, axes and units brought to what the equation has."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from domains.fields.layout import Layout
from domains.fields.readers import Fields, is_sample, is_time, open_fields
from domains.fields.roles import Plan, header_of
from domains.pde.generate import EQUATIONS, layout_of
from sciddm.data.reading import check_finite, even_step, pick
from sciddm.data.units import convert
from sciddm.errors import UserError

# What the published collections call a coefficient or start, and a solution.
ALIASES = {
    "a": ("a", "nu", "coeff", "permeability", "thresh_a_data", "f_data", "source"),
    "u": ("u", "tensor", "sol", "solution", "pressure", "thresh_p_data", "phi_data", "psi_data", "velocity"),
    "w0": ("w0", "a", "input"),
    "wT": ("wT", "u", "output"),
}


@dataclass(frozen=True, eq=False)
class Picked:
    """The variables of an equation in a file, for `domains.fields.source.Source`; see `Fields`, whose part it takes.

    fields: the file; names: variable -> its name there; dims: variable -> {dimension of the file: of the template}, without those of one
    point; template: as of `Fields`, of the variables in their expected units.
    """

    fields: Fields
    names: Mapping[str, str]
    dims: Mapping[str, Mapping[str, str]]
    template: xr.Dataset

    @property
    def source(self) -> str:
        """What the user gave."""
        return self.fields.source

    def read(self, name: str, where: Mapping[str, slice] | None = None) -> np.ndarray:
        """float32 values of a variable in the order of template[name]. UserError on one that is not finite, with its index in the file."""
        own, dims, where = self.names[name], self.dims[name], where or {}
        array = self.fields.template[own]
        picks = {dim: where.get(dims[dim], slice(None)) if dim in dims else 0 for dim in array.dims}
        values = self.fields.read(own, picks)
        check_finite(self.source, own, values, places=[np.arange(array.sizes[dim])[picks[dim]] for dim in array.dims if dim in dims])
        return self.in_units(name, values)

    def in_units(self, name: str, values):
        """`values` of the file in the expected units. UserError where the file states units that can't be converted."""
        expected = self.template[name].attrs["units"]
        stated = self.fields.template[self.names[name]].attrs.get("units", expected)
        what, way_out = f"{self.source}: variable {self.names[name]!r}", "convert it or set config.data.units"
        return convert(values, stated, expected, what, way_out=way_out)


def open_own(path, equation: str, *, names: Mapping | None = None, units: Mapping | None = None) -> tuple[Picked, Plan]:
    """The variables of an equation at `path`, whatever `open_fields` reads, and how samples of them are cut.

    A sample is an entry of the first dimension, or of the one whose name says so; time comes first where the equation has it so. Where
    the file does not name the axes of its grid, they are those of the equation.

    Args: names: variable -> name in the file, where `ALIASES` does not know it; units: variable -> expected units, "1" without.
    Raises: UserError naming the file and the variable that is missing, in units of another kind, on another grid or an uneven one.
    """
    fields, spec = open_fields(path), EQUATIONS[equation]
    found = {name: array for name, array in fields.template.data_vars.items() if array.ndim}
    names = {variable: _name(fields.source, found, variable, (names or {}).get(variable)) for variable in spec.variables}
    axes = _axes(fields, {variable: found[name] for variable, name in names.items()}, spec)
    own = next(iter(axes.values()))
    for dim in own[1:]:
        if dim in fields.template.coords and fields.template[dim].dtype.kind in "iufmM":
            even_step(fields.source, f"coordinate {dim!r}", fields.template[dim].values)
    nameless = all(dim.startswith("axis_") for dim in own[1:])
    dims = ("sample", *spec.dims) if nameless else own
    units = {variable: "1" for variable in spec.variables} | dict(units or {})
    renamed = {variable: dict(zip(each, dims, strict=True)) for variable, each in axes.items()}
    data = {
        variable: _structure(found[name], renamed[variable], {"long_name": spec.variables[variable]}, units[variable])
        for variable, name in names.items()
    }
    template = xr.Dataset(data, {} if nameless else fields.template.coords, fields.template.attrs)
    picked = Picked(fields, names, renamed, template)
    for variable in names:
        picked.in_units(variable, 0.0)  # refused before anything is read
    if nameless:
        layout = layout_of(equation, [template.sizes[dim] for dim in spec.dims], units)
    else:
        header = header_of(picked, tuple(data), (), (dims[0], ""), {}, {})
        layout = Layout(header, tuple(data), dims[1:], dims[0], periodic=dims[1:] if spec.periodic else ())
    return picked, Plan(layout, {}, {})


def _name(source, found, variable, given):
    known = (given,) if given else ALIASES.get(variable, (variable,))
    what = f"variable for {variable!r} (looked for {', '.join(known)})"
    return pick(source, found, known, what=what, key=f"config.data.names.{variable}")


def _axes(fields, arrays, spec) -> dict[str, tuple[str, ...]]:
    # (sample, *space) of each variable as the file calls them, without dimensions of one point
    found, first = {}, next(iter(arrays))
    for variable, array in arrays.items():
        sample = next((dim for dim in array.dims if is_sample(dim)), array.dims[0])
        space = [dim for dim in array.dims if dim != sample and array.sizes[dim] > 1]
        if spec.dims[0] == "t":
            space.sort(key=lambda dim: not is_time(fields.template, dim))
        if len(space) != 2:
            sizes = ", ".join(f"{dim} ({n})" for dim, n in array.sizes.items())
            raise UserError(
                f"{fields.source}: variable {array.name!r} lies on {sizes}; expected samples along {sample!r} of a grid of two dimensions; "
                "configs/fields.py trains on one to three"
            )
        found[variable] = (sample, *space)
        if {*found[variable]} == {*found[first]}:
            found[variable] = found[first]
        shape, expected = ([fields.template.sizes[dim] for dim in found[v]] for v in (variable, first))
        if shape != expected:
            raise UserError(
                f"{fields.source}: variable {array.name!r} has shape {tuple(shape)}, but {arrays[first].name!r} has {tuple(expected)}; "
                "expected the same"
            )
    return found


def _structure(array, dims, about, units) -> xr.Variable:
    kept = [dim for dim in array.dims if dim in dims]
    nothing = np.broadcast_to(np.float32(np.nan), [array.sizes[dim] for dim in kept])
    return xr.Variable([dims[dim] for dim in kept], nothing, about | array.attrs | {"units": units})
