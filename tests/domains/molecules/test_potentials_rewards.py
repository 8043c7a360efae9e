from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from domains.molecules import potentials
from domains.molecules.layout import Layout
from domains.molecules.rewards import make_rewards


@pytest.fixture(scope="module")
def layout(collection):
    return Layout.measured(collection, True, True)


@pytest.fixture(scope="module")
def x(collection, layout):
    return jax.tree.map(jnp.asarray, layout.expand(layout.pack(collection)))


def test_real_molecules_have_no_valence_missed_and_charges_shift_it(layout, x):
    np.testing.assert_allclose(potentials.valence(layout, x), 0.0, atol=1e-9)
    without = x | {"features": x["features"].at[..., 4].set(0.0)}
    values = np.asarray(potentials.valence(layout, without))
    # methyl ammonium has a bond too many, formate's oxygen one too few: -1/2 each
    np.testing.assert_allclose(values, [0, 0, -1.0, 0, 0, 0, 0, 0], atol=1e-6)


def test_a_missed_valence_costs_half_its_square(layout, x):
    fewer = x["features"].at[0, 0, 5].add(-2.0)  # two hydrogens of ethanol's first carbon
    np.testing.assert_allclose(potentials.valence(layout, x | {"features": fewer})[0], -2.0, rtol=1e-6)
    tripled = x["pairs"].at[0, 0, 1].set(jnp.array([0, 0, 0, 1.0])).at[0, 1, 0].set(jnp.array([0, 0, 0, 1.0]))
    np.testing.assert_allclose(potentials.valence(layout, x | {"pairs": tripled})[0], -0.5 * (4 + 4), rtol=1e-6)


def test_a_charge_of_either_sign_takes_carbon_one_bond_and_gives_nitrogen_one_or_takes_it(layout, x):
    for atom, charge, hydrogens in ((0, 1.0, 2.0), (0, -1.0, 2.0)):  # the methyl group of ethanol, with a hydrogen less
        features = x["features"].at[0, atom, 4].set(charge).at[0, atom, 5].set(hydrogens)
        np.testing.assert_allclose(potentials.valence(layout, x | {"features": features})[0], 0.0, atol=1e-6)
    amide = x["features"].at[4, 5, 4].set(1.0).at[4, 5, 5].set(3.0)  # -NH2 and -NH3+, and -NH-
    np.testing.assert_allclose(potentials.valence(layout, x | {"features": amide})[4], 0.0, atol=1e-6)
    anion = x["features"].at[4, 5, 4].set(-1.0).at[4, 5, 5].set(1.0)
    np.testing.assert_allclose(potentials.valence(layout, x | {"features": anion})[4], 0.0, atol=1e-6)


def test_real_molecules_hardly_clash_and_atoms_on_top_of_each_other_do(layout, x):
    fine = np.delete(
        np.asarray(potentials.clash(layout, x)), 2
    )  # but for the salt, whose two pieces were laid upon each other
    assert (fine > -3.0).all()
    close = (
        x["positions"].at[0, 2].set(x["positions"][0, 0] + jnp.array([0.5, 0.0, 0.0]))
    )  # oxygen upon the far carbon, no bond
    value = potentials.clash(layout, x | {"positions": close})[0]
    # closest: 1.35 (0.76 + 0.66) A by RDKit's covalent radii; (1.917 - 0.5)^2 / (2 0.1^2) = 100.4 nats, and what else it meets
    assert -140 < float(value) < -100


@pytest.mark.parametrize("name", ["valence", "clash"])
def test_padding_changes_nothing_and_gradients_are_finite(name, layout, x, collection):
    potential = getattr(potentials, name)
    wider = jax.tree.map(jnp.asarray, layout.expand(layout.pack(collection, 12)))
    np.testing.assert_allclose(potential(layout, wider), potential(layout, x), atol=1e-5)
    together = wider | {"positions": jnp.zeros_like(wider["positions"])}
    gradient = jax.grad(lambda x: potential(layout, x).sum())(together)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert not np.any(gradient["positions"][0, 3:])


