"""Training windows: the same ones come again, but for their sign and level, with the first guess of their damage; or each is another."""

import numpy as np
import pytest
from small_configs import small_config

import sciddm as sd
from sciddm.config import validate
from sciddm.errors import UserError


def shapes(domain, count):
    """(count, ...) of the windows at a common level and sign, and of the first guesses of them."""
    rows = [domain.dataset("train")[i] for i in range(count)]
    x, guess = np.stack([row["x"] for row in rows]), np.stack([row["cond"]["concat"][..., 0, 7:8] for row in rows])
    size = np.sqrt((x**2).sum((1, 2, 3), keepdims=True)) * np.sign(x.sum((1, 2, 3), keepdims=True))
    return np.round(x / size, 4), np.round(guess / size, 4)


def test_as_many_windows_as_are_asked_for_each_with_its_own_guess(tmp_path):
    config = small_config("audio", tmp_path)
    config.data.windows = 5
    x, guess = shapes(sd.get_domain(config), 60)
    kinds, which = np.unique(x.reshape(60, -1), axis=0, return_inverse=True)
    assert len(kinds) == 5
    for i in range(5):
        same = guess[which.ravel() == i]
        np.testing.assert_allclose(same, np.broadcast_to(same[:1], same.shape), atol=2e-3)
    config.data.windows = 0
    x, _ = shapes(sd.get_domain(config), 60)
    assert len(np.unique(x.reshape(60, -1), axis=0)) == 60


def test_a_window_is_the_same_whenever_it_is_read(tmp_path):
    first, second = (sd.get_domain(small_config("audio", tmp_path)).dataset("train") for _ in range(2))
    for i in (3, 1, 3):
        one, other = first[i], second[i]
        np.testing.assert_array_equal(one["x"], other["x"])
        np.testing.assert_array_equal(one["cond"]["concat"], other["cond"]["concat"])
    loud, quiet = one["loss_weight"][0, :, 0], sd.get_domain(small_config("audio", tmp_path)).std
    assert (np.argsort(loud) == np.argsort(quiet)).all() and loud.mean() == pytest.approx(1.0)


def test_less_than_none_and_more_than_the_memory_holds_are_refused(tmp_path):
    config = small_config("audio", tmp_path)
    config.data.windows = -1
    with pytest.raises(UserError, match="config.data.windows = -1: expected 0"):
        validate(config)
    config.data.windows = 10**12
    with pytest.raises(UserError, match="config.data.windows = 1000000000000"):
        validate(config)


@pytest.mark.parametrize("split", ["train", "test"])
def test_sounds_alone_are_those_that_are_damaged_but_for_the_level_of_clipped_ones(split, tmp_path):
    domain = sd.get_domain(small_config("audio", tmp_path))
    whole, hurt = domain.unconditional(split), domain.dataset(split)
    assert len(whole) == len(hurt)
    same = 0
    for i in range(20):
        x, y = whole[i]["x"], hurt[i]["x"]
        gain = (x * y).sum() / (x**2).sum()
        np.testing.assert_allclose(y, gain * x, atol=1e-5 * np.abs(y).max())
        same += abs(gain - 1) < 1e-5
    assert set(whole[0]) == {"x"} and 10 <= same < 20
