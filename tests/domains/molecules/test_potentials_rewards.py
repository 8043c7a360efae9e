from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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
