"""Instruments: interpolation off the grid and means over blocks, exact on what they must be exact on, their adjoints by dot products."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from fields_domains import source_of
from small_fields import small_dataset

from domains.fields.instruments import block_means, interpolate
from sciddm.errors import UserError


@pytest.fixture
def layout(tmp_path):
    return source_of(small_dataset(samples=8), tmp_path).plan.layout


def fields_on(layout, function, batch=2):
    y, x = np.meshgrid(layout.coordinate("y"), layout.coordinate("x"), indexing="ij")
    return {name: jnp.stack([jnp.asarray((i + 1) * function(y, x)) for i in range(batch)]) for name in layout.variables}


def adjoint_agrees(instrument, fields):
    rng = np.random.default_rng(0)
    u = {name: jnp.asarray(rng.standard_normal(value.shape)) for name, value in fields.items()}
    y, vjp = jax.vjp(instrument, u)
    w = jnp.asarray(rng.standard_normal(y.shape))
    [back] = vjp(w)
    left = float(jnp.sum(w * instrument(u)))
    right = float(sum(jnp.sum(u[name] * back[name]) for name in u))
    assert abs(left - right) <= 1e-12 * (abs(left) + 1)


def test_interpolation_is_exact_on_bilinear_fields_whatever_the_direction_of_an_axis(layout, x64):
    rng = np.random.default_rng(1)
    places = rng.uniform([0, 0], [2.5, 2.25], (30, 2))  # y is descending in the file
    instrument = interpolate(layout, "c", places)
    fields = fields_on(layout, lambda y, x: 2 + 3 * y - x + 0.5 * x * y)
    expected = 2 + 3 * places[:, 0] - places[:, 1] + 0.5 * places[:, 0] * places[:, 1]
    np.testing.assert_allclose(instrument(fields), [expected, 2 * expected], rtol=1e-12)
    np.testing.assert_allclose(instrument.weights.sum(1), 1)


def test_a_place_on_a_grid_point_sees_that_point(layout):
    places = np.array([[layout.coordinate("y")[2], layout.coordinate("x")[7]]])
    field = np.random.default_rng(0).standard_normal((1, 6, 10)).astype(np.float32)
    np.testing.assert_allclose(
        interpolate(layout, "T", places)({"T": field, "c": 0 * field})[0, 0], field[0, 2, 7], rtol=1e-6
    )


def test_the_adjoints_of_interpolation_and_of_block_means_agree_with_the_dot_product(layout, x64):
    fields = fields_on(layout, lambda y, x: y + x)
    adjoint_agrees(interpolate(layout, "c", np.random.default_rng(2).uniform([0, 0], [2.5, 2.25], (9, 2))), fields)
    adjoint_agrees(block_means(layout, 4), fields)


def test_times_are_interpolated_too(tmp_path, x64):
    layout = source_of(small_dataset(samples=8), tmp_path, window=4).plan.layout
    ramp = jnp.arange(4.0)[None, :, None, None] * 10 + jnp.zeros((1, 4, 6, 10))
    seen = interpolate(layout, "c", [[1.0, 1.0], [1.0, 1.0]], times=[5.0, 27.5])({"c": ramp, "T": ramp})
    np.testing.assert_allclose(seen[0], [5.0, 27.5])


def test_a_periodic_axis_is_interpolated_across_its_end(tmp_path, x64):
    waves = xr.Dataset(
        {"u": (("sample", "x"), np.random.default_rng(0).standard_normal((9, 8)))}, {"x": np.arange(8) * 0.25}
    )
    layout = source_of(waves, tmp_path, periodic=("x",)).plan.layout
    field = jnp.arange(8.0)[None]
    np.testing.assert_allclose(interpolate(layout, "u", [[1.875], [-0.125], [2.25]])({"u": field})[0], [3.5, 3.5, 1.0])


def test_places_off_the_grid_are_named_and_those_within_half_a_cell_are_on_the_edge(layout):
    with pytest.raises(UserError, match="place 1 has y = 3; expected 0 to 2.5"):
        interpolate(layout, "c", [[1.0, 1.0], [3.0, 1.0]])
    with pytest.raises(UserError, match="no variable 'q'; expected one of c, T"):
        interpolate(layout, "q", [[1.0, 1.0]])
    instrument = interpolate(layout, "c", [[2.7, 1.0]])
    fields = fields_on(layout, lambda y, x: y)
    np.testing.assert_allclose(instrument(fields)[0], [2.5], rtol=1e-6)


def test_land_is_left_out_of_interpolation_and_of_block_means(layout, x64):
    masked = np.zeros((6, 10, 2), bool)
    masked[:2, :3, 0] = True
    sea = replace(layout, masked=masked)
    y, x = layout.coordinate("y"), layout.coordinate("x")
    field = jnp.where(jnp.asarray(masked[..., 0]), 1e6, jnp.ones((1, 6, 10)))
    near = interpolate(sea, "c", [[0.5 * (y[1] + y[2]), 0.5 * (x[2] + x[3])]])
    np.testing.assert_allclose(near({"c": field, "T": field}), 1.0)
    with pytest.raises(UserError, match="place 0 .* no value of 'c' around it"):
        interpolate(sea, "c", [[y[0], x[0]]])
    means = block_means(sea, 2)
    assert not means.there[0, 0, 0] and means.there[0, 0, 1] and means.there[0, 1, 0]
    np.testing.assert_allclose(
        means({"c": field, "T": jnp.ones((1, 6, 10))})[0, :, :, 0], np.where(means.there[..., 0], 1.0, 0.0)
    )


def test_block_means_are_means_over_areas_and_a_last_block_may_be_smaller(layout, x64):
    x = np.random.default_rng(0).standard_normal((2, 6, 10))
    means = block_means(layout, 4)({"c": jnp.asarray(x), "T": jnp.asarray(-x)})
    assert means.shape == (2, 2, 3, 2)
    np.testing.assert_allclose(means[..., 0], -means[..., 1])
    np.testing.assert_allclose(means[:, 0, 1, 0], x[:, :4, 4:8].mean((1, 2)))
    np.testing.assert_allclose(means[:, 1, 2, 0], x[:, 4:, 8:].mean((1, 2)))
    weights = np.random.default_rng(1).uniform(0.5, 2, (6, 10))
    tilted = replace(layout)
    tilted.__dict__["weights"] = weights
    found = block_means(tilted, (3, 5), ("T",))({"c": jnp.asarray(x), "T": jnp.asarray(x)})
    np.testing.assert_allclose(
        found[:, 1, 0, 0], (x * weights)[:, 3:, :5].sum((1, 2)) / weights[3:, :5].sum(), rtol=1e-10
    )
