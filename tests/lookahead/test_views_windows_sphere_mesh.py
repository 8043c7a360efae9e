import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm.lookahead.views.sphere import grid_points

project = eqx.filter_jit(sd.lookahead.Views.project)
unproject = eqx.filter_jit(sd.lookahead.Views.unproject)
average = eqx.filter_jit(sd.lookahead.Views.average)


def ball(levels):
    """Vertices and outward faces of a sphere: an octahedron, each triangle cut into four `levels` times."""
    vertices = [np.array(v, float) for v in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))]
    faces = [(0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5)]
    for _ in range(levels):
        middles, cut = {}, []

        def middle(a, b, middles=middles):
            if (key := (min(a, b), max(a, b))) not in middles:
                middles[key] = len(vertices)
                vertices.append((vertices[a] + vertices[b]) / np.linalg.norm(vertices[a] + vertices[b]))
            return middles[key]

        for a, b, c in faces:
            ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
            cut += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        faces = cut
    return np.array(vertices), np.array(faces)


VIEWS = {
    "windows": lambda: sd.lookahead.windows(11, 4, 3),
    "second axis": lambda: sd.lookahead.windows(10, 4, 3, axis=2, periodic=True),
    "patches": lambda: sd.lookahead.patches((6, 5), (4, 3), 2, axes=(1, 3), periodic=(True, False)),
    "sphere": lambda: sd.lookahead.sphere((12, 24), chart=6),
    "mesh": lambda: sd.lookahead.mesh(*ball(2), chart=10),
}


def field(views, batch=3):
    """Two leaves of white noise with the canonical axes in their place and other axes around them."""
    shape = [2] * (max(views.axes) + 1)
    shape[0] = batch
    for axis, size in zip(views.axes, views.shape, strict=True):
        shape[axis] = size
    rng, dtype = np.random.default_rng(0), jnp.result_type(float)
    return {"a": rng.normal(size=(*shape, 2)).astype(dtype), "b": rng.normal(size=shape).astype(dtype)}


def dot(x, y):
    return sum(np.vdot(a, b) for a, b in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True))


@pytest.mark.parametrize("name", sorted(set(VIEWS) - {"windows"}))
def test_unproject_is_the_adjoint_and_rows_are_sample_major(name, x64):
    views = VIEWS[name]()
    z = field(views)
    seen = project(views, z)
    x = jax.tree.map(lambda leaf: np.random.default_rng(1).normal(size=leaf.shape), seen)
    back = unproject(views, x)
    assert jax.tree.map(np.shape, back) == jax.tree.map(np.shape, z)
    np.testing.assert_allclose(dot(seen, x), dot(z, back), rtol=1e-6)
    alone = project(views, jax.tree.map(lambda leaf: leaf[[1, 1, 1]], z))
    second = slice(views.count, 2 * views.count)
    np.testing.assert_array_equal(np.asarray(seen["a"])[second], np.asarray(alone["a"])[second])
    np.testing.assert_array_equal(np.asarray(seen["a"])[second], np.asarray(alone["a"])[: views.count])


@pytest.mark.parametrize("name", ["windows", "patches"])
def test_an_average_of_picked_points_gives_the_field_back(name):
    views = VIEWS[name]()
    z, slope = field(views), 1.0 + np.arange(np.prod(views.view_shape))
    for way in (views, views.weighted(slope.reshape(views.view_shape))):
        again = average(way, project(way, z))
        np.testing.assert_allclose(again["a"], z["a"], atol=1e-6)
    np.testing.assert_allclose(average(views, project(views, z), views.central)["b"], z["b"], atol=1e-6)
    assert views.noise_gain is None


