"""Batches in one global order that every process knows, so that a position in it is a single number."""

import functools
from collections.abc import Iterator

import grain
import jax
import numpy as np

from sciddm.train.sharding import place


class Batches:
    """Shuffled epochs of a dataset, batch k being elements [k B, (k + 1) B) of the order. Random access, deterministic by seed.

    buckets: (N,), None for one: elements of a batch are of one bucket, and `cut(element, bucket)`, so that batches of different buckets
    may differ in shape; see `Bucketed`.
    """

    def __init__(self, dataset: grain.MapDataset, batch_size: int, seed: int, sharding, buckets=None, cut=None):
        self.batch_size, self.sharding, self.length = batch_size, sharding, len(dataset)
        if buckets is None:
            self._batches = self._ordered(dataset, seed).batch(batch_size)
            self._indices = self._ordered(grain.MapDataset.source(np.arange(self.length)), seed).batch(batch_size)
        else:
            self._indices = Bucketed(buckets, batch_size, seed)
            self._batches = grain.MapDataset.source(self._indices).map(
                lambda rows: jax.tree.map(
                    lambda *leaves: np.stack(leaves), *(cut(dataset[int(i)], buckets[i]) for i in rows)
                )
            )

    @staticmethod
    def _ordered(dataset, seed):
        return dataset.shuffle(seed=seed % 2**32).repeat()

    def indices(self, step: int) -> list[int]:
        """Which elements of the dataset the batch of this step is made of."""
        return [int(i) for i in self._indices[step]]

    def from_step(self, step: int) -> Iterator:
        """Batches from this step on, read ahead by threads and placed on the devices."""
        options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
        iterator = iter(self._batches.to_iter_dataset(options))
        iterator.set_state({"next_index": step})
        for batch in iterator:
            yield place(batch, jax.tree.map(lambda _: self.sharding, batch))


class Bucketed:
    """Batches of one bucket each: in every epoch elements of a bucket are shuffled and cut, and then all batches are shuffled.

    A bucket's last batch is filled up with its first elements of that epoch, so that all have the same size. A sequence of index arrays.
    """

    def __init__(self, buckets, batch_size: int, seed: int):
        self.batch_size, self.seed = batch_size, seed
        self.members = [np.flatnonzero(buckets == bucket) for bucket in np.unique(buckets)]
        self.per_epoch = sum(-(-len(members) // batch_size) for members in self.members)
        self._epoch = functools.lru_cache(maxsize=2)(self._shuffled)

    def __len__(self):
        return self.per_epoch * 10**6  # epochs without an end

    def __getitem__(self, step: int) -> np.ndarray:
        epoch, place = divmod(int(step), self.per_epoch)
        return self._epoch(epoch)[place]

    def _shuffled(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed % 2**32, epoch])
        batches = []
        for members in self.members:
            order, count = rng.permutation(members), -(-len(members) // self.batch_size)
            batches.append(np.resize(order, (count, self.batch_size)))
        return rng.permutation(np.concatenate(batches))
