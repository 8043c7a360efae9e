import grain
import numpy as np
import pytest

from sciddm.train.data import Batches, Bucketed

BUCKETS = np.array([0] * 7 + [1] * 4 + [2] * 2)


@pytest.fixture
def batches():
    # elements of five that are cut to what their bucket says
    data = grain.MapDataset.source(np.arange(13)).map(lambda i: {"x": np.full(5, i)})
    return lambda seed=0: Batches(data, 3, seed, None, BUCKETS, lambda one, bucket: {"x": one["x"][: 3 + bucket]})


def test_an_epoch_holds_every_element_and_each_batch_one_bucket():
    order = Bucketed(BUCKETS, 3, 0)
    assert order.per_epoch == 3 + 2 + 1
    for epoch in range(3):
        rows = [order[epoch * order.per_epoch + i] for i in range(order.per_epoch)]
        assert all(len(set(BUCKETS[row])) == 1 and len(row) == 3 for row in rows)
        assert set(np.concatenate(rows)) == set(range(13))
        fullest = [row for row in rows if BUCKETS[row[0]] == 0]
        assert len(set(np.concatenate(fullest))) == 7  # only what fills the last batch comes twice


def test_epochs_differ_seeds_differ_and_the_order_is_random_access():
    order, again, other = Bucketed(BUCKETS, 3, 0), Bucketed(BUCKETS, 3, 0), Bucketed(BUCKETS, 3, 1)
    forwards = [order[i].tolist() for i in range(18)]
    assert [again[i].tolist() for i in reversed(range(18))][::-1] == forwards
    assert forwards[:6] != forwards[6:12] and [other[i].tolist() for i in range(6)] != forwards[:6]


def test_batches_are_those_that_indices_names(batches, monkeypatch):
    monkeypatch.setattr("sciddm.train.data.place", lambda batch, _: batch)
    ordered = batches()
    iterator = ordered.from_step(4)
    for step in range(4, 9):
        batch = next(iterator)["x"]
        assert batch[:, 0].tolist() == ordered.indices(step)
        assert batch.shape == (3, 3 + BUCKETS[ordered.indices(step)[0]])
