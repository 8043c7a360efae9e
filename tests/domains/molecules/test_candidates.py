import jax
import numpy as np

from domains.molecules.candidates import best_of

KEYS = jax.random.split(jax.random.key(0), 12)


def draw(keys):
    return {"v": np.asarray(jax.vmap(jax.random.uniform)(keys))}


def judge(x):
    return x, np.minimum(x["v"] / 0.6, 1.0)


def test_wrong_answers_are_drawn_again_right_ones_stay_and_each_is_of_its_own_key():
    first, best = draw(KEYS)["v"], best_of(draw, KEYS, judge)["v"]
    assert (first < 0.6).sum() >= 4
    np.testing.assert_array_equal(best[first >= 0.6], first[first >= 0.6])
    assert (best >= first).all() and (best >= 0.6).sum() > (first >= 0.6).sum()
    np.testing.assert_array_equal(best_of(draw, KEYS[3:8], judge)["v"], best[3:8])


def test_no_more_than_so_many_candidates_are_drawn():
    calls = []

    def counted(keys):
        calls.append(len(keys))
        return {"v": np.zeros(len(keys))}

    best_of(counted, KEYS, judge, rounds=3)
    assert calls == [12, 12, 12]
    calls.clear()
    best_of(counted, KEYS, lambda x: (x, np.ones(len(x["v"]))))
    assert calls == [12]
