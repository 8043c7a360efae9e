"""Which atoms of a molecule are kept, and where the rest may grow from them."""

import re
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from rdkit import Chem, rdBase

from domains.molecules import fragments
from domains.molecules.brought import Brought
from domains.molecules.record import LONGEST, reason_of
from sciddm.errors import UserError
from sciddm.given import say

INDICES = re.compile(r"\s*\d{1,9}(\s*-\s*\d{1,9})?(\s*,\s*\d{1,9}(\s*-\s*\d{1,9})?)*\s*,?\s*", re.ASCII)
FOLD = 2**31 - 5  # of a member's key: apart from what the sampler draws with it


@dataclass(frozen=True)
class Part:
    """What is kept: rows: its atoms, as of the molecule; places: (m,) where they stand in x; cut: (m,) orders of the bonds that lead out
    of it; closed: for every piece of it from which nothing can grow, places within `rows` of the atoms that could lose a hydrogen."""

    rows: np.ndarray
    places: np.ndarray
    cut: np.ndarray
    closed: tuple[np.ndarray, ...]

    def left(self, lost, slots: int) -> np.ndarray:
        """(B, slots) int32: the orders of the bonds that each kept atom has to those that are made, -1 at atoms that are not kept. lost:
        (B, m) of `opened`."""
        left = np.full((len(lost), slots), -1, np.int32)
        left[:, self.places] = np.rint(self.cut + lost)
        return left

    def opened(self, keys) -> np.ndarray:
        """(B, m) how many hydrogens each kept atom loses in the answer of each key: one of every closed piece, drawn at random."""
        lost = np.zeros((len(keys), len(self.rows)), np.float32)
        draws = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, FOLD), (max(len(self.closed), 1),)))(keys)
        for which, u in zip(self.closed, np.asarray(draws).T, strict=False):
            lost[np.arange(len(keys)), which[(u * len(which)).astype(int)]] = 1.0
        return lost


class Valences(eqx.Module):
    """A constraint for `lookahead.constrain`: the bonds of each kept atom to those that are made add up to what is left of its valence.

    Nothing is left: no bond. One: a single bond to the atom that has most of it. Two: a double bond, or single ones to two atoms, whichever
    is nearer. Three and more are left alone. left: (1 or B, n) as of `Part.left`; made: (n,) bool; one: what an order of 1 is, normalised.
    """

    left: jax.Array
    made: jax.Array
    one: jax.Array

    def __call__(self, x):
        pairs, n = x["pairs"], x["pairs"].shape[1]
        single, double = (jnp.where(self.made, pairs[..., order] - pairs[..., 0], -jnp.inf) for order in (1, 2))
        at = lambda index: index[..., None] == jnp.arange(n)  # noqa: E731
        gain = lambda score, where: jnp.sum(jnp.where(where, score, 0.0), -1)  # noqa: E731
        best = at(jnp.argmax(single, -1))
        both = best | at(jnp.argmax(jnp.where(best, -jnp.inf, single), -1))
        twice = at(jnp.argmax(double, -1))
        apart = ((jnp.sum(self.made) > 1) & (gain(single, both) > gain(double, twice)))[..., None]
        left = self.left[..., None]
        order = jnp.where((left == 1) & best | (left == 2) & apart & both, 1, 0)
        order = jnp.where((left == 2) & ~apart & twice, 2, order)
        said = (left >= 0) & (left < 3) & self.made
        orders = jnp.where(said, order, -1)
        orders = jnp.maximum(orders, orders.swapaxes(1, 2))[..., None]
        value = self.one * (orders == jnp.arange(pairs.shape[-1]))
        return x | {"pairs": jnp.where(orders >= 0, value.astype(pairs.dtype), pairs)}


def chosen(brought: Brought, text: str | None, match: int | None, rows, heavy: bool) -> np.ndarray:
    """The atoms of a molecule that `keep=` says, indices or SMARTS, of `rows`; None: all of them.

    Raises: UserError of an index that is none, or SMARTS that are none or match nothing.
    """
    if match is not None and (text is None or INDICES.fullmatch(text)):
        raise UserError(f"--given match={match}: belongs to keep=SMARTS; leave it out")
    if text is None:
        return rows
    if INDICES.fullmatch(text):
        return _by_index(brought, text, rows, heavy)
    found = _matches(brought, text)
    within = [one for one in found if set(one) & set(rows.tolist())]
    if not within and found:
        raise UserError(f"--given keep={text}: matches hydrogens alone, which come with their atoms; name those")
    if not within:
        aromatic = any(atom.GetIsAromatic() for atom in brought.molecule.GetAtoms())
        small = "; aromatic atoms are small letters" if aromatic and text.upper() == text else ""
        raise UserError(f"--given keep={text}: matches nothing in {brought.where}{small}")
    if match is None and len(within) > 1:
        say(f"keep={text}: matches {len(within)} times in {brought.where}; the first is kept, others by --given match=2 (to {len(within)})")
    if match is not None and match > len(within):
        raise UserError(f"--given match={match}: keep={text} matches {len(within)} time{'s' * (len(within) > 1)} in {brought.where}")
    taken = set(within[(match or 1) - 1])
    if not heavy:  # hydrogens come with their atoms
        atoms = [brought.molecule.GetAtomWithIdx(i) for i in taken]
        taken |= {n.GetIdx() for atom in atoms for n in atom.GetNeighbors() if n.GetAtomicNum() == 1}
    return np.asarray([i for i in rows if i in taken])