def test_rings_are_those_of_the_graph_with_or_without_modelled_bonds(collection):
    expected = [0, 1, 0, 0, 1, 0, 1, 0]
    for heavy, pairs in ((True, True), (False, True), (False, False)):
        layout = Layout.measured(collection, heavy, pairs)
        x = jax.tree.map(jnp.asarray, layout.expand(layout.pack(collection)))
        rewards = make_rewards(SimpleNamespace(layout=layout))
        values = np.asarray(rewards["rings"].function(x))
        salt = 2  # two pieces that were laid upon each other: distances say nothing of its bonds
        np.testing.assert_array_equal(np.delete(values, salt), np.delete(expected, salt))


def test_hetero_atoms_are_counted_softly_and_by_name(collection, layout, x):
    rewards = make_rewards(SimpleNamespace(layout=layout))
    expected = [sum(n not in (1, 6) for n in collection.atoms(i)[0]) for i in range(len(collection))]
    for name in ("hetero atoms", "named hetero atoms"):
        np.testing.assert_allclose(rewards[name].function(x), expected, rtol=1e-6)


def test_span_is_the_largest_distance_and_gyration_is_below_it(layout, x):
    rewards = make_rewards(SimpleNamespace(layout=layout))
    first = np.asarray(x["positions"][0, :3])  # ethanol
    largest = np.linalg.norm(first[:, None] - first[None], axis=-1).max()
    span, gyration = (np.asarray(rewards[name].function(x)) for name in ("span", "radius of gyration"))
    assert span[0] == pytest.approx(largest, abs=1e-3) and (gyration < span).all()
    assert gyration[0] == pytest.approx(np.sqrt((first**2).sum(1).mean()), rel=1e-4)


def scale(x):
    """What normalised x is multiplied by; here no leaf is of unit scale."""
    return {
        "positions": jnp.float32(1.3),
        "features": jnp.linspace(0.5, 1.5, x["features"].shape[-1]),
        "pairs": jnp.float32(0.8),
    }


def test_hydrogens_that_valences_leave_are_those_of_real_molecules_and_never_below_zero(layout, x):
    std = scale(x)
    project = potentials.Hydrogens(layout, std)
    z = jax.tree.map(jnp.divide, x, std)
    for name, leaf in project(z).items():
        np.testing.assert_allclose(leaf, z[name], atol=1e-5)
    wrong = z | {"features": z["features"].at[..., -1].add(0.7 * layout.mask_of(x))}
    mended = jax.tree.map(jnp.multiply, project(wrong), std)
    np.testing.assert_allclose(mended["features"], x["features"], atol=1e-4)
    np.testing.assert_allclose(potentials.valence(layout, mended), 0.0, atol=1e-6)
    tripled = z["pairs"].at[1, :6, :6].set(z["pairs"][1, :6, :6, ::-1])  # benzene with three bonds in place of none
    assert np.asarray(project(z | {"pairs": tripled})["features"][1, :, -1]).min() == 0.0


def test_chemistry_weighs_potentials_by_how_much_is_known(layout, x):
    std = scale(x)
    process, z = sd.GaussianProcess.vp(), jax.tree.map(jnp.divide, x, std)
    close = z | {"positions": 0.3 * z["positions"]}
    chemistry = potentials.Chemistry(layout, std, jnp.float32(1.0), jnp.float32(0.2), process)
    plain = 0.2 * potentials.clash(layout, jax.tree.map(jnp.multiply, close, std))
    for t in (0.02, 0.5):
        share = process.sigma(t) ** 2  # of a process that keeps the variance
        np.testing.assert_allclose(chemistry(close, t), plain / (1 + 300 * share), rtol=1e-4)


def test_all_atom_chemistry_judges_valences_too(collection):
    layout = Layout.measured(collection, False, True)
    x = jax.tree.map(jnp.asarray, layout.expand(layout.pack(collection)))
    chemistry = potentials.Chemistry(
        layout, jax.tree.map(jnp.ones_like, x), jnp.float32(1.0), jnp.float32(0.0), sd.GaussianProcess.vp()
    )
    np.testing.assert_allclose(chemistry(x, 0.0), 0.0, atol=1e-6)
    cut = x | {"pairs": x["pairs"].at[0, 0, 1].set(0.0).at[0, 1, 0].set(0.0)}  # two carbons with a bond too few
    np.testing.assert_allclose(chemistry(cut, 0.0)[0], -1.0, rtol=1e-5)