def test_windows_are_slices_and_the_last_one_is_flush_with_the_end():
    z = np.random.default_rng(0).normal(size=(2, 3, 11, 2)).astype(np.float32)
    views = sd.lookahead.windows(11, 4, 3, axis=2)
    starts = (0, 3, 6, 7)
    expected = np.stack([z[:, :, s : s + 4] for s in starts], 1).reshape(8, 3, 4, 2)
    np.testing.assert_array_equal(project(views, z), expected)
    ring = np.asarray(project(sd.lookahead.windows(11, 4, 3, axis=2, periodic=True), z))
    np.testing.assert_array_equal(ring[3], np.concatenate([z[0, :, 9:], z[0, :, :2]], 1))
    weights = np.array([1.0, 2.0, 3.0, 1.0])
    rows = np.arange(8, dtype=np.float32)[:, None, None, None] * np.ones((8, 3, 4, 2), np.float32)
    mean = np.asarray(average(views.weighted(weights), rows))
    assert mean[0, 0, 3, 0] == pytest.approx((1 * 0 + 1 * 1) / 2)  # last of the first, first of the second
    assert mean[1, 0, 7, 0] == pytest.approx((2 * 6 + 1 * 7) / 3)


def test_patches_are_a_tensor_product():
    z = np.random.default_rng(0).normal(size=(2, 6, 7, 8)).astype(np.float32)
    views = sd.lookahead.patches((6, 8), (3, 4), (3, 2), axes=(1, 3))
    expected = [z[:, i : i + 3, :, j : j + 4] for i in (0, 3) for j in (0, 2, 4)]
    np.testing.assert_array_equal(project(views, z), np.stack(expected, 1).reshape(12, 3, 7, 4))


@pytest.mark.parametrize(
    "shape, window, stride, periodic",
    [((64,), 16, 8, False), ((64,), 16, 3, False), ((13,), 5, 4, True), ((10,), 8, 5, True), ((12,), 4, 4, True), ((9,), 9, 9, True),
     ((9, 12), (4, 5), 3, (True, False)), ((6, 7, 5), 3, 2, False)],
)  # fmt: skip
def test_counting_numbers_of_windows_and_overlaps_sum_to_one_everywhere(shape, window, stride, periodic):
    views = sd.lookahead.patches(shape, window, stride, periodic=periodic)
    total = np.zeros(int(np.prod(shape)))
    for sign, boxes in ((1, views), *views.overlaps):
        np.add.at(total, boxes.indices, sign)
    np.testing.assert_array_equal(total, 1.0)
    assert len(np.unique(np.asarray(views.indices)[np.asarray(views.central) > 0])) == len(total)


def test_the_most_central_window_of_a_point_is_the_one_with_the_farthest_edge():
    central = sd.lookahead.windows(12, 6, 2).central
    np.testing.assert_array_equal(
        central, [[1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1]]
    )


@pytest.mark.parametrize("lat, lon, chart", [(13, 30, 5)])
def test_charts_of_a_sphere_see_smooth_fields_across_poles_and_date_line(lat, lon, chart):
    views = sd.lookahead.sphere((lat, lon), chart=chart)
    xyz = grid_points(lat, lon).astype(np.float32)[None]
    seen = np.asarray(project(views, xyz)).reshape(views.points.shape)
    # linear interpolation in both angles: step^2 / 8 times the second derivatives, which are 1 at most
    bound = ((np.pi / lat) ** 2 + (2 * np.pi / lon) ** 2) / 8
    assert np.abs(seen - views.points).max() <= bound + 1e-5
    points = np.asarray(views.points)
    longitude, latitude = np.arctan2(points[..., 1], points[..., 0]), np.arcsin(points[..., 2])
    between, beyond = np.abs(longitude) > np.pi * (1 - 1.0 / lon), np.abs(latitude) > np.pi / 2 * (1 - 1.0 / lat)
    assert bool(between.any())
    assert (chart % 2 == 0) or bool(beyond.any())  # an odd chart has a pixel on the pole itself
    centres = points.mean(1) / np.linalg.norm(points.mean(1), axis=-1, keepdims=True)
    assert int(np.sum(np.abs(centres[:, 2]) > 1 - 1e-6)) == 2
    # a chart's step is a row's, so that interpolating back costs no more than once again
    again = np.asarray(average(views, project(views, xyz)))
    assert np.sqrt(np.mean((again - xyz) ** 2)) <= bound
    assert np.abs(again - xyz).max() <= 5 * bound
    assert np.sqrt(np.mean((average(views, project(views, xyz), views.central) - xyz) ** 2)) <= 2 * bound
    # and views that contradict each other are not thrown far off
    noise = np.random.default_rng(0).normal(size=(views.count, chart, chart, 3)).astype(np.float32)
    one, two = (np.asarray(average(views, rows)) for rows in (noise, noise[::-1]))
    assert np.std(one) < 1.5
    np.testing.assert_allclose(average(views, noise + noise[::-1]), one + two, atol=0.02)
    transposed = jax.jit(lambda x, z: jax.vjp(views.average, x)[1](z)[0])(noise, two)
    np.testing.assert_allclose(dot(transposed, noise), dot(two, one), rtol=1e-2)  # a gradient goes through


