"""How many generated molecules are molecules at all, how their geometry is distributed, and how strained they are.

Samples are RDKit molecules with all their atoms, one conformer in angstrom and the bonds a network predicted, not sanitised; None
where nothing could be made of a sample, which every share counts as a failure. Each way of perceiving bonds has scores of its own.
"""

import logging
from collections import Counter
from contextlib import contextmanager
from itertools import combinations

import numpy as np
import scipy
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

from domains.molecules import bonds
from sciddm.errors import UserError, install

SLOW = 200  # molecules at most for the ways of perceiving that take long
STRAIGHT = np.sin(np.deg2rad(5))  # about a bond angle within 5 degrees of straight there is no torsion
KINDS = ("bond length [A]", "angle [deg]", "torsion [deg]")


def scores(samples, *, known=frozenset(), heavy: bool = False) -> dict[str, float]:
    """Shares in [0, 1] of what is right with a list of molecules, None failing everywhere.

    valid: RDKit sanitises the whole molecule as it is; an atom short of bonds passes as a radical, see stability for those.
    connected: one fragment by its own bonds.
    unique: distinct canonical SMILES over the valid and connected; novel: of the unique, not in `known`, NaN if that is empty.
    atom, molecule stability: sum of bond orders allowed (bonds.VALENCES), over atoms and over samples; of a None as large a share of
        the atoms as of the samples is unstable. By table: from the positions (EDM, arXiv:2203.17003).
    valid by RDKit: bonds by DetermineBonds, which sanitise; at most 200 samples, evenly.

    Args: known: set of `canonical` SMILES; heavy: stability of hydrogens is not counted, as of models that place them by rule.
    Raises: UserError if there is no sample.
    """
    if not len(samples):
        raise UserError("samples: there is none; expected a list of at least one molecule or None")
    made = [sample for sample in samples if _exists(sample)]
    everything = len(samples)
    valid = [sanitised(sample) is not None for sample in made]
    connected = [len(Chem.GetMolFrags(sample)) == 1 for sample in made]
    both = [sample for sample, a, b in zip(made, valid, connected, strict=True) if a and b]
    distinct = {canonical(sample) for sample in both}
    result = {
        "valid": sum(valid) / everything,
        "connected": sum(connected) / everything,
        "valid and connected": len(both) / everything,
        "unique": len(distinct) / len(both) if both else np.nan,
        "novel": len(distinct - set(known)) / len(distinct) if distinct and known else np.nan,
    }
    counted = [bonds.atoms(sample)[0] > heavy for sample in made]
    stable = {"": bonds.predicted_stable, " by table": lambda sample: bonds.table_stable(*bonds.atoms(sample)[:2])}
    for name, perceive in stable.items():
        each = [perceive(sample)[atoms] for sample, atoms in zip(made, counted, strict=True)]
        of_atoms = np.concatenate(each).mean() if sum(map(len, each)) else 0.0
        result[f"atom stability{name}"] = float(of_atoms) * len(made) / everything
        result[f"molecule stability{name}"] = sum(bool(part.all()) for part in each) / everything
    asked = _evenly(samples, SLOW)
    perceived = [bonds.perceive_rdkit(sample) if _exists(sample) else None for sample in asked]
    result["valid by RDKit"] = sum(p is not None and sanitised(p) is not None for p in perceived) / len(asked)
    return result


def ceiling(collection, count: int = 1000, heavy: bool = False) -> dict[str, float]:
    """What the data itself scores, `count` molecules of the Collection, evenly: no model is asked for more."""
    return scores([collection.molecule(int(i)) for i in _evenly(range(len(collection)), count)], heavy=heavy)


def sanitised(molecule: Chem.Mol | None) -> Chem.Mol | None:
    """A sanitised copy, aromatic where RDKit sees it; None where RDKit refuses."""
    if not _exists(molecule):
        return None
    molecule = Chem.Mol(molecule)
    with rdBase.BlockLogs():
        failed = Chem.SanitizeMol(molecule, catchErrors=True)
    return None if failed else molecule


