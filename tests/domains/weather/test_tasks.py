from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

from domains.weather.outage import outage
from domains.weather.tasks import with_past
from domains.weather.transform import decode


def test_gauges_report_the_truth_with_their_error_and_not_where_it_is_missing(domain):
    task, example = domain.tasks["assimilate"], domain.dataset("test")[0]["x"].copy()
    example[:, 16:] = np.nan
    problem = task.problem(jax.random.key(2), example)
    places, reported = problem.extras["places"], problem.extras["reported"]
    truth = example.reshape(-1, 16)[places][:, 4:10]
    assert reported.shape == (31, 6) and (np.isnan(reported) == np.isnan(truth)).all()
    error = (reported - truth)[~np.isnan(truth)]
    assert abs(error.std() - 2.0) < 3 * 2.0 / np.sqrt(2 * len(error)) and abs(error.mean()) < 3 * 2.0 / np.sqrt(
        len(error)
    )
    # the observation asks for the very same pixels: its prediction of the truth is the report without the error
    normal = domain.normalizer.normalize(np.nan_to_num(example, nan=domain.normalizer.mean))
    residual = np.asarray(problem.observation.residual(jnp.asarray(normal)[None]))[0] * domain.normalizer.std
    seen = ~np.isnan(truth).ravel()
    np.testing.assert_allclose(residual[seen], error, atol=1e-3)
    variance = np.broadcast_to(problem.observation.variance(residual), residual.shape)
    assert (np.sqrt(variance[~seen]) > 100).all() and np.allclose(np.sqrt(variance[seen]) * domain.normalizer.std, 2.0)


def test_fill_scores_hidden_pixels_alone_and_never_looks_at_them(domain):
    task, example = domain.tasks["fill"], domain.dataset("test")[0]["x"]
    problem = task.problem(jax.random.key(1), example)
    hidden = problem.extras["hidden"]
    assert 0 < hidden.mean() < 0.9
    wrong_elsewhere = np.where(hidden, example, 50.0).astype(np.float32)
    assert task.metrics(wrong_elsewhere[None], problem)["CRPS"] == 0
    other = np.where(hidden, 33.0, example)
    np.testing.assert_array_equal(task.problem(jax.random.key(1), other).observation.value, problem.observation.value)


def test_interpolate_sees_every_third_frame_and_scores_those_between(domain):
    task, example = domain.tasks["interpolate"], domain.dataset("test")[0]["x"]
    problem = task.problem(jax.random.key(0), example)
    seen = np.asarray(problem.observation.value).any((0, 1))
    np.testing.assert_array_equal(np.flatnonzero(seen), [0, 3, 6, 9, 12, 15])
    np.testing.assert_array_equal(task.scored, [1, 2, 4, 5, 7, 8, 10, 11, 13, 14])
    linear = task.baseline(problem)["linear"]
    np.testing.assert_array_equal(linear[..., [0, 3, 15]], example[..., [0, 3, 15]])


def test_with_past_keeps_members_and_outages_are_of_both_kinds():
    truth = np.arange(2 * 2 * 6, dtype=np.float32).reshape(2, 2, 6)
    domain = SimpleNamespace(past=4)
    future = np.full((3, 2, 2, 2), 7.0)
    assert with_past(truth, future, domain).shape == (3, 2, 2, 6) and with_past(truth, future[0], domain).shape == (
        2,
        2,
        6,
    )
    np.testing.assert_array_equal(decode(with_past(truth, future, domain)[1, ..., 4:]), 7.0)
    holes = [outage(np.random.default_rng(i), (16, 16, 4)) for i in range(20)]
    whole = [hole.any((0, 1)) == hole.all((0, 1)) for hole in holes]
    assert any(w.all() for w in whole) and not all(w.all() for w in whole)
