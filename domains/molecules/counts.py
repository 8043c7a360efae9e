"""Molecules with exactly so many rings, or atoms of a kind, by particles."""

import jax
import jax.numpy as jnp
import numpy as np
from rdkit import Chem

from domains.molecules import answers as of_answers
from domains.molecules import metrics
from domains.molecules.given import parted, whole
from domains.molecules.tasks import MoleculeTask
from sciddm.errors import UserError
from sciddm.given import refuse, say
from sciddm.keys import sample_keys
from sciddm.rewards.reward import get_reward
from sciddm.tasks import Population, Problem, need

MANY = 1000  # of atoms or rings


class Count(MoleculeTask, Population):
    """Exactly so many atoms or rings of a kind, by particles: smc weighs -(count - number)^2 / (2 * 0.5^2) at the end of the path.

    what: "rings", or the symbol of an element; number: how many are wanted; num_particles: for every member; others: of `Population`.
    """

    by_member = True

    def __init__(
        self, domain, *, what: str = "rings", number: int = 3, num_particles: int = 32, twist: str = "plain", steps: int = 50, **population
    ):  # fmt: skip
        Population.__init__(self, domain, num_particles=num_particles, twist=twist, steps=steps, **population)
        if what != "rings" and what not in domain.layout.symbols:
            raise UserError(
                f"config.tasks.count.what = {what!r}: expected 'rings' or one of {list(domain.layout.symbols)}"
            )
        self.what, self.wanted = what, number

        self.potential = self.potential_of(what, number)

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        need(options, "number", 0 <= options["number"] <= MANY, f"0 to {MANY}")

    def potential_of(self, what: str, number: int):
        """-(count - number)^2 / (2 * 0.5^2) of normalised x, nats."""

        def potential(z, t):
            return -0.5 * jnp.square((self.counted(self.domain.normalizer.denormalize(z), what) - number) / 0.5)

        return potential

    @property
    def given_names(self):
        return ("rings", *self.domain.layout.symbols, "atoms")

    @property
    def takes(self):
        symbols = [symbol for symbol in self.domain.layout.symbols if not (self.domain.layout.heavy and symbol == "H")]
        return (
            f"rings=3, the wanted number, or so many atoms of a kind, such as {symbols[-1]}=1 ({', '.join(symbols)}), and if you like "
            f"atoms=12, the number of {self.atoms} of each answer (trained on {self.sizes}; otherwise the commonest)"
        )

    def problem_given(self, key, given):
        plain, values = parted(given, self.given_names)
        if plain:
            refuse(plain[0], self.takes, self.given_names)
        wanted = [name for name in values if name != "atoms"]
        if len(wanted) != 1:
            raise UserError(f"--given: {' and '.join(wanted) or 'nothing'} to count, one is meant; expected {self.takes}")
        number, atoms = whole(values, wanted[0], 0), whole(values, "atoms")
        sizes = self.domain.normalizer.sizes
        atoms = int(np.argmax(sizes)) if atoms is None else atoms
        if wanted[0] != "rings" and number > atoms:
            raise UserError(f"--given {wanted[0]}={number}: more than the {atoms} atoms of an answer; give atoms= too, or fewer")
        if wanted[0] == "rings" and number > max(atoms - 1 if atoms > 2 else 0, 0):
            raise UserError(f"--given rings={number}: more than {atoms} {self.atoms} can have; give more by --given atoms=, or fewer rings")
        slots = self.slots(atoms)
        mask = (np.arange(slots) < atoms).astype(np.float32)[None]
        extras = {"brought": True, "shape": self.shape(slots), "what": wanted[0], "number": number}
        extras["title"] = f"{wanted[0]} = {number}, {atoms} {self.atoms}"
        return Problem(self.potential_of(wanted[0], number), cond=self.domain.condition(mask), extras=extras)

    def write_given(self, problem, folder):
        return [f"{self.what}={self.wanted}", f"atoms={int(problem.cond['mask'].sum())}"]

    def counted(self, x, what: str | None = None):
        """(B,) how many there are of `what`, None: of what the options say."""
        what = what or self.what
        if what == "rings":
            return get_reward(self.domain, "rings").function(x)
        layout = self.domain.layout
        kinds = jnp.argmax(x["features"][..., : len(layout.kinds)], -1)
        return jnp.sum((kinds == layout.symbols.index(what)) * layout.mask_of(x), -1)

    def problem(self, key, example):
        return Problem(self.potential, example, cond=self.condition(example))

    def solve(self, model, key, problem, members, progress=False, **options):
        # A population gives one answer here, so that answers are independent of each other.
        drawn = []
        for own in sample_keys(key, members):
            result = self.run(model, jax.random.fold_in(own, 0), problem, **options)
            drawn.append(self.physical(result.draw(jax.random.fold_in(own, 1))))
        return jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)

    def to_native(self, samples, problem):
        molecules = super().to_native(samples, problem)
        if (problem.extras or {}).get("brought") and np.any(samples["features"]):
            what, number = problem.extras["what"], problem.extras["number"]
            counts = np.asarray(self.counted(jax.tree.map(jnp.asarray, samples), what)).astype(int)
            for molecule, count in zip(molecules, counts, strict=True):
                of_answers.noted(molecule, counted=f"{what} {count}")
            say(f"{what} = {number} in {int(np.sum(counts == number))} of {len(counts)} answers")
        return molecules

    def controls(self, model, key, problem, members, **options):
        return {"unguided": self.plain(model, key, problem, members, **options)}

    def metrics(self, samples, problem):
        counts = np.asarray(self.counted(jax.tree.map(jnp.asarray, samples)))
        whole = [
            metrics.canonical(m) is not None and len(Chem.GetMolFrags(m)) == 1 for m in self.domain.to_native(samples)
        ]
        exact = counts == self.wanted
        shares = {
            f"{self.wanted} {self.what}": float(np.mean(exact)),
            "and valid and connected": float(np.mean(exact & whole)),
        }
        return shares | super().metrics(samples, problem)