def _by_index(brought, text, rows, heavy):
    count, kept = brought.molecule.GetNumAtoms(), set()
    for part in filter(None, (word.strip() for word in text.split(","))):
        first, _, last = part.partition("-")
        if last and int(last) < int(first):
            raise UserError(f"--given keep={text}: {part} runs backwards; expected {last.strip()}-{first.strip()}")
        kept |= set(range(int(first), int(last or first) + 1)) if int(last or first) < 10**6 else {10**6}
    if not kept or max(kept) >= count:
        raise UserError(f"--given keep={text}: {brought.where} has atoms 0 to {count - 1}; expected some of them")
    for i in sorted(kept - set(rows.tolist())):
        what = "an open end (*)" if i in brought.caps else "a hydrogen, which comes with its atom"
        raise UserError(f"--given keep={text}: atom {i} of {brought.where} is {what}; leave it out")
    return np.asarray(sorted(kept))


def _matches(brought, text):
    if len(text) > LONGEST:
        raise UserError(f"--given keep={text[:20]}...: {len(text)} characters; expected {LONGEST} at most")
    if not text.isascii() or not text.isprintable() or len(text.split()) > 1:  # behind which RDKit's parser reads nothing, in silence
        raise UserError(f"--given keep={text}: expected SMARTS in ASCII without a blank in it, or indices such as 0,1,5")
    with rdBase.CaptureErrorLog() as log:
        pattern = Chem.MolFromSmarts(text)
    if pattern is None or not pattern.GetNumAtoms():
        reason = re.sub(r"^SMARTS Parse Error: | while parsing: .*| for input: .*", "", reason_of(log.messages))
        raise UserError(f"--given keep={text}: is neither SMARTS ({reason or 'not parsed'}) nor indices such as 0,1,5")
    found = brought.molecule.GetSubstructMatches(pattern, maxMatches=10_000)
    if not found:  # SMILES with single and double bonds in turn
        with rdBase.BlockLogs():
            pattern = Chem.MolFromSmiles(text)
        found = brought.molecule.GetSubstructMatches(pattern, maxMatches=10_000) if pattern is not None else ()
    caps = set(brought.caps)
    return [one for one in found if not caps & set(one)]


def may_open(brought: Brought, text: str | None, kept) -> np.ndarray:
    """(m,) bool: which kept atoms may give a hydrogen for a bond to what is made, so that the SMARTS of `keep=` still match: [nH] may not.
    Where that leaves none, or keep= are indices, all."""
    everywhere = np.ones(len(kept), bool)
    if text is None or INDICES.fullmatch(text):
        return everywhere
    return found if (found := np.array([_matches_grown(brought, text, kept, int(i)) for i in kept])).any() else everywhere


def _matches_grown(brought, text, kept, atom) -> bool:
    grown = Chem.RWMol(brought.molecule)
    hydrogen = next((n for n in grown.GetAtomWithIdx(atom).GetNeighbors() if n.GetAtomicNum() == 1), None)
    if hydrogen is None:
        return False
    hydrogen.SetAtomicNum(6)
    hydrogen.SetNoImplicit(False)
    with rdBase.BlockLogs():
        if Chem.SanitizeMol(grown, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
            return False
    pattern = Chem.MolFromSmarts(text)
    if not brought.molecule.HasSubstructMatch(pattern):
        return True  # it was meant as SMILES, which says nothing of hydrogens
    return any(set(kept.tolist()) <= set(one) for one in grown.GetSubstructMatches(pattern, maxMatches=10_000))


def part_of(brought: Brought, kept, rows, atoms: int, heavy: bool, may=None) -> Part:
    """What is kept in x of so many atoms: in the places that it has among `rows`, all atoms of the molecule that x could hold, or in the
    first ones. An atom is open where a bond of it was cut or leads to a `*`. may: (m,) bool, which atoms may give a hydrogen, None: all.

    Raises: UserError if nothing can grow from any of it.
    """
    everything = set(range(brought.molecule.GetNumAtoms()))
    inside, caps = set(int(i) for i in kept), set(brought.caps)
    outside = [i for i in everything - inside if i in caps or not heavy or brought.molecule.GetAtomWithIdx(i).GetAtomicNum() > 1]
    cut = brought.orders[np.ix_(kept, outside)].sum(1) if outside else np.zeros(len(kept))
    around = [brought.molecule.GetAtomWithIdx(int(i)).GetNeighbors() for i in kept]
    hydrogens = np.array([sum(n.GetAtomicNum() == 1 and n.GetIdx() not in caps for n in each) for each in around])
    pieces, label = fragments.parts(brought.orders[np.ix_(kept, kept)] > 0)
    closed, open_pieces = [], 0
    for piece in range(pieces):
        members = np.flatnonzero(label == piece)
        able = members[hydrogens[members] > 0]
        could = able if may is None or not may[able].any() else able[may[able]]
        if cut[members].sum() > 0:
            open_pieces += 1
        elif heavy and len(could):
            closed.append(could)
    if not open_pieces and not closed:
        raise UserError(
            f"{brought.where}: nothing can grow: no bond of what is kept is cut, and none of its atoms has a hydrogen to give"
            if heavy
            else f"{brought.where}: nothing can grow: all valences are taken; say with * where the rest may grow"
        )
    if closed:
        say(
            f"{brought.where}: {'what is kept has' if pieces == 1 else f'{len(closed)} of {pieces} kept pieces have'} no open end (a cut "
            "bond, or * in a SMILES): each answer grows from one of its atoms with a hydrogen, drawn at random"
        )
    places = np.searchsorted(rows, kept)
    return Part(kept, places if places.max() < atoms else np.arange(len(kept)), cut, tuple(closed))