def canonical(molecule: Chem.Mol | None) -> str | None:
    """Canonical SMILES of the whole molecule, all its fragments, without hydrogens and stereo; None where it can't be sanitised."""
    molecule = sanitised(molecule)
    if molecule is None:
        return None
    with rdBase.BlockLogs():
        smiles = Chem.MolToSmiles(Chem.RemoveHs(molecule, sanitize=False), isomericSmiles=False)
        # Through SMILES once, so that it is the same string as of a molecule that never had explicit hydrogens.
        again = Chem.MolFromSmiles(smiles)
        return smiles if again is None else Chem.MolToSmiles(again, isomericSmiles=False)


def distributions(samples, reference) -> dict[str, float]:
    """How far the samples' geometry and composition are from the reference's.

    Wasserstein-1 on raw values of lengths, angles and torsions by the molecules' own bonds, over valid molecules; total variation
    1/2 sum |p - q| of the kinds of atom (element and charge) and of the numbers of atoms, over all that is a molecule.
    NaN where either side has no value.

    Args: samples, reference: lists of molecules or None.  Returns: name with unit -> distance.
    """
    ours, theirs = geometry(samples), geometry(reference)
    result = {kind: _wasserstein(ours[kind], theirs[kind]) for kind in KINDS}
    result["atom kinds [TV]"] = _total_variation(_kinds(samples), _kinds(reference))
    result["sizes [TV]"] = _total_variation(_sizes(samples), _sizes(reference))
    return result


def geometry(molecules) -> dict[str, np.ndarray]:
    """Every bond length (angstrom), bond angle and torsion (degrees) of the molecules that are valid, one after the other.

    A torsion is taken without its sign, in [0, 180]: a molecule's mirror image is as likely, and 180 is next to -180.
    """
    found = [_geometry(molecule) for molecule in molecules if sanitised(molecule) is not None]
    return {kind: np.concatenate([part[i] for part in found] or [np.zeros(0)]) for i, kind in enumerate(KINDS)}


def strain(molecules) -> np.ndarray:
    """(n,) MMFF94 energy as it is minus after relaxing to the nearest minimum, kcal/mol; NaN where MMFF has no parameters or fails;
    what its pieces do to each other counts."""
    return np.array([_strain(molecule) for molecule in molecules], np.float64)


def relaxed(molecule: Chem.Mol) -> Chem.Mol:
    """A copy at the nearest minimum of MMFF94, of UFF where that has no parameters, unmoved where neither helps: the post-hoc fix."""
    result, clean = Chem.Mol(molecule), sanitised(molecule)
    if clean is not None:
        with rdBase.BlockLogs():
            field = _mmff(clean) or _uff(clean)
            if field is not None and _minimise(field):
                result.GetConformer().SetPositions(clean.GetConformer().GetPositions())
    return result


def posebusters(molecules, most: int = SLOW) -> dict[str, float]:
    """Shares that pass each of PoseBusters' tests of a molecule by itself, and all of them; of at most `most`, evenly.

    What RDKit can't sanitise fails all of them, and a test that can't be run is failed. About .2 s a molecule, but half a minute for a
    cage that RDKit can't embed, which fails "internal energy" whatever its geometry: compare with the reference's own shares.
    (Buttenschoen et al. 2024, doi:10.1039/D3SC04185A)

    Raises: UserError if the package is absent or there is no molecule.
    """
    try:
        from posebusters import PoseBusters
    except ImportError as error:
        raise UserError(f"posebusters: package not installed; {install('molecules')}") from error
    asked = _evenly(molecules, most)
    if not asked:
        raise UserError("molecules: there is none; expected a list of at least one molecule or None")
    judge = PoseBusters(config="mol")
    # The shipped settings run the energy ratio, by far the slowest of them, twice and report the second one.
    judge.config["modules"] = [test for test in judge.config["modules"] if test.get("chosen_binary_test_output")]
    names = [
        test["rename_outputs"][key] for test in judge.config["modules"] for key in test["chosen_binary_test_output"]
    ]
    passed = np.zeros((len(asked), len(names)), bool)
    with rdBase.BlockLogs(), _quiet("posebusters"):
        for i, molecule in enumerate(map(sanitised, asked)):
            if molecule is not None:
                values = judge.bust([molecule], None, None).iloc[0]
                passed[i] = [isinstance(value, bool | np.bool_) and bool(value) for value in values]
    shares = dict(zip(names, passed.mean(0), strict=True)) | {"all": passed.all(1).mean()}
    return {name: float(share) for name, share in shares.items()}


