"""Batches in one global order that every process knows, so that a position in it is a single number."""

from collections.abc import Iterator

import grain
import jax
import numpy as np

from sciddm.train.sharding import place


class Batches:
    """Shuffled epochs of a dataset, batch k being elements [k B, (k + 1) B) of the order. Random access, deterministic by seed."""

    def __init__(self, dataset: grain.MapDataset, batch_size: int, seed: int, sharding):
        self.batch_size, self.sharding, self.length = batch_size, sharding, len(dataset)
        self._batches = self._ordered(dataset, seed).batch(batch_size)
        self._indices = self._ordered(grain.MapDataset.source(np.arange(self.length)), seed).batch(batch_size)

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