def test_every_point_of_the_sphere_has_an_answer():
    views = sd.lookahead.sphere((20, 40), chart=6, overlap=0.1)
    ones = np.ones((views.count, 6, 6), np.float32)
    np.testing.assert_allclose(average(views, ones), np.ones((1, 20, 40)), atol=1e-5)
    touched = np.asarray(unproject(views, ones)).reshape(-1)
    alone = np.setdiff1d(np.arange(800), np.asarray(views.fill[0]))
    assert touched[alone].min() >= 1.0


def test_views_of_a_rotated_field_are_those_of_the_field_a_few_charts_on():
    # The equator's ring has as many charts as fit, here 8 on 48 longitudes: six columns are one chart.
    views = sd.lookahead.sphere((24, 48), chart=8, overlap=0.25)
    centres = np.asarray(views.points).reshape(views.count, 8, 8, 3)[:, 3:5, 3:5].mean((1, 2))
    ring = np.flatnonzero(np.abs(centres[:, 2]) < 1e-3)
    z = np.random.default_rng(0).normal(size=(1, 24, 48)).astype(np.float32)
    shift = 48 // len(ring)
    assert len(ring) * shift == 48
    plain, turned = project(views, z), project(views, np.roll(z, shift, axis=2))
    np.testing.assert_allclose(np.asarray(turned)[np.roll(ring, -1)], np.asarray(plain)[ring], atol=1e-4)


def test_charts_of_a_mesh_see_linear_fields_exactly():
    vertices, faces = ball(3)
    views = sd.lookahead.mesh(vertices, faces, chart=14)
    z = vertices.astype(np.float32)[None]
    rows, points = np.asarray(project(views, z)), np.asarray(views.points)
    mask = np.asarray(views.coefficients).sum(-1) > 0
    np.testing.assert_allclose(rows.reshape(points.shape), points, atol=1e-6)
    radius = np.linalg.norm(points, axis=-1)
    assert np.all(radius[mask] > 0.97) and np.all(radius[mask] < 1 + 1e-6) and np.all(radius[~mask] == 0)
    # each chart is flat: a pixel's place in its plane is on the grid
    place = points[0][mask[0]]
    assert len(np.unique(np.round(place[:, 0], 5))) <= 14 and len(np.unique(np.round(place[:, 1], 5))) <= 14
    assert np.min(unproject(views, np.ones((views.count, 14, 14), np.float32))) > 1e-3
    np.testing.assert_allclose(average(views, rows), z, atol=0.02)
    residual = np.asarray(eqx.filter_jit(sd.lookahead.Views.residual)(views, rows + 1.0, z))
    np.testing.assert_allclose(residual[..., 0].reshape(views.count, -1), 1.0 * mask, atol=1e-5)