@contextmanager
def _quiet(name):
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _exists(molecule):
    return molecule is not None and molecule.GetNumAtoms() > 0


def _evenly(sequence, count):
    # Data sets are often sorted by size: the first ones are no sample of them.
    places = np.linspace(0, len(sequence) - 1, min(count, len(sequence)))
    return [sequence[i] for i in np.rint(places).astype(int)]


def _geometry(molecule):
    x = molecule.GetConformer().GetPositions()
    neighbours = [[other.GetIdx() for other in atom.GetNeighbors()] for atom in molecule.GetAtoms()]
    pairs = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
    triples = [(a, b, c) for b, around in enumerate(neighbours) for a, c in combinations(around, 2)]
    fours = [(a, b, c, d) for b, c in pairs for a in neighbours[b] for d in neighbours[c] if len({a, b, c, d}) == 4]
    pairs, triples, fours = (np.array(rows, int).reshape(-1, n) for rows, n in ((pairs, 2), (triples, 3), (fours, 4)))
    length = np.linalg.norm(x[pairs[:, 0]] - x[pairs[:, 1]], axis=1)
    u, v = x[triples[:, 0]] - x[triples[:, 1]], x[triples[:, 2]] - x[triples[:, 1]]
    angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(u, v), axis=1), (u * v).sum(1)))
    b1, b2, b3 = (x[fours[:, i + 1]] - x[fours[:, i]] for i in range(3))
    n1, n2 = np.cross(b1, b2), np.cross(b2, b3)
    norm1, norm2 = np.linalg.norm(n1, axis=1), np.linalg.norm(n2, axis=1)
    bent = np.ones(len(fours), bool)
    for normal, first, second in ((norm1, b1, b2), (norm2, b2, b3)):
        bent &= normal > STRAIGHT * np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    torsion = np.degrees(np.arctan2(np.linalg.norm(np.cross(n1, n2), axis=1), (n1 * n2).sum(1)))
    return length, angle, torsion[bent]


def _wasserstein(a, b):
    return float(scipy.stats.wasserstein_distance(a, b)) if len(a) and len(b) else np.nan


def _total_variation(a: Counter, b: Counter):
    if not a or not b:
        return np.nan
    return sum(abs(a[key] / a.total() - b[key] / b.total()) for key in a | b) / 2


def _kinds(molecules):
    atoms = (atom for molecule in molecules if _exists(molecule) for atom in molecule.GetAtoms())
    return Counter((atom.GetAtomicNum(), atom.GetFormalCharge()) for atom in atoms)


def _sizes(molecules):
    return Counter(molecule.GetNumAtoms() for molecule in molecules if _exists(molecule))


def _mmff(clean):
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(clean)
    if properties is None:
        return None
    return rdForceFieldHelpers.MMFFGetMoleculeForceField(clean, properties, ignoreInterfragInteractions=False)


def _uff(clean):
    if not rdForceFieldHelpers.UFFHasAllMoleculeParams(clean):
        return None
    return rdForceFieldHelpers.UFFGetMoleculeForceField(clean, ignoreInterfragInteractions=False)


def _minimise(field):
    # Minimize says 1 while it has not converged; a generated molecule may take several thousands of steps.
    field.Initialize()
    try:
        for _ in range(10):
            if not field.Minimize(maxIts=500):
                return True
    except RuntimeError:  # RDKit's line search has lost its way: two atoms in the same place
        return False
    return True


def _strain(molecule):
    clean = sanitised(molecule)
    if clean is None:
        return np.nan
    with rdBase.BlockLogs():
        field = _mmff(clean)
        if field is None:
            return np.nan
        field.Initialize()
        before = field.CalcEnergy()
        return before - field.CalcEnergy() if _minimise(field) else np.nan
