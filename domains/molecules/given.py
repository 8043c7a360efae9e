"""What a user brings to a task of molecules, as x of any size, and answers of that size: shared by all tasks."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from rdkit import Chem, rdBase

from domains.molecules.brought import Brought, bring
from domains.molecules.layout import Packed
from domains.molecules.record import number_of
from sciddm.batches import in_batches
from sciddm.errors import UserError
from sciddm.given import Thing, say
from sciddm.keys import sample_keys
from sciddm.named import near
from sciddm.tasks import Problem

FAR, FARTHEST = 3.0, 100.0  # standard deviations of the training data's property: worse, and nothing but numbers that are none
TITLE = 120  # characters
LARGEST = 10  # times the size of the largest molecule trained on; memory goes with its square


def parted(given: Sequence[Thing], names: Sequence[str]) -> tuple[list[Thing], dict[str, str]]:
    """Things without a name, and the text of each name=value. Raises: UserError where a name comes twice, or is none of `names`."""
    plain, values = [], {}
    for thing in given:
        name = thing.name or _misnamed(thing)
        if name and name not in names:
            same = [one for one in names if one.lower() == name.lower()]
            hint = f"; did you mean {same[0]}?" if same else near(name, names)
            raise UserError(f"--given {thing}: {name}= is none of this task's names{hint}; expected one of {', '.join(names)}")
        if not thing.name:
            plain.append(thing)
        elif thing.name in values:
            raise UserError(f"--given {thing}: {thing.name} is given twice; once is meant")
        else:
            values[thing.name] = str(thing.value)
    return plain, values


def _misnamed(thing: Thing) -> str:
    # The name of a text that was meant as name=value: it is no SMILES with a double bond.
    found = re.match(r"\s*([A-Za-z]\w*)\s*=(?!.*\.\w{2,6}$)", thing.text or "")
    with rdBase.BlockLogs():
        return found[1] if found and found[1] != "InChI" and Chem.MolFromSmiles(thing.text, sanitize=False) is None else ""


def whole(values, name: str, least: int = 1, most: int | None = None) -> int | None:
    """The whole number of a name, None where it is not given. Raises: UserError if it is none, or out of range."""
    if name not in values:
        return None
    text = values[name].strip()
    if not re.fullmatch(r"[+-]?\d{1,9}", text, re.ASCII):
        raise UserError(f"--given {name}={text[:40]}: expected a whole number, such as {name}={least + 1}")
    if int(text) < least or (most is not None and int(text) > most):
        raise UserError(f"--given {name}={text}: expected {least} or more" + (f", {most} at most" if most is not None else ""))
    return int(text)


def decimal(values, name: str) -> float | None:
    """The number of a name, None where it is not given. Raises: UserError if it is none."""
    if name not in values:
        return None
    value = number_of(values[name])
    if value is None or not np.isfinite(value):
        raise UserError(f"--given {name}={values[name]}: expected a number, such as {name}=2.5")
    return value


def titled(figure, problem):
    """The figure under what was given."""
    if (problem.extras or {}).get("title"):
        title = " ".join(problem.extras["title"].split())
        # A name may have any signs in it, "$" for one.
        figure.suptitle(title if len(title) <= TITLE else f"{title[:TITLE]}...", fontsize=10, parse_math=False)
    return figure


class Brings:
    """What tasks of molecules share where a user brings the problem; its extras then hold `brought`, True or the molecule, and may hold
    `shape` of one answer, `drawn`: sizes are drawn for each answer, and `scalar`: the property, normalised."""

    domain: object

    @property
    def atoms(self) -> str:
        """What a size counts."""
        return "heavy atoms" if self.domain.layout.heavy else "atoms (with hydrogens)"

    @property
    def sizes(self) -> str:
        """Which sizes the model was trained on, in words."""
        there = np.flatnonzero(self.domain.normalizer.sizes)
        return f"{there.min()} to {there.max()}"

    def one(self, given, **options) -> tuple[Brought | None, dict[str, str]]:
        """The one molecule that is given, None where there is none, and the text of each name=value."""
        plain, values = parted(given, self.given_names)
        if len(plain) > 1:
            raise UserError(f"--given {plain[0]}, {plain[1]}: two things where one molecule is meant; expected {self.takes}")
        if not plain:
            return None, values
        names = self.given_names
        return bring(plain[0], whole(values, "record"), names, **options), values

    def rows(self, brought: Brought) -> np.ndarray:
        """The atoms of a molecule that x holds, in its order. Raises: UserError that names one of a kind that the model never saw."""
        layout, rows = self.domain.layout, []
        for atom in brought.molecule.GetAtoms():
            number, i = atom.GetAtomicNum(), atom.GetIdx()
            if i in brought.caps or (layout.heavy and number == 1):
                continue
            if number not in layout.kinds:
                raise UserError(
                    f"{brought.where}: atom {i} (counted from 0) is {atom.GetSymbol()}, which the model has never seen; it knows "
                    f"{', '.join(layout.symbols)}"
                )
            rows.append(i)
        if not rows:
            raise UserError(f"{brought.where}: has no atom that is modelled; the model knows {', '.join(layout.symbols)}")
        return np.asarray(rows)

    def x_of(self, brought: Brought, rows, size: int, places=None) -> dict:
        """x of the atoms `rows` of a molecule in an array of `size` atoms, at `places`, None: in turn; centred, 0 elsewhere."""
        layout, molecule = self.domain.layout, brought.molecule
        places = np.arange(len(rows)) if places is None else places
        row = Packed(
            np.zeros((size, 3), np.float32), np.full(size, -1, np.int8), *(np.zeros(size, np.int8) for _ in range(2)),
            np.zeros((size, size), np.int8),
        )  # fmt: skip
        atoms = [molecule.GetAtomWithIdx(int(i)) for i in rows]
        row.kinds[places] = np.searchsorted(layout.kinds, [atom.GetAtomicNum() for atom in atoms])
        row.charges[places] = [atom.GetFormalCharge() for atom in atoms]
        caps = set(brought.caps)
        row.hydrogens[places] = [sum(n.GetAtomicNum() == 1 and n.GetIdx() not in caps for n in atom.GetNeighbors()) for atom in atoms]
        row.orders[np.ix_(places, places)] = brought.orders[np.ix_(rows, rows)]
        if brought.solid:
            positions = molecule.GetConformer().GetPositions().astype(np.float32)
            row.positions[places] = positions[rows] - positions[self.rows(brought)].mean(0)
        return layout.expand(row)

    def slots(self, atoms: int) -> int:
        """How many atoms arrays of a molecule of so many have: those of the model, or as many as it needs, which is said."""
        sizes = self.domain.normalizer.sizes
        there = np.flatnonzero(sizes)
        if atoms > LARGEST * there.max():
            raise UserError(f"{atoms} {self.atoms}: expected {LARGEST * there.max()} at most, {LARGEST} times the largest trained on")
        if atoms > there.max() or atoms < there.min():
            say(f"{atoms} {self.atoms}: outside of the sizes trained on ({self.sizes}); expect worse")
        return max(self.domain.size, atoms)

    def shape(self, slots: int):
        """Of one answer."""
        return self.domain.layout.example(slots)

    def sized(self, brought, values, scalar=None, **extras) -> Problem:
        """Answers of as many atoms as `atoms` says or the molecule has, else of sizes as often as in the data."""
        atoms = whole(values, "atoms")
        if atoms is not None and brought is not None:
            raise UserError(f"--given atoms={atoms}: and {brought.where}, whose number of atoms would be taken; give one of them")
        if brought is not None:
            atoms = len(self.rows(brought))
            say(f"{brought.where}: {atoms} {self.atoms}, as many as answers get; nothing else is taken of it")
        drawn = atoms is None
        sizes = self.domain.normalizer.sizes
        atoms = int(np.argmax(sizes)) if drawn else atoms  # cond says something of all answers; of those drawn, what they draw
        slots = self.domain.size if drawn else self.slots(atoms)
        mask = (np.arange(slots) < atoms).astype(np.float32)[None]
        extras = {"brought": True, "shape": self.shape(slots), "drawn": drawn, "scalar": scalar} | extras
        return Problem(cond=self.domain.condition(mask, scalar=scalar), extras=extras)

    def value(self, values) -> tuple[float, float] | None:
        """(value, normalised) of the property that the model is conditioned on, None where it is not given; far from the data is said."""
        name = self.domain.data.property
        value = decimal(values, name) if name else None
        if value is None:
            return None
        mean, std = self.domain.normalizer.scalar
        if abs(value - mean) > FARTHEST * std:
            raise UserError(f"--given {name}={value:g}: expected {mean - FARTHEST * std:.3g} to {mean + FARTHEST * std:.3g}")
        if abs(value - mean) > FAR * std:
            say(f"{name}={value:g}: far outside of the training data, {mean:.3g} +- {std:.2g}; expect worse")
        return value, (value - mean) / std

    def of_members(self, problem: Problem, keys) -> Problem:
        """The problem with a cond of its own for each member, for what is drawn; keys: (B,)."""
        if not problem.extras.get("drawn"):
            return problem
        mask = self.domain.draw_cond(keys)["mask"]
        return replace(problem, cond=self.domain.condition(mask, scalar=problem.extras["scalar"]))

    def solve(self, model, key, problem, members, **options):
        if not (problem.extras or {}).get("brought"):
            return super().solve(model, key, problem, members, **options)
        return self.answers(model, sample_keys(key, members), problem, **options)

    def answers(self, model, keys, problem, *, progress: bool = False, **options):
        """An answer a key, in batches, of the size that was brought."""
        shape = problem.extras.get("shape") or self.domain.example

        def some(rows):
            part = self.of_members(problem, keys[rows])
            guided = self.guided(model.denoiser, part)
            return model.draw(keys[rows], len(rows), denoiser=guided, cond=part.cond, shape=shape, **self.sampling | options)

        try:
            return in_batches(some, len(keys), model.config.sampling.batch_size, type(self).__name__.lower(), progress)
        except (TypeError, ValueError) as error:
            slots = shape["positions"].shape[0]
            if slots <= self.domain.size:
                raise
            raise UserError(f"{slots} atoms: this network makes {self.domain.size} at most ({str(error).splitlines()[0]})") from error

    def write_molecule(self, x, path: Path) -> Path:
        """One x as an SDF of version 3000, which has six digits where version 2000 has four."""
        molecule = self.domain.to_native(jax.tree.map(lambda leaf: np.asarray(leaf)[None], x))[0]
        molecule = Chem.Mol(molecule)
        molecule.UpdatePropertyCache(strict=False)
        path.write_text(f"{Chem.MolToV3KMolBlock(molecule)}$$$$\n", encoding="utf-8")
        return path
