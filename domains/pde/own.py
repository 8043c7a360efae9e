"""An equation's variables out of the user's own file: picked by name, their samples, axes and units brought to what the equation has."""

import difflib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from domains.fields.format_compare import alike
from domains.fields.layout import Layout
from domains.fields.readers import Fields, is_sample, is_time, open_fields
from domains.fields.roles import SPACE, Plan, header_of
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
        what = f"{self.source}: variable {self.names[name]!r}"
        way_out = f"convert it, or --config.data.units.{name}={shlex.quote(str(stated))}"
        return convert(values, stated, expected, what, way_out=way_out)


def open_own(path, equation: str, *, names: Mapping | None = None, units: Mapping | None = None) -> tuple[Picked, Plan]:
    """The variables of an equation at `path`, whatever `open_fields` reads, and how samples of them are cut.

    A sample is an entry of the dimension whose name says so, of the only one that is none of space, or where axes have no names of the one
    of another size than the two others, else of the first; time comes first where the equation has it so. Where
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
    free = [name for name in found if not any(name in others for others in ALIASES.values())]
    other = [*difflib.get_close_matches(known[0], found, n=1), *free, *found, "NAME"][0]
    return pick(source, found, known, what=what, key=f"--config.data.names.{variable}={shlex.quote(str(other))}")


def _axes(fields, arrays, spec) -> dict[str, tuple[str, ...]]:
    # (sample, *space) of each variable as the file calls them, without dimensions of one point
    found, first = {}, next(iter(arrays))
    for variable, array in arrays.items():
        sample = _sample_of(fields, array)
        space = [dim for dim in array.dims if dim != sample and array.sizes[dim] > 1]
        if spec.dims[0] == "t":
            space.sort(key=lambda dim: (not is_time(fields.template, dim), dim == spec.dims[1]))
        if len(space) != 2:
            sizes = ", ".join(f"{dim} ({n})" for dim, n in array.sizes.items())
            raise UserError(
                f"{fields.source}: variable {array.name!r} lies on {sizes}; expected samples along {sample!r} of a grid of two dimensions; "
                "--config fields:smoke trains on one to three"
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
        for own, other in zip(found[variable], found[first], strict=True):
            _check_alike(fields, array.name, own, arrays[first].name, other)
    return found


def _sample_of(fields, array) -> str:
    # By its name; else the only one that is none of space and time; else the first, where no name says anything.
    wide = [dim for dim in array.dims if array.sizes[dim] > 1 or array.ndim <= 3]
    named = [dim for dim in array.dims if is_sample(dim)]
    if len(named) == 1:
        return named[0]
    others = [dim for dim in named or wide if str(dim).lower() not in SPACE and not is_time(fields.template, dim)]
    if all(str(dim).startswith("axis_") for dim in array.dims):
        # The grid is square, so that of three axes the one of another size counts the samples.
        sizes = [array.sizes[dim] for dim in others]
        odd = [dim for dim, n in zip(others, sizes, strict=True) if sizes.count(n) == 1]
        return odd[0] if len(others) == 3 and len(odd) == 1 else others[0]
    if len(others) == 1:
        return others[0]
    sizes = ", ".join(f"{dim} ({n})" for dim, n in array.sizes.items())
    raise UserError(
        f"{fields.source}: variable {array.name!r} lies on {sizes}: which counts the samples? rename it to 'sample' in the file, "
        "or --config fields:smoke asks which it is"
    )


def _check_alike(fields, name, own, first, other) -> None:
    # Dimensions of two variables that are called otherwise have to be the same by their coordinates, unless neither has a name.
    if own == other or all(str(dim).startswith("axis_") for dim in (own, other)) or {own, other} <= {"sample"}:
        return
    coords = fields.template.coords
    if is_sample(own) and is_sample(other) and not {own, other} & {*coords}:
        return
    if own in coords and other in coords and alike(coords[other].values, coords[own].values):
        return
    raise UserError(
        f"{fields.source}: variable {name!r} lies along {own!r} where {first!r} lies along {other!r}, and their coordinates don't say that "
        f"they are the same; expected one grid: rename {own!r} to {other!r} in the file, or turn it first"
    )


def _structure(array, dims, about, units) -> xr.Variable:
    kept = [dim for dim in array.dims if dim in dims]
    nothing = np.broadcast_to(np.float32(np.nan), [array.sizes[dim] for dim in kept])
    return xr.Variable([dims[dim] for dim in kept], nothing, about | array.attrs | {"units": units})
