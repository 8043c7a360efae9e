"""Molecules as a domain: positions without a centre of mass, kinds and charges of atoms, and orders of bonds, padded and masked."""

import sys
from functools import cached_property

import jax
import numpy as np
import scipy
from rdkit import Chem

from domains.molecules import answers, bonds, fragments, metrics, qm9, readers, smiles
from domains.molecules.collection import Collection
from domains.molecules.conditions import WAYS, Conditions, OfMask
from domains.molecules.counts import Count
from domains.molecules.kept import Linker, Scaffold
from domains.molecules.layout import Layout, Packed
from domains.molecules.rewards import make_rewards
from domains.molecules.statistics import OfAtoms, measured, scalar_of
from domains.molecules.tasks import Conformers, GenerateMolecules
from domains.molecules.wishes import Property, Repair, migrated_tasks
from sciddm.domain import Domain, Normalizer, Outline
from sciddm.errors import UserError
from sciddm.networks import EGNN, PairTransformer
from sciddm.noise import ByCondition

TASKS = {
    "generate": GenerateMolecules, "conformers": Conformers, "scaffold": Scaffold, "linker": Linker, "property": Property,
    "repair": Repair, "count": Count,
}  # fmt: skip
STEPPED = ("conformers", "scaffold", "linker", "property", "repair", "count")
SOURCES = ("", "qm9", "smiles")
# How much a leaf counts in the loss; within it all entries that are there count the same.
WEIGHTS = {"positions": 2.0, "features": 1.0, "pairs": 1.0}


