"""What a network of fields is given: channels in their order, and the same whichever way they are made."""

import numpy as np
import pytest
import xarray as xr
from fields_domains import domain_of

from domains.fields.given import Given
from sciddm.errors import UserError

SIZES = (12, 5, 4, 6)  # samples, times, y, x


def dataset(missing=False):
    rng = np.random.default_rng(0)
    u, v, force = rng.standard_normal((3, *SIZES))
    u[:, :, 0, :2] = np.nan  # land
    if missing:
        v[3, 2, 1, 1] = np.nan
    order = ("sample", "time", "y", "x")
    return xr.Dataset(
        {"u": (order, u), "v": (order, v), "force": (order, np.exp(force)), "depth": (("y", "x"), np.arange(24.0).reshape(4, 6))}
    )


@pytest.fixture
def domain(tmp_path):
    return domain_of(dataset(), tmp_path, window=3, past=2, condition=("force",), transforms=("force=log",))


def test_channels_are_past_frames_where_they_are_known_conditions_statics_and_masks_in_this_order(domain):
    given, element = Given(domain.normalizer), domain.dataset("test")[0]
    concat, x = element["cond"]["concat"], element["x"]
    assert given.channels == concat.shape[-1] == 2 * 2 * 2 + 3 * 1 + 1 + 2
    z = domain.normalizer.normalize(x)
    np.testing.assert_allclose(concat[..., 0], np.where(domain.masked[..., 0], 0, z[0, ..., 0]), atol=1e-6)
    np.testing.assert_allclose(concat[..., 3], z[1, ..., 1], atol=1e-6)
    np.testing.assert_array_equal(concat[..., 4], ~domain.masked[..., 0])  # the first frame of u is known but on land
    depth = np.arange(24.0).reshape(4, 6)
    np.testing.assert_allclose(concat[..., 11], (depth - depth.mean()) / depth.std(), atol=1e-6)
    np.testing.assert_array_equal(concat[..., 12:], ~domain.masked)


def test_conditions_come_out_of_cond_in_their_own_units(domain):
    force = domain.conditions_in(domain.dataset("test")[0]["cond"])
    expected = dataset()["force"].values[-1, 0:3]
    np.testing.assert_allclose(force[..., 0], expected, rtol=1e-5)


def test_frames_of_a_rollout_are_given_as_those_of_the_data_are(tmp_path):
    domain = domain_of(dataset().drop_vars("force"), tmp_path, window=3, past=2)
    element = domain.dataset("test")[0]
    frames = np.where(domain.masked, np.nan, element["x"])[None, :2]
    made = domain.condition_on(np.nan_to_num(frames), ~np.isnan(frames))
    np.testing.assert_allclose(made["concat"][0], element["cond"]["concat"], atol=1e-6)
    nothing = domain.condition_on(np.zeros_like(frames), np.zeros(frames.shape, bool))
    np.testing.assert_array_equal(nothing["concat"], domain.given()["concat"])


def test_half_of_the_training_samples_are_given_no_frames(domain):
    data = domain.dataset("train")
    known = np.array([data[i]["cond"]["concat"][..., 5].any() for i in range(len(data))])
    assert 0.2 < known.mean() < 0.8
    assert all(domain.dataset("test")[i]["cond"]["concat"][..., 5].all() for i in range(len(domain.dataset("test"))))


def test_missing_values_are_told_by_a_channel_weigh_nothing_and_are_finite(tmp_path):
    domain = domain_of(dataset(missing=True).drop_vars("force"), tmp_path)
    rows = [i for i in range(len(domain.dataset("train"))) if domain.dataset("train")[i]["loss_weight"][1, 1, 1] == 0]
    assert len(rows) == 1
    element = domain.dataset("train")[rows[0]]
    assert np.isfinite(element["x"]).all() and element["cond"]["concat"][1, 1, -1] == 0
    assert element["loss_weight"][0, 0, 0] == 0 and element["loss_weight"][2, 2, 1] == 1
    assert domain.given()["concat"][..., -1].all()  # a sample that is generated has values everywhere


def test_static_fields_are_mirrored_with_the_sample(tmp_path):
    with pytest.raises(UserError, match="config.data.augment: 'x': .* has a mask"):
        domain_of(dataset().drop_vars("force"), tmp_path, augment=("x",))
    domain = domain_of(dataset().drop_vars(("force", "u")), tmp_path, "all.nc", augment=("x",))
    data = domain.dataset("train")
    np.testing.assert_array_equal(data[0]["cond"]["concat"][:, ::-1], data[1]["cond"]["concat"])
    np.testing.assert_array_equal(data[0]["x"][:, ::-1], data[1]["x"])


def test_a_model_with_conditions_asks_for_them(domain):
    with pytest.raises(UserError, match="conditioned on force"):
        domain.given()
