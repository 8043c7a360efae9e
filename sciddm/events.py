"""The probability of a stated event, as a share of the members: "u > 0.3", "max(rain) > 5 mm/h", "rings == 3"."""

import operator
import re
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciddm.data.units import convert
from sciddm.errors import UserError
from sciddm.named import near

SIGNS = {">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt}
WHOLE = ("max", "min", "mean", "sum")
TEXT = re.compile(
    r"\s*(?:(?P<whole>[a-z]+)\s*\(\s*(?P<inner>[^()]+?)\s*\)|(?P<name>[^()<>=!]+?))\s*(?P<sign>>=|<=|==|!=|>|<)\s*"
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>.*?)\s*"
)
EXPECTED = "expected NAME SIGN NUMBER [UNIT], such as 'u > 0.3', 'rain > 5 mm/h' or 'max(u) >= 2'"


@dataclass(frozen=True)
class Event:
    """That a quantity, or its largest, smallest, mean or sum over all of a member, is above or below a number."""

    text: str
    name: str
    sign: str
    number: float
    unit: str = ""
    whole: str = ""

    @classmethod
    def parse(cls, text: str) -> "Event":
        """Raises: UserError if the text is no event."""
        found = TEXT.fullmatch(text)
        if not found or (found["whole"] or "max") not in WHOLE:
            raise UserError(f"--event {text!r}: {EXPECTED}")
        name = found["inner"] or found["name"]
        return cls(" ".join(text.split()), name.strip(), found["sign"], float(found["number"]), found["unit"], found["whole"] or "")

    def check(self, quantities: xr.Dataset) -> None:
        """Raises: UserError if there is no such quantity, or the unit is another kind."""
        self._threshold(quantities[self._known(quantities)])

    def happens(self, quantities: xr.Dataset) -> xr.DataArray:
        """(member, ...) 1 where it does, 0 where not, NaN where the quantity is missing; of `whole` quantities (member,)."""
        values = quantities[self._known(quantities)]
        threshold = self._threshold(values)
        if self.whole:
            others = [dim for dim in values.dims if dim != "member"]
            values = getattr(values, self.whole)(others) if others else values
        return xr.where(np.isnan(values), np.nan, SIGNS[self.sign](values, threshold).astype(np.float32))

    def probability(self, quantities: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
        """(p, error): the share k / n of the members, and how well n members say it.

        error = sqrt(a b / ((a + b)^2 (a + b + 1))),  a = k + 1/2, b = n - k + 1/2: the standard deviation of the probability given them
        under Jeffreys' prior, which is no 0 where none or all of the members have the event. A map, or a number without dimensions.
        """
        values, happens = quantities[self._known(quantities)], self.happens(quantities)
        count, total = happens.sum("member"), happens.notnull().sum("member")
        a, b = count + 0.5, total - count + 0.5
        there = total > 0
        p = (count / total.where(there)).astype(np.float32)
        error = np.sqrt(a * b / ((a + b) ** 2 * (a + b + 1))).where(there).astype(np.float32)
        members = happens.sizes["member"]
        p.attrs = {"long_name": f"probability of {self.text}", "units": "1", "event": self.text, "members": members}
        error.attrs = {"long_name": f"standard deviation of the probability of {self.text}, by the number of members", "units": "1"}
        return like(p, values), like(error, values)

    def _known(self, quantities):
        names = list(quantities.data_vars)
        if self.name in names:
            return self.name
        same = [name for name in names if str(name).lower() == self.name.lower()]
        if len(same) == 1:
            return same[0]
        raise UserError(f"--event {self.text!r}: no {self.name!r}; expected one of {', '.join(map(str, names))}{near(self.name, names)}")

    def _threshold(self, values):
        own = str(values.attrs.get("units", "1"))
        if not self.unit:
            return self.number
        return float(convert(self.number, self.unit, own, f"--event {self.text!r}", way_out=f"give it in {own!r}"))


def like(array: xr.DataArray, values: xr.DataArray) -> xr.DataArray:
    """`array` with the coordinates of `values` as they are: arithmetic drops their units and names."""
    return array.assign_coords({name: coord for name, coord in values.coords.items() if name in array.coords})
