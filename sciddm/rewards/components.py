"""Connected components of a graph, whatever says who is whose neighbour."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def count_components(nodes, largest_around: Callable):
    """Number of connected components among `nodes`.

    A node takes the largest label around it, then the label of the node that its own label names, until nothing changes: the
    second halves the way to go (Shiloach & Vishkin 1982, doi:10.1016/0196-6774(82)90008-6). In a lax.while_loop: not differentiable.

    Args: nodes: (B, N) bool, which are there; largest_around: (B, N) labels -> (B, N), the largest among a node's neighbours,
        -1 being that of no node.
    Returns: (B,) int32.
    """
    index = jnp.arange(nodes.shape[1], dtype=jnp.int32)

    def spread(carry):
        labels, _ = carry
        wider = jnp.maximum(labels, largest_around(labels))
        # A label is the index of a node of the same component, so that node's label is one too.
        wider = jnp.where(nodes, jnp.take_along_axis(wider, jnp.maximum(wider, 0), axis=1), -1)
        return wider, jnp.any(wider != labels)

    start = jnp.where(nodes, index, -1)
    labels, _ = jax.lax.while_loop(lambda carry: carry[1], spread, (start, jnp.asarray(True)))
    return jnp.sum(nodes & (labels == index), axis=1, dtype=jnp.int32)
