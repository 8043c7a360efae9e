import jax
import numpy as np
import pytest

from sciddm import rewards


def test_a_cell_is_one_however_long_it_winds_and_whatever_edge_it_crosses():
    snake = np.zeros((1, 21, 21))
    snake[0, ::2] = 1.0
    snake[0, 1::4, -1] = snake[0, 3::4, 0] = 1.0
    cells = jax.jit(rewards.cells_above, static_argnames=("connectivity", "periodic"))
    assert cells(snake, 0.5, connectivity=4) == 1
    corners = np.zeros((1, 6, 8))
    corners[0, 0, 0] = corners[0, 0, -1] = corners[0, -1, 0] = corners[0, -1, -1] = 1.0
    for connectivity in (4, 8):
        assert cells(corners, 0.5, connectivity=connectivity) == 4
        assert cells(corners, 0.5, connectivity=connectivity, periodic=True) == 1
    assert rewards.cells_above(np.zeros((1, 4, 4)), 0.5) == 0
    with pytest.raises(ValueError, match="expected 4 or 8"):
        rewards.cells_above(corners, 0.5, connectivity=6)
