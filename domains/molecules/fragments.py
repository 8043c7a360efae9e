"""Which atoms of a molecule are kept when the rest is to grow, and where a database has such a part."""

import itertools

import numpy as np
import scipy
from rdkit import Chem, rdBase
from rdkit.Chem import rdMolAlign

from domains.molecules.collection import make_molecule


def scaffold(rng: np.random.Generator, orders: np.ndarray, share: float) -> np.ndarray:
    """A connected part of about `share` of the atoms, rings whole where they fit: grown bond by bond from a random atom, rings first.

    orders: (n, n) bond orders. Returns: (m,) indices, 1 < m < n where n allows.
    """
    count, adjacent = len(orders), orders > 0
    wanted = int(np.clip(round(share * count), min(2, count), max(count - 1, 1)))
    ring = in_ring(adjacent)
    kept = [int(rng.choice(np.flatnonzero(ring) if ring.any() else count))]
    while len(kept) < wanted:
        edge = np.flatnonzero(adjacent[kept].any(0) & ~np.isin(np.arange(count), kept))
        if not len(edge):  # a molecule in several pieces
            break
        kept.append(int(rng.choice(edge[ring[edge]] if ring[edge].any() else edge)))
    return np.sort(np.asarray(kept))


def ends(rng: np.random.Generator, orders: np.ndarray, most: int = 3) -> np.ndarray:
    """The atoms that are left when up to `most` joined atoms are taken out so that two parts of at least two atoms each remain; as many
    as can be taken. Where no molecule comes apart like that, all but the two ends of a bond.

    orders: (n, n) bond orders. Returns: (m,) indices.
    """
    count, adjacent = len(orders), orders > 0
    for size in range(most, 0, -1):
        fits = []
        for taken in itertools.combinations(range(count), size):
            left = np.setdiff1d(np.arange(count), taken)
            if parts(adjacent[np.ix_(taken, taken)])[0] == 1:
                pieces, label = parts(adjacent[np.ix_(left, left)])
                if pieces == 2 and np.bincount(label).min() >= 2:
                    fits.append(left)
        if fits:
            return fits[rng.integers(len(fits))]
    bonds = np.argwhere(np.triu(adjacent))
    taken = bonds[rng.integers(len(bonds))] if len(bonds) else np.array([0])
    return np.setdiff1d(np.arange(count), taken) if count > 2 else np.arange(1)


def some(rng: np.random.Generator, mask: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """(n,) 0 and 1: a connected part of at least one atom, or all but such a part, so that what is left may be in pieces."""
    count = int(mask.sum())
    adjacent, kept = orders[:count, :count] > 0, np.zeros(count, bool)
    kept[rng.integers(count)] = True
    for _ in range(rng.integers(max(count - 1, 1))):
        edge = np.flatnonzero(adjacent[kept].any(0) & ~kept)
        if not len(edge):
            break
        kept[rng.choice(edge)] = True
    kept = ~kept if rng.random() < 0.5 and not kept.all() else kept
    return np.concatenate([kept, np.zeros(len(mask) - count, bool)]).astype(np.float32)


def parts(adjacent) -> tuple[int, np.ndarray]:
    """Number of pieces of a graph, and which of them each node is in."""
    return scipy.sparse.csgraph.connected_components(np.asarray(adjacent), directed=False)


def in_ring(adjacent) -> np.ndarray:
    """(n,) whether an atom is in a ring: has a bond whose loss does not cut the graph."""
    whole, ring = parts(adjacent)[0], np.zeros(len(adjacent), bool)
    for a, b in np.argwhere(np.triu(adjacent)):
        without = adjacent.copy()
        without[a, b] = without[b, a] = False
        if parts(without)[0] == whole:
            ring[[a, b]] = True
    return ring


def search(domain, truth, kept, orders, most: int = 5000, answers: int = 8) -> list[Chem.Mol]:
    """Training molecules of as many atoms that hold the kept atoms with their bonds, hydrogens and charges, laid upon them, with these in
    the truth's places of the list of atoms: the `answers` that fit best among the first `most` of that size. Kekule structures are
    compared, so that another one of the same ring is not found.

    Args: truth: one x; kept: (m,) indices; orders: (n, n) bond orders of the truth.
    """
    packed = domain.layout.read({name: np.asarray(leaf)[None] for name, leaf in truth.items()})
    place = np.asarray(kept)
    numbers, charges = np.asarray(domain.layout.kinds)[packed.kinds[0, place]], packed.charges[0, place]
    inside = np.triu(np.asarray(orders)[np.ix_(place, place)])
    bonds = [(a, b, inside[a, b]) for a, b in zip(*np.nonzero(inside), strict=True)]
    part = make_molecule(numbers, packed.positions[0, place], charges, bonds)
    size, train = int((packed.kinds[0] >= 0).sum()), domain.molecules("train")
    candidates = np.flatnonzero(train.sizes(domain.layout.heavy) == size)[:most]
    found, hydrogens = [], packed.hydrogens[0, place]

    def same(molecule, match):
        atoms = [molecule.GetAtomWithIdx(i) for i in match]
        counts = [sum(n.GetAtomicNum() == 1 for n in atom.GetNeighbors()) for atom in atoms]
        charged = [atom.GetFormalCharge() for atom in atoms]
        return charged == charges.tolist() and (not domain.layout.heavy or counts == hydrogens.tolist())

    with rdBase.BlockLogs():
        for i in candidates:
            molecule = make_molecule(*train.atoms(i), train.bonds_of(i))
            fits = [
                match
                for match in molecule.GetSubstructMatches(part, uniquify=False, maxMatches=24)
                if same(molecule, match)
            ]
            if fits:
                pairs = [[(there, here) for here, there in enumerate(match)] for match in fits]
                off = [rdMolAlign.AlignMol(Chem.Mol(molecule), part, atomMap=pair) for pair in pairs]
                best = int(np.argmin(off))
                rdMolAlign.AlignMol(molecule, part, atomMap=pairs[best])
                found.append((off[best], molecule, fits[best]))
    found.sort(key=lambda row: row[0])
    return [_renumbered(molecule, match, place, domain.layout.heavy) for _, molecule, match in found[:answers]]


def _renumbered(molecule, match, place, heavy: bool):
    # the matched atoms where the kept ones stand, the others around them, hydrogens that are no atoms of x behind
    counted = [atom.GetIdx() for atom in molecule.GetAtoms() if not (heavy and atom.GetAtomicNum() == 1)]
    others = iter([i for i in counted if i not in match])
    at = {int(here): there for here, there in zip(place, match, strict=True)}
    order = [at[i] if i in at else next(others) for i in range(len(counted))]
    behind = [i for i in range(molecule.GetNumAtoms()) if i not in set(counted)]
    return Chem.RenumberAtoms(molecule, [int(i) for i in (*order, *behind)])