class MoleculesDomain(Domain):
    """x: {"positions": (n, 3) angstrom, "features": (n, f), "pairs": (n, n, 4)} float32 as `Layout` says, 0 at padding.

    cond is what `conditions.Conditions` makes: a mask of the atoms always, and what config.data.conditions says.
    """

    name, suffix, suffixes, task_types = "molecules", ".sdf", (".sdf", ".xyz"), TASKS
    reads = tuple(readers.RECORDS)
    networks = {"egnn": EGNN, "transformer": PairTransformer}
    renamed_keys = {  # in version 1
        "data.told": ("data.conditions",),
        "data.tasks.kept": ("tasks.scaffold.kept",),
        "data.tasks.conformers": ("tasks.conformers.count",),
        "data.tasks.target": ("tasks.property.target",),
        "data.tasks.method": ("tasks.property.method",),
        "data.tasks.guidance": ("tasks.property.scale",),
        "data.tasks.repair": ("tasks.repair",),
        "data.tasks.count.particles": ("tasks.count.num_particles",),
        "data.tasks.count": ("tasks.count",),
        **{
            f"data.tasks.{key}": tuple(f"tasks.{task}.{key}" for task in STEPPED) for key in ("solver", "steps", "grid")
        },
    }

    def __init__(self, config, stored=None):
        self.data, self.seed, self._packed = config.data, config.seed, {}
        self.normalizer = OfAtoms.from_json(stored) if stored else None  # None while it is measured
        if not stored:
            self.normalizer = measured(self.collection, self._places("train"), self.data)
        self.layout, self.size = self.normalizer.layout, self.normalizer.size
        self.condition = Conditions(self.layout, self.normalizer, tuple(self.data.conditions))
        self.example, self.network_inputs = self.layout.example(self.size), self.condition.network_inputs()
        self.cond_example = jax.eval_shape(self.condition, np.zeros(self.size, np.float32))
        rule = OfMask(self.size, bool(self.layout.pairs))
        self.noise = ByCondition(rule.law(None), rule)
        self.rewards = make_rewards(self)

    @classmethod
    def check(cls, config):
        data = config.data
        if not all(isinstance(one, str) for one in data.conditions):
            raise UserError(f"config.data.conditions = {tuple(data.conditions)}: expected words of {WAYS}")
        if not all(isinstance(one, int) and one > 0 for one in data.buckets):
            raise UserError(f"config.data.buckets = {tuple(data.buckets)}: expected sizes, whole numbers above 0")
        if data.split_seed < 0:
            raise UserError(f"config.data.split_seed = {data.split_seed}: expected 0 or more")
        if unknown := set(data.conditions) - set(WAYS):
            raise UserError(
                f"config.data.conditions = {tuple(data.conditions)}: {sorted(unknown)[0]!r} is none of {WAYS}"
            )
        if not data.conditions:
            raise UserError(f"config.data.conditions is empty: expected one of {WAYS} at least, '' for nothing")
        if "property" in data.conditions and not data.property:
            raise UserError(
                "config.data.property is empty, and 'property' is one of config.data.conditions: expected a name, such as by "
                "--config.data.property=logP, or --config.data.conditions=\"('', 'graph', 'part')\""
            )
        if data.heavy and not data.pairs:
            raise UserError(
                "config.data.pairs = False: hydrogens can't be placed without bonds; take --config.data.heavy=False too"
            )
        if data.count < 0 or data.most_atoms < 0:
            raise UserError(
                f"config.data.count = {data.count}, most_atoms = {data.most_atoms}: expected 0 for all, or more"
            )
        if data.source not in SOURCES:
            raise UserError(f"config.data.source = {data.source!r}: expected one of {SOURCES}, such as --config.data.source=smiles")
        for name, scale in data.scales.items():
            if not 1e-3 <= scale <= 1e3:
                raise UserError(f"config.data.scales.{name} = {scale}: expected 0.001 to 1000")

    @classmethod
    def outline(cls, config):
        data, size = config.data, 4  # kinds of atom and sizes are measured: a few of each will do
        layout = Layout((6, 7, 8) if data.heavy else (1, 6, 7, 8), data.heavy, data.pairs)
        unit = jax.tree.map(lambda leaf: np.float32(1.0), layout.example(size))
        condition = Conditions(
            layout, Normalizer(jax.tree.map(np.zeros_like, unit), unit, None), tuple(data.conditions)
        )
        cond = jax.eval_shape(condition, np.zeros(size, np.float32))
        return Outline(layout.example(size), cond, condition.network_inputs())

    @classmethod
    def migrate(cls, stored, version):
        data, own = dict(stored["data"]), dict(stored["data"].get("tasks", {}))
        data.pop("tasks", None)
        data["conditions"] = data.pop("told", data.get("conditions", ("",)))
        return stored | {"data": data, "tasks": migrated_tasks(own) if own else {}}

    @cached_property
    def collection(self) -> Collection:
        """All molecules: the user's own from config.data.path, else QM9, or molecules made from SMILES."""
        data = self.data
        if data.path:
            self._say_left_out()
            collection, _ = readers.read_molecules(data.path, progress=True)
        elif data.source == "qm9" or (data.source == "" and qm9.available(data.cache, data.count or None)):
            collection = qm9.ensure_qm9(data.cache, count=data.count or None)
        else:
            collection = smiles.ensure_smiles_set(data.count or None, self.seed, data.cache)
        fits = collection.sizes(data.heavy) > 0
        if not fits.all():
            such = collection.names[np.argmin(fits)]
            print(f"molecules: {np.sum(~fits)} without heavy atoms left out, such as {such!r}", file=sys.stderr)
        if data.most_atoms:
            fits &= collection.sizes() <= data.most_atoms
        if fits.sum() < 8:
            raise UserError(
                f"data: {fits.sum()} of {len(collection)} molecules are left; expected 8 or more, to train on and to test on"
            )
        return collection if fits.all() else collection.select(np.flatnonzero(fits))

    def _say_left_out(self):
        for key, plain in (("source", ""), ("count", 0)):
            if self.data[key] != plain:
                said = f"config.data.{key} = {self.data[key]!r} is of the sets that come with sciddm, and left out"
                print(f"molecules: {said}; the molecules are those of config.data.path", file=sys.stderr)

    def molecules(self, split: str) -> Collection:
        """Those of "train", "valid" or "test"."""
        return self.collection.select(self._places(split))

    def _places(self, split):
        count = len(self.collection)
        train = qm9.split(count, "train", self.data.split_seed)
        if self.normalizer is not None and len(train) != self.normalizer.sizes.sum():
            raise UserError(
                f"data: {len(train)} molecules to train on, and the run had {self.normalizer.sizes.sum()}; "
                "give it the data it was trained on (by --config.data.path, --config.data.source and --config.data.count)"
            )
        return train if split == "train" else qm9.split(count, split, self.data.split_seed)

    @cached_property
    def known(self) -> frozenset[str]:
        """Canonical SMILES of the training molecules, for what is novel."""
        import joblib

        train = self.molecules("train")
        parts = np.array_split(np.arange(len(train)), max(len(train) // 2000, 1))
        with joblib.parallel_config("loky"), joblib.Parallel(n_jobs=-1 if len(parts) > 1 else 1) as run:
            return frozenset().union(*run(joblib.delayed(_canonical)(train.select(part)) for part in parts))

    def packed(self, split: str) -> tuple[Packed, np.ndarray]:
        """The molecules of a split as padded arrays, and their normalised property, (M,)."""
        if split not in self._packed:
            part, (mean, std) = self.molecules(split), self.normalizer.scalar
            scalar = ((scalar_of(part, self.data.property) - mean) / std).astype(np.float32)
            self._packed[split] = self.layout.pack(part, self.size), scalar
        return self._packed[split]

    def dataset(self, split):
        """Each training molecule comes once for every entry of config.data.conditions, conditioned on that much of itself, another part in
        every epoch; config.data.rotate turns it at random."""
        import grain

        count, ways = len(self._places(split)), len(self.data.conditions)
        if split != "train":
            return grain.MapDataset.source(np.arange(count)).map(lambda i: self._element(split, int(i)))
        return (
            grain.MapDataset.source(np.arange(count * ways))
            .seed(self.seed % 2**32)
            .random_map(lambda i, rng: self._train_element(*divmod(int(i), ways), rng))
        )

    def buckets(self):
        if not self.data.buckets:
            return None
        widths = np.unique([*self.data.buckets, self.size])
        if widths[0] < 1 or widths[-1] > self.size:
            raise UserError(
                f"config.data.buckets = {tuple(self.data.buckets)}: expected sizes from 1 to {self.size}, the largest molecule's"
            )
        sizes = (self.packed("train")[0].kinds >= 0).sum(1)
        return np.repeat(widths[np.searchsorted(widths, sizes)], len(self.data.conditions))

    def cut(self, element, width):
        def leaf(path, value):
            # "embedding" has no atoms, arrays of pairs have them twice
            name = path[-1].key
            return value if name == "embedding" else value[:width, :width] if name == "pairs" else value[:width]

        return jax.tree_util.tree_map_with_path(leaf, element)

    def _element(self, split: str, i: int):
        x = self.layout.expand(Packed(*(column[i] for column in self.packed(split)[0])))
        return {"x": x, "cond": self.condition(self.layout.mask_of(x))}

    def _train_element(self, i: int, way: int, rng: np.random.Generator):
        packed, scalar = self.packed("train")
        packed = Packed(*(column[i] for column in packed))
        x, given = self.layout.expand(packed), self.data.conditions[way]
        mask = self.layout.mask_of(x)
        if self.data.rotate:
            x = x | {"positions": x["positions"] @ scipy.spatial.transform.Rotation.random(rng=rng).as_matrix().astype(np.float32)}
        if given in ("graph", "part"):
            atoms = mask if given == "graph" else fragments.some(rng, mask, packed.orders)
            cond = self.condition(mask, x, atoms, distances=given == "part")
        else:
            cond = self.condition(mask, scalar=scalar[i] if given == "property" else None)
        return {"x": x, "cond": cond, "loss_weight": self._loss_weight(x, mask)}

    def _loss_weight(self, x, mask):
        there = {"positions": mask[:, None], "features": mask[:, None]}
        there["pairs"] = (mask[:, None] * mask * (1 - np.eye(len(mask), dtype=np.float32)))[..., None]
        full = {name: np.broadcast_to(there[name], leaf.shape) for name, leaf in x.items()}
        return {name: (WEIGHTS[name] / max(leaf.sum(), 1.0) * leaf).astype(np.float32) for name, leaf in full.items()}

    def draw_cond(self, keys):
        """Sizes as often as the training molecules have them."""
        until = np.cumsum(self.normalizer.sizes / self.normalizer.sizes.sum())
        drawn = np.searchsorted(until, np.asarray(_uniform(keys)), side="right").clip(max=self.size)
        return self.condition((np.arange(self.size) < drawn[:, None]).astype(np.float32))

    def cond_of(self, x):
        return self.condition(np.asarray(self.layout.mask_of(x)))

    def to_native(self, x, cond=None) -> list[Chem.Mol | None]:
        """RDKit molecules with all their atoms and a conformer in angstrom, not sanitised; without modelled pairs, bonds by EDM's table."""
        molecules = self.layout.molecules(x)
        return molecules if self.layout.pairs else [m and bonds.perceive_table(m) for m in molecules]

    def from_native(self, native):
        for i, molecule in enumerate(native):
            if molecule is None:
                raise UserError(f"molecules: {i} is None, of which nothing could be made; leave such out")
        return self.layout.expand(self.layout.pack(Collection.from_molecules(native), self.size))

    def by_name(self, x):
        """positions (B, n, 3) in angstrom, features and pairs as `Layout` says, and mask (B, n), 1 where there is an atom."""
        return dict(x) | {"mask": self.layout.mask_of(x)}

    def with_fields(self, x, fields):
        return x | {name: leaf for name, leaf in fields.items() if name != "mask"}

    def quantities(self, native):
        return answers.quantities(native)

    def signed(self, native, about):
        return answers.signed(native, about)

    def save(self, samples, path) -> None:
        """SDF or XYZ by the path's suffix."""
        readers.write_molecules(samples, path)

    def plot(self, samples):
        from domains.molecules import plots

        return plots.gallery(samples)

    def metrics(self, samples, reference):
        molecules = self.to_native(samples)
        scores = metrics.scores(molecules, known=self.known, heavy=self.layout.heavy)
        scores |= metrics.distributions(molecules, self.to_native(reference))
        return scores


@jax.jit
def _uniform(keys):
    # one number a key, apart from those that the sampler draws with them
    return jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 2**31 - 1)))(keys)


def _canonical(collection: Collection) -> set[str]:
    return {metrics.canonical(collection.molecule(i)) for i in range(len(collection))}
