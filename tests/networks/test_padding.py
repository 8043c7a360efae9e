import numpy as np
import pytest

from sciddm.networks import conv
from sciddm.networks.padding import Padding

AXES = {"edges": False, "periodic": True, "second axis": (False, True, False)}


@pytest.mark.parametrize("wraps", AXES.values(), ids=AXES)
@pytest.mark.parametrize("space", [(1, 1, 1), (3, 5, 1), (8, 12, 7), (4, 9, 16)])
@pytest.mark.parametrize("divisor", [1, 3, 4, 8])
def test_crop_of_pad_is_the_identity_and_padded_sizes_divide(space, divisor, wraps):
    x = np.arange(2 * np.prod(space) * 2, dtype=np.float32).reshape(2, *space, 2)
    padding = Padding(space, divisor, wraps)
    padded = padding.pad(x)
    assert not any(size % divisor for size in padded.shape[1:-1])
    np.testing.assert_array_equal(padding.crop(padded), x)
    assert all(size % divisor == 0 or padded.shape[axis] > size for axis, size in enumerate(space, 1))


@pytest.mark.parametrize("size", [1, 3, 10, 50])
def test_a_periodic_axis_is_continued_by_what_comes_around_as_far_as_its_halo(size):
    padding = Padding((size,), 4, True)
    (before, after), row = padding.margins[0], np.arange(size, dtype=np.float32)[None, :, None]
    around = np.arange(-before, size + after) % size
    np.testing.assert_array_equal(np.asarray(padding.pad(row))[0, :, 0], around)
    # Either it is a few whole turns, and the ends are neighbours, or both ends are a divisor away from the crop.
    assert padding.periodic == ((size + before + after) % size == 0,)
    assert padding.periodic[0] or min(before, after) >= 4


def test_axes_that_divide_are_left_alone_and_wrap_around():
    padding = Padding((8, 12), 4, (False, True))
    assert padding.margins == ((0, 0), (0, 0)) and padding.periodic == (False, True)


def test_edges_are_continued_by_reflection_and_a_single_point_by_itself():
    row = np.arange(1.0, 6.0, dtype=np.float32)[None, :, None]
    np.testing.assert_array_equal(np.asarray(Padding((5,), 8).pad(row))[0, :, 0], [2, 1, 2, 3, 4, 5, 4, 3])
    np.testing.assert_array_equal(np.asarray(Padding((1,), 4).pad(row[:, :1]))[0, :, 0], 4 * [1])


def test_what_is_cropped_of_a_convolution_with_edges_saw_across_the_seam():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(1, 50, 2)).astype(np.float32), rng.normal(size=(3, 2, 2)).astype(np.float32)
    padding = Padding((50,), 4, True)
    assert padding.periodic == (False,)
    cropped = padding.crop(conv(padding.pad(x), kernel, periodic=padding.periodic))
    np.testing.assert_allclose(cropped, conv(x, kernel, periodic=True), rtol=1e-5, atol=1e-5)
