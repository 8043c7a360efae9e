"""Square charts of a surface mesh whose field lives on its vertices.

Charts stand at vertices far from each other (farthest-point sampling by geodesic distance along edges), lie in the tangent plane
there, and interpolate linearly within the triangles that they look down upon; the nearest sheet where a surface folds.
"""

import numpy as np
import scipy

from sciddm.lookahead.views.base import Views, interpolating, nearest_is_own


def mesh(vertices, faces, *, chart: int, count: int | None = None, margin: float = 1.25, axis: int = 1) -> Views:
    """Charts that see every vertex; `points` are positions on the surface, 0 where a chart looks past it.

    Args:
        vertices: (N, 3); faces: (F, 3) indices, counter-clockwise from outside; chart: pixels of a chart's side.
        count: of charts; None: as many as it takes; axis: of the vertices in the batched array.
        margin: half a side, over the largest distance in a chart's plane of a vertex to its nearest centre; 1 is hardly any overlap.
    Raises: ValueError on shapes or indices that make no connected mesh, or where `count` charts leave vertices unseen.
    """
    vertices, faces = np.asarray(vertices, float), np.asarray(faces)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"vertices {vertices.shape}, faces {faces.shape}: expected (N, 3) and (F, 3)")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError(f"faces name vertices {faces.min()} to {faces.max()}: expected 0 to {len(vertices) - 1}")
    if chart < 2 or margin < 1 or (count is not None and not 1 <= count <= len(vertices)):
        raise ValueError(
            f"chart = {chart}, count = {count}, margin = {margin}: expected 2 or more pixels, 1 to N charts, margin >= 1"
        )
    graph, normals = _edges(vertices, faces), _normals(vertices, faces)
    centres, distances = [], np.full((0, len(vertices)), np.inf)
    wanted = count or min(6, len(vertices))
    while True:
        while len(centres) < wanted:
            centres.append(int(np.argmax(distances.min(0))) if centres else int(np.argmax(vertices[:, 2])))
            distances = np.vstack([distances, scipy.sparse.csgraph.dijkstra(graph, directed=False, indices=centres[-1])])
        if not np.all(np.isfinite(distances)):
            raise ValueError("faces leave vertices unconnected: give each connected part a mesh of its own")
        frames = [_frame(faces, normals, centre) for centre in centres]
        half, owner = 0.0, np.argmin(distances, axis=0)
        for view, (centre, frame) in enumerate(zip(centres, frames, strict=True)):
            own = (vertices[owner == view] - vertices[centre]) @ frame[:2].T
            half = max(half, margin * float(np.abs(own).max(initial=0.0)))
        charts = [
            _chart(vertices, faces, normals, centre, frame, distance, half, chart)
            for centre, frame, distance in zip(centres, frames, distances, strict=True)
        ]
        indices, coefficients, points = (np.stack(part) for part in zip(*charts, strict=True))
        total = np.zeros(len(vertices))
        np.add.at(total, indices, coefficients)
        unseen = int(np.sum(total < 1e-3))
        if not unseen:
            break
        if count or wanted == len(vertices):
            raise ValueError(
                f"{wanted} charts leave {unseen} vertices unseen: give chart more than {chart} pixels, or more charts"
            )
        wanted = min(len(vertices), int(np.ceil(1.25 * wanted)))
    return interpolating(
        coefficients,
        indices=indices.astype(np.int32),
        shape=(len(vertices),),
        view_shape=(chart, chart),
        axes=(axis,),
        central=nearest_is_own(points, vertices[centres]),
        points=points,
    )


def _edges(vertices, faces):
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    a, b = np.unique(np.sort(np.stack([a, b], -1), axis=-1), axis=0).T  # an edge of two faces counts once
    return scipy.sparse.coo_matrix((np.linalg.norm(vertices[a] - vertices[b], axis=-1), (a, b)), (len(vertices),) * 2).tocsr()


def _normals(vertices, faces):
    corners = vertices[faces]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _frame(faces, normals, centre):
    """(3, 3) east, north and up at a vertex."""
    up = normals[np.any(faces == centre, axis=1)].sum(0)
    up /= np.linalg.norm(up)
    east = np.cross(np.eye(3)[np.argmin(np.abs(up))], up)
    east /= np.linalg.norm(east)
    return np.stack([east, np.cross(up, east), up])


def _chart(vertices, faces, normals, centre, frame, distance, half, pixels):
    """indices (P, 3), barycentric coefficients (P, 3), 0 beside the surface, and positions (P, 3) of one chart."""
    # Corners of the square are sqrt(2) half away, and a curved way there is longer; beyond that another sheet may lie below.
    near = np.all(distance[faces] <= 2.5 * half, axis=1) | np.any(faces == centre, axis=1)
    chosen = faces[near & (normals @ frame[2] > 0.1 * np.linalg.norm(normals, axis=1))]
    offset = (vertices[chosen] - vertices[centre]) @ frame.T
    corner, height = offset[..., :2], offset[..., 2]
    ticks = half * ((np.arange(pixels) + 0.5) * 2 / pixels - 1)
    y, x = np.meshgrid(ticks, ticks, indexing="ij")
    target = np.stack([x.ravel(), y.ravel()], -1)
    # b_0, b_1 of p = b_0 c_0 + b_1 c_1 + (1 - b_0 - b_1) c_2: (P, F)
    edges = np.stack([corner[:, 0] - corner[:, 2], corner[:, 1] - corner[:, 2]], -1)
    first = np.einsum("fij,pfj->pfi", np.linalg.inv(edges), target[:, None] - corner[None, :, 2])
    b = np.concatenate([first, 1 - first.sum(-1, keepdims=True)], -1)
    inside = b.min(-1) >= -1e-9
    score = np.where(inside, np.abs(np.einsum("pfk,fk->pf", b, height)), np.inf)
    best = np.argmin(score, axis=1)
    seen = inside[np.arange(len(best)), best]
    coefficients = np.clip(b[np.arange(len(best)), best], 0.0, 1.0) * seen[:, None]
    indices = chosen[best]
    return indices, coefficients, np.einsum("pk,pkd->pd", coefficients, vertices[indices])
