import numpy as np

from domains.molecules import fragments

# a ring of five with a chain of three: 0-1-2-3-4-0, 4-5-6-7
ORDERS = np.zeros((8, 8), int)
for a, b in [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (4, 5), (5, 6), (6, 7)]:
    ORDERS[a, b] = ORDERS[b, a] = 1


def pieces(kept):
    return fragments.parts(ORDERS[np.ix_(kept, kept)] > 0)[0]


def test_rings_are_found():
    assert fragments.in_ring(ORDERS > 0).tolist() == [True] * 5 + [False] * 3


def test_a_scaffold_is_one_piece_of_the_wanted_size_with_its_ring_whole():
    for seed in range(20):
        kept = fragments.scaffold(np.random.default_rng(seed), ORDERS, 0.625)
        assert kept.tolist() == [0, 1, 2, 3, 4]
        larger = fragments.scaffold(np.random.default_rng(seed), ORDERS, 0.75)
        assert len(larger) == 6 and pieces(larger) == 1 and set(range(5)) < set(larger)
        assert len(fragments.scaffold(np.random.default_rng(seed), ORDERS, 1.0)) == 7  # something is left to grow


def test_ends_are_two_pieces_of_two_atoms_at_least():
    seen = set()
    for seed in range(40):
        kept = fragments.ends(np.random.default_rng(seed), ORDERS, most=2)
        assert pieces(kept) == 2 and np.bincount(fragments.parts(ORDERS[np.ix_(kept, kept)] > 0)[1]).min() >= 2
        seen.add(tuple(kept.tolist()))
    # taken out: two joined atoms of which one cuts the chain and two atoms are left on either side
    assert (0, 1, 2, 3, 6, 7) in seen and all(len(kept) == 6 for kept in seen)


def test_some_is_a_connected_part_or_what_such_a_part_leaves_and_every_atom_comes_up():
    mask, counts = np.array([1.0] * 8 + [0.0] * 2), np.zeros(10)
    padded = np.zeros((10, 10), int)
    padded[:8, :8] = ORDERS
    for seed in range(200):
        part = fragments.some(np.random.default_rng(seed), mask, padded)
        kept, left = np.flatnonzero(part), np.flatnonzero(part[:8] == 0)
        assert len(kept) and not part[8:].any()
        assert pieces(kept) == 1 or pieces(left) == 1
        counts += part
    assert (counts[:8] > 40).all()


def test_a_molecule_of_one_atom_has_itself():
    alone = np.zeros((1, 1), int)
    assert fragments.scaffold(np.random.default_rng(0), alone, 0.6).tolist() == [0]
    assert fragments.ends(np.random.default_rng(0), alone).tolist() == [0]
    assert fragments.some(np.random.default_rng(0), np.ones(1), alone).tolist() == [1.0]
