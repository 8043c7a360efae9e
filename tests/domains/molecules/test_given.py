"""What a user brings to the tasks of molecules, on the small run of the contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rdkit import Chem
from small_molecules import embedded

from domains.molecules.readers import write_molecules
from sciddm.errors import UserError

ASPIRIN, INDOLE = "CC(=O)Oc1ccccc1C(=O)O", "c1ccc2[nH]ccc2c1"


@pytest.fixture
def model(small_model):
    return small_model("molecules")


def graph(molecule):
    clean = Chem.Mol(molecule)
    Chem.SanitizeMol(clean)
    return Chem.MolToSmiles(Chem.RemoveHs(clean), isomericSmiles=False)


def test_a_graph_larger_than_any_trained_on_is_kept_exactly_and_said(model, capsys):
    answers = model.sample(0, 2, task="conformers", given=ASPIRIN)
    assert [graph(answer) for answer in answers] == [Chem.CanonSmiles(ASPIRIN)] * 2
    said = capsys.readouterr().err
    assert "13 heavy atoms: outside of the sizes trained on" in said and "RMSD of heavy atoms to the nearest of 16" in said
    off = model.domain.quantities(answers)["RMSD to MMFF"]
    assert off.attrs["units"] == "angstrom" and (off > 0).all()


def test_charges_and_stereo_of_a_given_graph_are_kept(model, tmp_path, capsys):
    smiles = "C[C@H]([NH3+])C(=O)[O-]"
    answers = model.sample(0, 2, task="conformers", given=smiles)
    path = tmp_path / "answers.sdf"
    write_molecules(model.domain.signed(answers, {"sciddm_seed": 0}), path)
    back = list(Chem.SDMolSupplier(str(path)))
    assert [Chem.FindMolChiralCenters(one) for one in back] == [Chem.FindMolChiralCenters(Chem.MolFromSmiles(smiles))] * 2
    assert [graph(one) for one in answers] == [Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)] * 2
    assert [one.GetProp("stereo") for one in back] == ["right"] * 2 and back[0].GetProp("sciddm_seed") == "0"
    assert back[1].GetProp("_Name") == f"{smiles} 2"
    assert "stereo (C1) as given in 2 of 2 answers" in capsys.readouterr().err


def test_what_else_is_known_of_a_given_graph_is_observed_in_angstrom(model):
    seen = model.observe(lambda f: jnp.linalg.norm(f["positions"][:, 0] - f["positions"][:, 2], axis=-1), 2.9, 0.05)
    free, held = (model.sample(0, 2, task="conformers", given="CCO", observe=wanted) for wanted in (None, seen))

    def off(molecules):
        return [abs(np.linalg.norm(np.subtract(*m.GetConformer().GetPositions()[[0, 2]])) - 2.9) for m in molecules]

    assert max(off(held)) < 0.5 * min(off(free)) or max(off(held)) < 0.1
    there = model.domain.by_name({"features": jnp.ones((2, 4, 6)).at[:, 3].set(0), "positions": jnp.zeros((2, 4, 3))})
    assert there["mask"].tolist() == [[1, 1, 1, 0]] * 2
    assert set(model.domain.with_fields({"positions": 0}, {"positions": 1, "mask": 2})) == {"positions"}


@pytest.mark.parametrize(
    "task, given, kept",
    [
        ("scaffold", [INDOLE, f"keep={INDOLE}"], range(9)),
        ("scaffold", ["*c1ccccc1", "atoms=8"], range(6)),
        ("linker", ["c1ccccc1CCC1CC1", "keep=0-5,8-10"], [*range(6), 8, 9, 10]),
    ],
)
def test_the_part_is_in_every_answer_of_a_network_that_nobody_trained(task, given, kept, model):
    problem = model.problem(task, given=given)
    x = model.solve(0, task, problem, 2)
    answers = model.task(task).to_native(x, problem)
    assert [answer.GetProp("kept") for answer in answers] == ["1"] * 2
    assert answers[0].GetProp("kept atoms") == " ".join(map(str, kept))
    brought = problem.extras["brought"]
    for answer in answers:
        orders = Chem.GetAdjacencyMatrix(answer, useBO=True)[np.ix_(kept, kept)]
        rows = problem.extras["part"].rows
        np.testing.assert_array_equal(orders, brought.orders[np.ix_(rows, rows)])
    again = model.solve(0, task, problem, 2, rows=[1, 2])  # as many at a time as before, which one program answers
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b[1], atol=1e-4), again, x)


def test_a_kept_part_that_was_bent_is_said(model, capsys):
    problem = model.problem("scaffold", given=["*c1ccccc1", "atoms=8"])
    x = model.solve(0, "scaffold", problem, 2)
    x["positions"][1, 0] += 0.3
    assert [m.GetProp("kept") for m in model.task("scaffold").to_native(x, problem)] == ["1", "0"]
    assert "the part is kept in 1 of 2 answers only" in capsys.readouterr().err


@pytest.mark.parametrize(
    "task, given, said",
    [
        ("conformers", "ClCCO", "atom 0 .* is Cl, which the model has never seen; it knows C, N, O"),
        ("conformers", ["CCO", "CCN"], "two things where one molecule is meant"),
        ("conformers", "CCO.CCN", "2 pieces"),
        ("conformers", "*CC", "open end"),
        ("conformers", [], "no molecule"),
        ("conformers", "[H][H]", "no atom that is modelled"),
        ("scaffold", ["CCO", "atoms=3"], "expected 4 or more"),
        ("scaffold", ["CCO", "atoms=x"], "expected a whole number"),
        ("scaffold", ["CCO", "atoms=4", "atoms=5"], "atoms is given twice"),
        ("linker", ["CCO", "atoms=6"], "a linker joins two"),
        ("property", ["atoms=5"], "no logP=VALUE"),
        ("property", ["logP=high"], "expected a number"),
        ("property", ["logp=2"], "did you mean logP"),
        ("property", ["logP=1", "CCO", "atoms=5"], "give one of them"),
        ("count", ["rings=1", "N=1"], "one is meant"),
        ("count", ["rings=-1"], "expected 0 or more"),
        ("count", ["CCO"], "can't be meant here"),
        ("count", ["N=9", "atoms=5"], "more than the 5 atoms"),
        ("repair", ["CCO"], "no positions"),
        ("generate", ["atoms=0"], "expected 1 or more"),
        ("generate", [f"atoms={'9' * 5000}"], "expected a whole number"),
        ("property", ["logP=1_0"], "expected a number"),
        ("scaffold", ["CCO", f"keep={'9' * 5000}"], "keep=9+: is neither|keep=9+.*expected"),
        ("conformers", ["C" * 2001], "2001 heavy atoms; expected 2000 at most"),
    ],
)
def test_what_can_t_be_meant_is_one_line(task, given, said, model):
    with pytest.raises(UserError, match=said) as error:
        model.problem(task, given=given)
    assert "\n" not in str(error.value)


def test_answers_have_the_size_that_is_given_or_sizes_as_in_the_data(model, capsys):
    made = model.sample(0, 2, task="generate", given="atoms=11")
    assert model.domain.quantities(made)["heavy atoms"].values.tolist() == [11, 11]
    problem = model.problem("property", given="logP=40")
    assert "far outside of the training data" in capsys.readouterr().err and problem.extras["target"] == 40
    keys = jax.random.split(jax.random.key(0), 6)
    cond = model.task("property").of_members(problem, keys).cond
    np.testing.assert_array_equal(cond["mask"], model.domain.draw_cond(keys)["mask"])
    mean, std = model.domain.normalizer.scalar
    np.testing.assert_allclose(cond["embedding"], [[(40 - mean) / std, 1.0]] * 6, rtol=1e-5)


def test_an_answer_of_a_count_is_of_its_own_key_and_of_the_size_that_is_given(model):
    problem = model.problem("count", given=["N=1", "atoms=10"])
    x = model.solve(0, "count", problem, 2)
    assert x["positions"].shape == (2, 10, 3)
    again = model.solve(0, "count", problem, 1, rows=[1])
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b[1]), again, x)


def test_a_repair_starts_from_what_is_given_and_stays_nearer_the_less_noise(model, tmp_path, capsys):
    path = tmp_path / "given.sdf"
    write_molecules([embedded("OC1CCC1O")], path)
    near, far = (model.sample(0, 2, task="repair", given=[path, f"noise={noise}"], steps=20) for noise in (0.02, 2.0))
    off = [[float(answer.GetProp("RMSD to given")) for answer in answers] for answers in (near, far)]
    assert max(off[0]) < 0.1 < min(off[1])
    assert [answer.GetProp("bonds changed") for answer in near] == ["0", "0"]
    assert "RMSD to what was given" in capsys.readouterr().err
    with pytest.raises(UserError, match="noise = 1e-05: the weakest level"):
        model.sample(0, 2, task="repair", given=[path, "noise=0.00001"])


def test_numbers_of_answers_are_rdkit_s_and_missing_where_there_is_no_molecule(model):
    pieces = Chem.CombineMols(embedded("C"), embedded("CC"))
    assert np.isnan(model.domain.quantities([pieces])["logP"].values[0])
    found = model.domain.quantities([embedded("c1ccccc1C"), None])
    assert found["heavy atoms"].values[0] == 7 and found["rings"].values[0] == 1 and found["valid"].values.tolist() == [1, 0]
    assert found["molecular weight"].values[0] == pytest.approx(92.14, abs=0.01) and found["molecular weight"].attrs["units"] == "g/mol"
    assert found["logP"].values[0] == pytest.approx(1.995, abs=0.01) and np.isnan(found["logP"].values[1])
