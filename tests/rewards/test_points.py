import jax
import jax.numpy as jnp
import numpy as np

from sciddm import rewards


def test_the_radius_of_gyration_of_a_square_is_half_its_diagonal_wherever_it_stands():
    square = jnp.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [50, 50, 50]]) + 7.0
    mask = jnp.array([1, 1, 1, 1, 0])
    np.testing.assert_allclose(rewards.radius_of_gyration(square[None], mask), np.sqrt(2.0), rtol=1e-6)
    np.testing.assert_allclose(rewards.radius_of_gyration(square[None, :2]), 1.0, rtol=1e-6)
    weighted = rewards.radius_of_gyration(square[None, :2], jnp.array([3.0, 1.0]))
    np.testing.assert_allclose(weighted, np.sqrt(3.0) / 2.0, rtol=1e-6)  # centre at 1/2: (3/4) 1/4 + (1/4) 9/4
    gradient = jax.grad(lambda x: rewards.radius_of_gyration(x)[0])(jnp.zeros((1, 3, 2)))
    np.testing.assert_array_equal(gradient, np.zeros((1, 3, 2)))


def test_contacts_count_pairs_once_and_only_those_that_are_there():
    line = jnp.array([[[0.0], [1.0], [2.5], [2.6]]])
    np.testing.assert_array_equal(rewards.contacts(line, 1.2), [2.0])
    np.testing.assert_array_equal(rewards.contacts(line, 1.2, jnp.array([[1, 1, 1, 0]])), [1.0])
    np.testing.assert_allclose(rewards.contacts(line, 1.2, softness=1e-3), [2.0], atol=1e-5)
    pair = line[:, :2]
    np.testing.assert_allclose(rewards.contacts(pair, 1.0, softness=0.3), [0.5])  # at the cutoff
    force = jax.grad(lambda x: rewards.contacts(x, 1.0, softness=0.5)[0])(pair)
    np.testing.assert_allclose(force[0, :, 0], [0.5, -0.5], rtol=1e-6)  # towards each other, 1/4 over the softness
    per_pair = jnp.full((4, 4), 1.2).at[2, 3].set(0.05).at[3, 2].set(0.05)
    np.testing.assert_array_equal(rewards.contacts(line, per_pair), [1.0])


def test_rings_are_the_cycles_of_the_graph_of_bonds():
    angle = 2 * np.pi * np.arange(6) / 6
    hexagon = np.stack([np.cos(angle), np.sin(angle)], -1)  # neighbours at distance 1
    upright = hexagon @ np.array([[np.sqrt(0.75), 0.5], [-0.5, np.sqrt(0.75)]])
    naphthalene = np.concatenate([upright, (upright + [np.sqrt(3.0), 0.0])[upright[:, 0] > -0.1]])
    cases = (
        (hexagon, 1.1, 1), (hexagon[:5], 1.1, 0), (np.concatenate([hexagon, hexagon + 10.0]), 1.1, 2),
        (np.concatenate([hexagon, hexagon[:2] + [3.0, 0.0]]), 1.1, 1), (hexagon[:4], 9.0, 3), (naphthalene, 1.1, 2),
        (naphthalene, 0.9, 0),
    )  # fmt: skip

    @jax.jit
    def rings(positions, cutoff, mask=None):
        return rewards.rings(rewards.neighbours(positions, cutoff, mask), mask)

    mask = np.arange(12) < np.array([len(positions) for positions, _, _ in cases])[:, None]
    padded = np.stack([np.pad(positions, ((0, 12 - len(positions)), (0, 0))) for positions, _, _ in cases])
    found = [rings(padded[[i]], cutoff, mask[[i]].astype(int)) for i, (_, cutoff, _) in enumerate(cases)]
    np.testing.assert_array_equal(np.ravel(found), [wanted for _, _, wanted in cases])
    np.testing.assert_array_equal(rings(padded[[2]], 1.1), [2])  # twelve points need no mask
    one_more = np.stack([hexagon, hexagon])  # in both there are six, of which the second counts five
    np.testing.assert_array_equal(rings(one_more, 1.1, np.array([[1] * 6, [1] * 5 + [0]])), [1, 0])
    diagonal = jax.jit(rewards.rings)(np.ones((1, 4, 4), np.float32))
    np.testing.assert_array_equal(diagonal, [3])  # what stands on the diagonal is no edge
    np.testing.assert_array_equal(rewards.count(mask.astype(int)), mask.sum(1))


def test_kinetic_energy_of_steady_motion_is_half_m_v_squared():
    time = 0.1 * np.arange(5)
    start, velocity = np.array([[0.0, 1.0], [2.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 1.0]])
    positions = (start + time[:, None, None] * velocity)[None]
    np.testing.assert_allclose(rewards.kinetic_energy(positions, 0.1, [2.0, 4.0]), [0.5 * (2 * 25 + 4 * 1)], rtol=1e-5)
    np.testing.assert_allclose(rewards.kinetic_energy(positions, 0.1), [0.5 * (25 + 1) / 2], rtol=1e-5)
    accelerated = (0.5 * time**2)[None, :, None, None] * np.ones((1, 1, 1, 3))  # v = t, exact by central differences
    np.testing.assert_allclose(rewards.kinetic_energy(accelerated, 0.1), [1.5 * np.mean(time[1:-1] ** 2)], rtol=1e-5)
