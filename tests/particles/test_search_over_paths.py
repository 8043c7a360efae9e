import equinox as eqx
import jax
import numpy as np
import pytest
from best_of import answers, assert_best_of, at, first
from chain import EXACT, gaussian

import sciddm as sd
from sciddm import particles
from sciddm.particles.search_over_paths import _begins


def test_paths_searched_from_pure_noise_are_best_of_n():
    # the only round begins where x_t still is noise, so that its copies are independent samples
    options = {"num_particles": 1, "copies": 10, "forth": 2, "back": 1, "solver": EXACT, "steps": 3}
    x = answers(particles.search_over_paths, 2000, grid=at(1.0, 0.998, 0.5, 0.0), **options)
    assert_best_of(10, x)


def test_rounds_cover_the_grid_and_overlap():
    assert _begins(12, 5, 2) == (3, 6, 7)
    for steps, forth, back in ((50, 10, 5), (20, 7, 6), (9, 8, 1), (10, 9, 1)):
        begins = _begins(steps, forth, back)
        ends = [forth, *(begin + forth for begin in begins)]
        assert ends[-1] == steps and all(end <= steps for end in ends)
        assert all(begin == end - back for begin, end in zip(begins[:-1], ends, strict=False))
        assert 0 < begins[-1] <= ends[-2] - back


def test_each_round_goes_on_from_the_best_of_the_one_before():
    options = {"num_particles": 2, "copies": 5, "forth": 4, "back": 1, "solver": "ddpm", "steps": 12}

    def one(key):
        return particles.search_over_paths(key, gaussian(), first, (1,), **options).info["best"]

    best = np.asarray(eqx.filter_jit(particles.for_each)(jax.random.key(0), one, count=300))
    gain = np.diff(best, axis=1)
    assert best.shape == (300, 3) and np.all(gain.mean(0) > 5.0 * gain.std(0) / np.sqrt(300)), best.mean(0)


@pytest.mark.parametrize(
    "options, word",
    [
        ({"copies": 2, "forth": 2, "back": 2}, "0 < back < forth < steps"),
        ({"copies": 2, "forth": 3, "back": 0}, "0 < back < forth < steps"),
        ({"copies": 2, "forth": 6, "back": 2}, "0 < back < forth < steps"),
        ({"copies": 2, "forth": 3, "back": 1, "grid": sd.TimeTravel("logsnr")}, "does not go back"),
        ({"forth": 3, "back": 1}, "either copies or budget"),
        ({"copies": 2, "budget": 100, "forth": 3, "back": 1}, "either copies or budget"),
        ({"copies": 2, "forth": 3, "back": 1, "solver": "tsit5"}, "fixed steps"),
    ],
)
def test_paths_that_can_t_be_searched_are_refused(options, word):
    with pytest.raises(ValueError, match=word):
        particles.search_over_paths(jax.random.key(0), gaussian(), first, (1,), **{"steps": 6} | options)
