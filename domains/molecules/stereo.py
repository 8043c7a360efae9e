"""Stereo centres and double bonds of a graph, and which of them positions have as they should.

The networks can't tell left from right: an answer is as likely as its mirror image, which has every centre the other way round and every
double bond as it was. So an answer is turned into its mirror image where that has fewer centres wrong.

A centre is counter-clockwise for RDKit where (p_1 - p_0) . (p_2 - p_0) x (p_3 - p_0) > 0, p_0 its position and p_1, p_2, p_3 those of its
first three neighbours in the order of its bonds.
"""

from dataclasses import dataclass

import numpy as np
from rdkit import Chem

FLAT = 0.1  # of unit vectors; a tetrahedron has 0.77: what is as flat as this is neither left nor right, as RDKit has it for angstrom, too
TAGS = {Chem.ChiralType.CHI_TETRAHEDRAL_CCW: 1.0, Chem.ChiralType.CHI_TETRAHEDRAL_CW: -1.0}
SAME = (Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOCIS)
OTHER = (Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOTRANS)


@dataclass(frozen=True)
class Stereo:
    """centres: (k, 4), the centre and three of its neighbours, signs: (k,), of their triple product; doubles: (d, 4), the two atoms of a
    double bond with a neighbour each around them, together: (d,), 1 on the same side and -1 on different ones; names: of the k + d;
    lost: of those that the model can't be asked for; free: centres and double bonds that are not said which."""

    centres: np.ndarray
    signs: np.ndarray
    doubles: np.ndarray
    together: np.ndarray
    names: tuple[str, ...]
    lost: tuple[str, ...]
    free: tuple[str, ...]

    def __len__(self):
        return len(self.names)

    def right(self, positions) -> np.ndarray:
        """(..., k + d) bool of positions (..., n, 3)."""
        p = np.asarray(positions, np.float64)
        return np.concatenate([self.signs * self._triple(p) > FLAT, self.together * self._side(p) > 0], -1)

    def settled(self, positions) -> tuple[np.ndarray, np.ndarray]:
        """Positions (B, n, 3), mirrored where fewer are wrong then, and which of them are right, (B, k + d)."""
        p = np.asarray(positions)
        plain, mirrored = self.right(p), self.right(-p)
        turn = mirrored.sum(-1) > plain.sum(-1)
        return np.where(turn[:, None, None], -p, p), np.where(turn[:, None], mirrored, plain)

    def _triple(self, p):
        v = p[..., self.centres[:, 1:], :] - p[..., self.centres[:, :1], :]
        v = v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1.0)
        return np.sum(v[..., 0, :] * np.cross(v[..., 1, :], v[..., 2, :]), -1)

    def _side(self, p):
        a, b, c, d = (p[..., self.doubles[:, i], :] for i in range(4))
        axis = c - b
        return np.sum(np.cross(a - b, axis) * np.cross(d - c, axis), -1)


def stereo_of(molecule: Chem.Mol, rows) -> Stereo:
    """What RDKit knows of a sanitised molecule with all its hydrogens. rows: atoms that x holds, in its order."""
    at = {int(atom): row for row, atom in enumerate(rows)}
    centres, signs, doubles, together, of_centres, of_doubles, lost = [], [], [], [], [], [], []
    for atom in molecule.GetAtoms():
        if atom.GetChiralTag() not in TAGS:
            if atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED:
                lost.append(_name(atom))
            continue
        around = [bond.GetOtherAtomIdx(atom.GetIdx()) for bond in atom.GetBonds()]
        hidden = [place for place, other in enumerate(around) if other not in at]
        if len(around) - len(hidden) < 3 or atom.GetIdx() not in at:
            lost.append(_name(atom))
            continue
        # One that x does not hold is moved behind the others: each step swaps two.
        sign = TAGS[atom.GetChiralTag()] * (-1.0) ** (3 - hidden[0] if hidden else 0)
        centres.append([at[atom.GetIdx()], *[at[other] for other in around if other in at][:3]])
        signs.append(sign)
        of_centres.append(_name(atom))
    open_centres = (i for i, tag in Chem.FindMolChiralCenters(Chem.Mol(molecule), includeUnassigned=True) if tag == "?")
    of_free, could = [_name(molecule.GetAtomWithIdx(i)) for i in open_centres], _open_doubles(molecule)
    for bond in molecule.GetBonds():
        name = "=".join(_name(atom) for atom in (bond.GetBeginAtom(), bond.GetEndAtom()))
        if bond.GetStereo() not in SAME + OTHER:
            of_free += [name] if bond.GetIdx() in could else []
            continue
        found = _around(bond, at)
        if found is None:
            lost.append(name)
            continue
        doubles.append(found[0])
        together.append(found[1] * (1.0 if bond.GetStereo() in SAME else -1.0))
        of_doubles.append(name)
    four = lambda rows: np.asarray(rows, int).reshape(-1, 4)  # noqa: E731
    said = (*of_centres, *of_doubles), tuple(lost), tuple(of_free)
    return Stereo(four(centres), np.asarray(signs), four(doubles), np.asarray(together), *said)


def _open_doubles(molecule):
    # Double bonds that have two sides and are not said which.
    found = Chem.FindPotentialStereo(Chem.Mol(molecule), cleanIt=False)
    return {
        one.centeredOn for one in found if one.type == Chem.StereoType.Bond_Double and one.specified != Chem.StereoSpecified.Specified
    }


def _around(bond, at):
    # The double bond with a neighbour that x holds on either side, and whether an odd number of them are not those that RDKit names.
    ends, flips = (bond.GetBeginAtom(), bond.GetEndAtom()), 1.0
    found = []
    for atom, named in zip(ends, bond.GetStereoAtoms(), strict=True):
        others = [n.GetIdx() for n in atom.GetNeighbors() if n.GetIdx() not in (end.GetIdx() for end in ends)]
        held = [other for other in others if other in at]
        if not held or atom.GetIdx() not in at:
            return None
        pick = named if named in at else held[0]
        flips *= 1.0 if pick == named else -1.0
        found.append(pick)
    return [at[i] for i in (found[0], ends[0].GetIdx(), ends[1].GetIdx(), found[1])], flips


def _name(atom):
    return f"{atom.GetSymbol()}{atom.GetIdx()}"
