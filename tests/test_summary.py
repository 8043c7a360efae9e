"""Mean, spread, quantiles and probabilities of members, as a file that others read."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sciddm import summary
from sciddm.events import Event


@pytest.fixture
def fields():
    values = np.random.default_rng(0).normal(size=(9, 4, 3)).astype(np.float32)
    values[:, 0, 0], values[2, 1, 1] = np.nan, np.nan
    about = {"units": "K", "long_name": "temperature", "grid_mapping": "crs"}
    return xr.Dataset(
        {"t": (("member", "y", "x"), values, about), "crs": ((), 0, {"grid_mapping_name": "latitude_longitude"})},
        {"y": ("y", [3.0, 2.0, 1.0, 0.0], {"units": "km"}), "x": ("x", [0.0, 1.0, 2.0], {"units": "km"})}, {"title": "own"},
    )  # fmt: skip


def test_statistics_are_numpy_s_and_keep_units_coordinates_and_grid_mapping(fields, tmp_path):
    made = summary.summarise(fields, [Event.parse("t > 0.5"), Event.parse("max(t) > 1")])
    path = summary.save_summary(made, tmp_path / "answer.nc")
    assert path.name == "answer-summary.nc"
    with xr.open_dataset(path) as found:
        values = fields.t.values
        with np.errstate(invalid="ignore"):
            mean = np.nansum(values, 0) / np.isfinite(values).sum(0)
        np.testing.assert_allclose(found.t_mean, mean, atol=1e-6)
        np.testing.assert_allclose(found.t_std[2:], values[:, 2:].std(0, ddof=1), rtol=1e-5)
        np.testing.assert_allclose(found.t_quantile.sel(quantile=0.25)[2:], np.quantile(values[:, 2:], 0.25, 0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found["quantile"], [0.05, 0.25, 0.5, 0.75, 0.95])
        np.testing.assert_allclose(found.probability_1[2:], (values[:, 2:] > 0.5).mean(0), rtol=1e-5)
        assert found.probability_2.ndim == 0 and found.t_std.attrs["units"] == "K" and found.y.attrs == {"units": "km"}
        assert found.t_mean.attrs["grid_mapping"] == "crs" and "crs" in found and found.attrs["title"] == "own"


def test_numbers_alone_become_a_table(tmp_path):
    numbers = xr.Dataset({"logP": (("member",), np.array([1.0, 2.0, 4.0]), {"units": "1"})})
    event = Event.parse("logP > 1.5")
    rows = pd.read_csv(summary.save_summary(summary.summarise(numbers, [event]), tmp_path / "answer.sdf")).set_index("quantity")
    np.testing.assert_allclose(rows.loc["logP", ["mean", "50 %", "std"]].astype(float), [7 / 3, 2.0, np.std([1, 2, 4], ddof=1)], rtol=1e-6)
    np.testing.assert_allclose(rows.loc["P(logP > 1.5)", ["mean", "error"]].astype(float), [2 / 3, 0.21650635], rtol=1e-6)
    assert summary.in_words(event, numbers) == "P(logP > 1.5) = 0.667 +- 0.22, 2 of 3 members"
    gaps = xr.Dataset({"logP": (("member",), np.array([1.0, np.nan, 2.0, np.nan]))})
    assert summary.in_words(event, gaps) == "P(logP > 1.5) = 0.5 +- 0.25, 1 of the 2 members, of 4, that have a value"
    assert summary.in_words(event, gaps * np.nan) == "P(logP > 1.5): no member has a value"


def test_maps_of_probabilities_are_drawn_with_axes_and_units(fields):
    p, _ = Event.parse("t > 0.5").probability(fields)
    for array, panels in ((p, 1), (p.isel(y=1), 1), (xr.concat([p] * 9, pd.Index(range(9), name="time")).assign_attrs(p.attrs), 6)):
        figure = summary.picture(array)
        axes = [ax for ax in figure.axes if ax.get_xlabel()]
        assert len(axes) == panels and "[km]" in axes[0].get_xlabel()
        plt.close(figure)
    assert "over all places" in summary.in_words(Event.parse("t > 0.5"), fields)
