"""What is measured of a file before training, and said of it."""

import re

import numpy as np
import pytest
import xarray as xr
from fields_domains import domain_of, restored
from small_fields import small_dataset

from configs.fields import get_config
from domains.fields.measured import check_data
from sciddm.errors import UserError


def test_normalised_data_have_mean_zero_and_unit_variance_after_the_transform(tmp_path):
    domain = domain_of(small_dataset(samples=30), tmp_path, transforms=("c=log",))
    data = domain.dataset("train")
    x = np.stack([data[i]["x"] for i in range(len(data))])
    z = domain.normalizer.normalize(x)
    np.testing.assert_allclose(z.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(z.std((0, 1, 2)), 1, atol=1e-3)
    np.testing.assert_allclose(z[..., 0] * domain.normalizer.std[0] + domain.normalizer.mean[0], np.log(x[..., 0]), rtol=1e-4)
    np.testing.assert_allclose(restored(domain).normalizer.denormalize(z), x, rtol=1e-4)
    np.testing.assert_allclose(domain.scales, x.std((0, 1, 2)), rtol=1e-4)
    assert domain.normalizer.units == "c [mg/L], T [degC]"


def test_what_is_found_is_said_once_and_a_restored_model_says_nothing(tmp_path, capsys):
    skewed = small_dataset(samples=30)
    skewed["c"] = np.exp(3 * skewed["c"] - 9).assign_attrs(units="mg/L").transpose(*skewed["c"].dims)
    domain = domain_of(skewed, tmp_path)
    said = capsys.readouterr().err
    assert "c [mg/L], T [degC] on y (6) x x (10); samples along 'sample'" in said
    assert "c is positive and skewed" in said and "--config.data.transforms='c=log'" in said
    restored(domain)
    assert capsys.readouterr().err == ""


def test_the_transform_that_is_suggested_where_there_are_zeros_works_as_typed(tmp_path, capsys):
    rain = small_dataset(samples=30)
    rain["c"] = np.maximum(np.exp(3 * rain["c"] - 9) - 0.5, 0).transpose(*rain["c"].dims)
    domain_of(rain, tmp_path)
    [typed] = re.findall(r"--config.data.transforms='(c=asinh\(.*\))'", capsys.readouterr().err)
    assert domain_of(rain, tmp_path, "again.nc", transforms=(typed,)).normalizer.transforms[0] == typed.removeprefix("c=")


def test_cosines_of_the_latitude_weigh_the_loss(tmp_path):
    rng = np.random.default_rng(0)
    lat = ("lat", [0.0, 30.0, 60.0], {"units": "degrees_north"})
    domain = domain_of(xr.Dataset({"u": (("time", "lat", "lon"), rng.standard_normal((20, 3, 4)))}, {"lat": lat}), tmp_path)
    weights = domain.dataset("train")[0]["loss_weight"][:, 0, 0]
    np.testing.assert_allclose(weights / weights[0], np.cos(np.deg2rad([0, 30, 60])), rtol=1e-5)
    np.testing.assert_allclose(domain.dataset("train")[0]["loss_weight"].mean(), 1, rtol=1e-5)


def test_windows_that_lack_too_much_are_left_out(tmp_path):
    dataset = small_dataset(samples=30)
    dataset["c"][:, 4], dataset["T"][:, 4] = np.nan, np.nan
    assert len(domain_of(dataset, tmp_path).dataset("train")) == 26 * 6
    config = get_config()
    config.data.most_missing = 2.0
    with pytest.raises(UserError, match="most_missing = 2.0: expected a share"):
        check_data(config.data)


def test_a_transform_of_no_variable_is_named(tmp_path):
    with pytest.raises(UserError, match="'q' is no variable of .*c, T"):
        domain_of(small_dataset(samples=30), tmp_path, transforms=("q=log",))