def test_a_chart_looks_at_the_nearest_sheet_of_a_fold():
    # a strip folded twice: it runs right at z = 0, back at z = 1 with its outside below, and right again at z = 2
    bend = np.radians([-45.0, 0.0, 45.0])
    profile = np.concatenate([
        np.stack([np.arange(-1, 4.1, 0.5), np.zeros(11)], -1), np.stack([4 + 0.5 * np.cos(bend), 0.5 + 0.5 * np.sin(bend)], -1),
        np.stack([np.arange(4, -0.1, -0.5), np.ones(9)], -1), np.stack([-0.5 * np.cos(bend), 1.5 + 0.5 * np.sin(bend)], -1),
        np.stack([np.arange(0, 4.1, 0.5), 2 * np.ones(9)], -1),
    ])  # fmt: skip
    vertices = np.array([(x, y, z) for x, z in profile for y in (0.0, 0.5, 1.0)])
    corners = [
        (3 * i + j, 3 * i + 3 + j, 3 * i + j + 1, 3 * i + 4 + j) for i in range(len(profile) - 1) for j in range(2)
    ]
    faces = np.array([face for a, b, c, d in corners for face in ((a, b, c), (b, d, c))])
    views = sd.lookahead.mesh(
        vertices, faces, chart=60, count=8, margin=4.0
    )  # wide enough to look down on all three sheets
    points = np.asarray(views.points).reshape(8, 60, 60, 3)
    height, seen = points[..., 2], np.asarray(views.coefficients).sum(-1).reshape(8, 60, 60) > 0.5
    middle = seen[:, 29:31, 29:31].any((1, 2))
    below = [v for v in range(8) if middle[v] and np.abs(height[v, 29:31, 29:31]).max() < 1e-6]
    assert len(below) >= 2 and max(height[v][seen[v]].max() for v in below) <= 0.6


def test_a_mesh_takes_as_many_charts_as_see_every_vertex():
    vertices, faces = ball(3)
    few, many = (sd.lookahead.mesh(vertices, faces, chart=chart) for chart in (24, 5))
    assert few.count == 6 < many.count
    with pytest.raises(ValueError, match="vertices unseen"):
        sd.lookahead.mesh(vertices, faces, chart=5, count=6)
    with pytest.raises(ValueError, match="unconnected"):
        sd.lookahead.mesh(
            np.concatenate([vertices, vertices + 3]), np.concatenate([faces, faces + len(vertices)]), chart=8
        )


@pytest.mark.parametrize("name", ["sphere", "mesh"])
def test_noise_gain_is_the_standard_deviation_of_white_noise_in_a_view(name):
    views = VIEWS[name]()
    size = int(np.prod(views.shape))
    units = np.eye(size, dtype=np.float32).reshape(size, *views.shape)
    rows = np.asarray(project(views, units)).reshape(size, views.count, -1)
    variance, seen = np.sum(rows**2, 0), np.any(rows != 0, 0)
    np.testing.assert_allclose(views.noise_gain, np.sqrt(variance.sum(-1) / seen.sum(-1)), rtol=1e-5)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: sd.lookahead.windows(10, 4, 5), "stride = 5"),
        (lambda: sd.lookahead.windows(10, 12, 5), "window = 12"),
        (lambda: sd.lookahead.windows(10, 4, 0), "stride = 0"),
        (lambda: sd.lookahead.windows(10, 4, 2, axis=0), "axes"),
        (lambda: sd.lookahead.patches((8, 8), (4, 4, 4), 2), "window"),
        (lambda: sd.lookahead.patches((8, 8), 4, 2, axes=(1, 1)), "axes"),
        (lambda: sd.lookahead.windows(10, 4, 2).project(jnp.zeros((1, 9))), r"expected \(10,\)"),
        (lambda: sd.lookahead.windows(10, 4, 2).unproject(jnp.zeros((3, 4))), "multiple of 4 rows"),
        (lambda: sd.lookahead.sphere((8, 15), chart=4), "even number of longitudes"),
        (lambda: sd.lookahead.sphere((8, 16), chart=8), "120 degrees"),
        (lambda: sd.lookahead.sphere((8, 16), chart=4, overlap=1.0), "overlap"),
        (lambda: sd.lookahead.mesh(np.zeros((3, 2)), np.zeros((1, 3), int), chart=4), "expected"),
        (lambda: sd.lookahead.mesh(np.eye(3), np.array([[0, 1, 3]]), chart=4), "0 to 2"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
