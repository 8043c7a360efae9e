import jax
import jax.numpy as jnp
import numpy as np
import pytest

from domains.molecules.brought import bring
from domains.molecules.open_ends import Valences, chosen, may_open, part_of
from sciddm.errors import UserError
from sciddm.given import things


def brought(smiles):
    found = bring(things(smiles)[0])
    rows = np.array([a.GetIdx() for a in found.molecule.GetAtoms() if a.GetAtomicNum() > 1 and a.GetIdx() not in found.caps])
    return found, rows


def keep(smiles, text=None, match=None):
    found, rows = brought(smiles)
    return chosen(found, text, match, rows, True).tolist()


def test_atoms_are_kept_by_index_by_smarts_or_all(capsys):
    assert keep("CCOC1CC1") == [0, 1, 2, 3, 4, 5]
    assert keep("CCOC1CC1", "0,3-5") == [0, 3, 4, 5]
    assert keep("OCCO", "[OX2H]") == [0] and "matches 2 times" in capsys.readouterr().err
    assert keep("OCCO", "[OX2H]", 2) == [3]
    assert keep("Cc1ccccc1", "C1=CC=CC=C1") == [1, 2, 3, 4, 5, 6]  # single and double bonds in turn, as SMILES


@pytest.mark.parametrize(
    "text, match, said",
    [
        ("0,99", None, "has atoms 0 to 8"),
        ("3", None, "atom 3 of CCO is a hydrogen"),
        ("N", None, "matches nothing in CCO"),
        ("C(", None, "is neither SMARTS"),
        ("C", 4, "match=4: keep=C matches 2 times"),
        ("0,1", 2, "belongs to keep=SMARTS"),
    ],
)
def test_what_can_t_be_kept_is_said(text, match, said):
    with pytest.raises(UserError, match=said):
        keep("CCO", text, match)


def test_open_ends_are_cut_bonds_and_stars_and_a_closed_piece_opens_at_an_atom_with_a_hydrogen(capsys):
    found, rows = brought("CC(=O)OC")
    part = part_of(found, np.array([0, 1]), rows, 5, True)
    assert part.cut.tolist() == [0, 3] and not part.closed and part.places.tolist() == [0, 1]
    found, rows = brought("*CC")
    part = part_of(found, rows, rows, 4, True)
    assert part.cut.tolist() == [1, 0] and part.places.tolist() == [0, 1] and not part.closed
    assert not capsys.readouterr().err
    found, rows = brought("Cc1ccccc1")
    part = part_of(found, rows, rows, 9, True)
    assert "no open end" in capsys.readouterr().err
    keys = jax.random.split(jax.random.key(0), 64)
    lost = part.opened(keys)
    assert (lost.sum(1) == 1).all() and lost[:, 1].sum() == 0 and (lost.sum(0) > 0).sum() == 6  # not at the carbon without a hydrogen
    np.testing.assert_array_equal(part.opened(keys[5:7]), lost[5:7])
    with pytest.raises(UserError, match="nothing can grow"):
        found, rows = brought("FC(F)(F)F")
        part_of(found, rows, rows, 6, True)


def test_an_atom_whose_hydrogen_the_smarts_ask_for_keeps_it_and_one_meant_as_smiles_may_give_it():
    found, rows = brought("c1ccc2[nH]ccc2c1")
    nitrogen = [found.molecule.GetAtomWithIdx(int(i)).GetSymbol() for i in rows].index("N")
    may = may_open(found, "c1ccc2[nH]ccc2c1", rows)
    assert not may[nitrogen] and may.sum() == 6
    assert nitrogen not in part_of(found, rows, rows, 11, True, may).closed[0]
    assert may_open(found, "c1ccc2nccc2c1", rows)[nitrogen] and may_open(found, "0-8", rows).all() and may_open(found, None, rows).all()
    ethanol, rows = brought("CCO")
    assert may_open(ethanol, "[OX2H]", np.array([2])).all()  # none could: the part grows all the same
    kekule, rows = brought("Cc1ccccc1")
    assert may_open(kekule, "C1=CC=CC=C1", rows[1:]).tolist() == [False, True, True, True, True, True]


def test_bonds_of_kept_atoms_add_up_to_what_is_left_of_their_valences():
    rng = np.random.default_rng(0)
    pairs = rng.standard_normal((3, 6, 6, 4)).astype(np.float32)
    pairs = pairs + pairs.swapaxes(1, 2)
    left = np.array([[0, 1, 2, -1, -1, -1]], np.int32)
    project = Valences(jnp.asarray(left), jnp.asarray(left[0] < 0), jnp.float32(1.25))
    x = project({"pairs": jnp.asarray(pairs), "positions": jnp.zeros((3, 6, 3))})["pairs"]
    orders = np.asarray(x).argmax(-1)
    assert (orders[:, :3, 3:].sum(-1) == [0, 1, 2]).all()
    np.testing.assert_array_equal(orders, orders.swapaxes(1, 2))
    for same in (slice(3), slice(3, 6)):  # bonds within what is kept, and within what is made, are not its business
        np.testing.assert_array_equal(x[:, same, same], pairs[:, same, same])
    np.testing.assert_allclose(project({"pairs": x})["pairs"], x)
    single = (pairs[..., 1] - pairs[..., 0])[:, 1, 3:].argmax(-1)
    assert (orders[:, 1, 3:].argmax(-1) == single).all()  # the bond goes where there is most of it
