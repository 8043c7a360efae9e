import jax
import jax.numpy as jnp
import numpy as np

from domains.weather.mean_rates import MeanRate, fields_of, with_fields
from domains.weather.transform import NO_ECHO, decode, encode, rain_rate


def test_fields_by_name_are_exact_and_have_a_gradient_where_it_is_dry():
    x = jnp.asarray(encode(np.random.default_rng(0).uniform(-20, 60, (2, 3, 4, 5)).astype(np.float32)))
    fields = fields_of(x)
    dbz = np.moveaxis(decode(np.asarray(x)), -1, 1)
    np.testing.assert_allclose(fields["reflectivity"], dbz, atol=1e-5)
    np.testing.assert_allclose(fields["rain"], rain_rate(dbz), rtol=1e-4, atol=1e-5)
    assert (np.asarray(fields["rain"])[dbz == 0] == 0).all() and fields["rain"].shape == (2, 5, 3, 4)
    for name in fields:
        slope = jax.grad(lambda x, name=name: fields_of(x)[name].sum())(x)
        assert np.isfinite(slope).all() and (slope > 0).all(), name
    step = (rain_rate(dbz + 0.01) - rain_rate(dbz)) / 0.01
    rain = jax.grad(lambda x: fields_of(x)["rain"].sum())(x)
    np.testing.assert_allclose(np.moveaxis(np.asarray(rain), -1, 1)[dbz > 5], step[dbz > 5], rtol=2e-2)


def test_fields_put_back_are_the_same_rain():
    x = jnp.asarray(encode(np.random.default_rng(0).uniform(-20, 60, (2, 3, 4, 5)).astype(np.float32)))
    fields = fields_of(x)
    np.testing.assert_allclose(with_fields(x, {"reflectivity": fields["reflectivity"]}), x, atol=1e-4)
    np.testing.assert_allclose(with_fields(x, {"rain": fields["rain"]}), x, atol=1e-3)
    doubled = with_fields(x, {"rain": 2 * fields["rain"]})
    np.testing.assert_allclose(fields_of(doubled)["rain"], 2 * fields["rain"], rtol=1e-3, atol=1e-5)


def test_a_mean_rate_is_that_of_its_group_and_not_the_mean_of_dbz():
    x = np.full((1, 2, 2, 1), NO_ECHO, np.float32)
    x[0, 0, 0] = 40.0
    found = MeanRate(jnp.array([[0, 1, 2, 3], [0, -1, -1, -1]]), 5.0, 10.0)((x - 5.0) / 10.0) * 10.0 + 5.0
    quarter = 10 * np.log10(200 * (rain_rate(np.float64(40.0)) / 4) ** 1.6)
    np.testing.assert_allclose(found[0], [quarter, 40.0], atol=0.02)  # dry pixels of a mean leave 0.004 mm/h each
    slope = jax.grad(lambda z: MeanRate(jnp.array([[0, 1, 2, 3]]), 5.0, 10.0)(z).sum())(jnp.asarray((x - 5.0) / 10.0))
    assert np.isfinite(slope).all() and float(slope[0, 0, 0, 0]) > 0.9
