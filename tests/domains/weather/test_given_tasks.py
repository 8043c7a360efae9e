"""Problems of what a user brings, without a truth: what they observe, what they draw, and instruments beside them."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from own_rain import latlon, projected, storm

from domains.weather.transform import decode, encode, rain_rate
from sciddm import instruments
from sciddm.errors import UserError
from sciddm.given import things
from sciddm.tasks.base import draw_picture


def problem(domain, task, *given):
    kind = domain.tasks[task]
    return kind, kind.problem_given(jax.random.key(0), things(list(given), kind.given_names))


def normalised(domain, dbz):
    """(1, y, x, frames) of (frames, y, x) dBZ, the last frame going on."""
    dbz = np.concatenate([dbz, np.repeat(dbz[-1:], 16 - len(dbz), 0)])
    return jnp.asarray(domain.normalizer.normalize(encode(np.moveaxis(dbz, 0, -1))))[None]


def test_coarse_rates_are_means_of_rates_and_coarse_dbz_means_of_dbz(domain):
    fine = np.where(storm(16) > 0, storm(16) + 10, 0).astype(np.float32)
    blocks = lambda x: x.reshape(16, 8, 4, 8, 4).mean((2, 4))  # noqa: E731
    rates = latlon(blocks(rain_rate(fine)), pixel=4, name="rr", units="mm/h")
    _, of_rates = problem(domain, "downscale", rates)
    residual = np.asarray(of_rates.observation.residual(normalised(domain, fine)))[0] * domain.normalizer.std
    # but for dry pixels, which leave 0.004 mm/h each, and for blocks below what a radar resolves
    frames, rows, columns = (index.ravel() for index in np.indices((16, 8, 8)))
    wet = blocks(rain_rate(fine))[frames, rows, columns] > 0.5
    assert wet.sum() > 100 and np.abs(residual[wet]).max() < 0.1
    _, of_dbz = problem(domain, "downscale", latlon(blocks(np.maximum(fine, 30)), pixel=4))
    residual = np.asarray(of_dbz.observation.residual(normalised(domain, np.maximum(fine, 30))))
    assert np.abs(residual).max() < 1e-4


def test_what_a_catchment_collected_is_observed_in_its_own_units(domain):
    storms = normalised(domain, storm())
    catchment = np.zeros((32, 32), np.float32)
    catchment[4:12, 8:20] = 1

    def collected(fields):  # mm in an hour, the mean over the catchment
        return (fields["rain"][:, 4:] * catchment).sum((1, 2, 3)) / catchment.sum() * domain.interval / 60

    expected = (rain_rate(np.repeat(storm()[-1:], 12, 0)) * catchment).sum() / catchment.sum() / 12
    observation = instruments.observe(domain, collected, expected, 0.1)
    np.testing.assert_allclose(observation.residual(storms), 0, atol=1e-3)
    slope = jax.grad(lambda z: observation(z).sum())(0.9 * storms)
    inside = np.asarray(slope)[0, 4:12, 8:20, 4:]
    assert np.isfinite(slope).all() and (inside != 0).all() and np.abs(np.asarray(slope)[..., :4]).max() == 0
    with pytest.raises(UserError, match="KeyError: 'snow'.*rain .16, 32, 32., reflectivity"):
        instruments.observe(domain, lambda f: f["snow"], 1.0, 1.0)


@pytest.mark.parametrize("task, count", [("nowcast", 4), ("fill", 10), ("interpolate", 4), ("downscale", 16)])
def test_a_picture_has_what_was_given_mean_spread_members_times_of_validity_and_the_date(domain, task, count, closed):
    dbz = storm(count)
    if task == "fill":
        dbz[4] = np.nan
    given = projected(dbz) if task != "downscale" else latlon(dbz.reshape(count, 8, 4, 8, 4).mean((2, 4)), pixel=4)
    if task == "interpolate":
        given = given.assign_coords(time=given.time[-1] + 3 * (given.time - given.time[-1]))
    kind, made = problem(domain, task, given)
    x = np.stack([np.asarray(domain.normalizer.denormalize(normalised(domain, storm())))[0]] * 3)
    figure = draw_picture(kind, x, made, {})
    assert isinstance(figure, plt.Figure)
    words = " ".join(text.get_text() for ax in figure.axes for text in ax.texts) + figure.get_suptitle()
    for said in ("given", "mean of 3", "spread", "member 1", "member 2", "km", "newest frame 2026-06-14 15:40 UTC"):
        assert said in words, said
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert any(title.startswith("15:40 UTC\nnow") for title in titles)
    framed = [ax.get_title() for ax in figure.axes if ax.get_title() and ax.spines["left"].get_linewidth() > 1]
    assert framed and (task != "nowcast" or framed == ["15:35 UTC\n−5 min", "15:40 UTC\nnow"])
    assert {"spread (standard deviation of the members) [dBZ]", "reflectivity [dBZ]"} <= {ax.get_ylabel() for ax in figure.axes}


def test_members_of_a_gap_keep_what_was_seen(domain):
    dbz = storm(10)
    dbz[4, 3:9] = np.nan
    kind, made = problem(domain, "fill", latlon(dbz))
    native = kind.to_native(np.full((2, 32, 32, 16), 33.0, np.float32), made)
    filled = native.reflectivity.values[:, :, ::-1]
    assert native.sizes["time"] == 10 and (filled[:, np.isnan(dbz)] == 33).all()
    np.testing.assert_array_equal(filled[0][~np.isnan(dbz)], dbz[~np.isnan(dbz)])
    assert decode(domain.from_native(native)).shape == (2, 32, 32, 10)
