"""Batches in one global order that every process knows, so that a position in it is a single number."""

import functools
from collections.abc import Iterator

import grain
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.errors import UserError
from sciddm.train.sharding import place


def check_dataset(config, domain, dataset) -> None:
    """That training elements are what the domain says: of its example's shapes, with its cond, in the support of its noise law.

    Raises: UserError that names what is wrong, and what was expected.
    """
    who = type(domain).__name__
    if not isinstance(dataset, grain.MapDataset):
        raise UserError(f"{who}.dataset gives a {type(dataset).__name__}; expected a grain.MapDataset of elements {{'x': ...}}")
    if len(dataset) < config.training.batch_size:
        raise UserError(
            f"config.training.batch_size = {config.training.batch_size}: there are {len(dataset)} training samples; take fewer"
        )
    element = dataset[0]
    if not isinstance(element, dict) or "x" not in element:
        raise UserError(f"{who}.dataset: an element is {_keys(element)}; expected a dict with 'x'")
    for name, expected in (("x", domain.example), ("cond", domain.cond_example)):
        found = element.get(name)
        shapes, wanted = (jax.tree.map(np.shape, tree) for tree in (found, expected))
        if shapes != wanted:
            attribute = {"x": "example", "cond": "cond_example"}[name]
            raise UserError(f"{who}.dataset: {name} of an element has shapes {shapes}; expected {wanted}, those of `{attribute}`")
    z = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], domain.normalizer.normalize(element["x"]))
    law = domain.noise.given(jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], element.get("cond")))
    try:
        drawn = jax.eval_shape(lambda: law.sample_batch(jax.random.split(jax.random.key(0), 1), z))
        if jax.tree.map(jnp.shape, drawn) != jax.tree.map(jnp.shape, z):
            raise ValueError(f"it draws shapes {jax.tree.map(jnp.shape, drawn)} for x of {jax.tree.map(jnp.shape, z)}")
        projected = law.each("project", z)
    except (TypeError, ValueError) as error:
        raise UserError(f"{who}.noise does not go with x: {str(error).splitlines()[0]}") from error
    off = max(float(jnp.max(jnp.abs(a - b))) for a, b in zip(*map(jax.tree.leaves, (projected, z)), strict=True))
    if off > 1e-2:
        raise UserError(
            f"{who}.noise: its law lives on a part of the space that the data are not in (off by {off:.2g}, normalised); "
            "project the data, or take another law"
        )


def _keys(element):
    return f"a dict of {sorted(element)}" if isinstance(element, dict) else f"a {type(element).__name__}"


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
