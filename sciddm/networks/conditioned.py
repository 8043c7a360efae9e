"""What a network is conditioned on: the noise level, and the kinds of condition that all our networks share."""

import jax.numpy as jnp
from flax import nnx

from sciddm.networks.layers import Linear, NoiseEmbedding, constant


class Conditioned(nnx.Module):
    """Base of the networks: embeds noise level and cond, with a learned null condition for what is not given.

    Args:
        features: width of the embedding that conditions every layer.
        concat_channels, embedding_features, token_features: of cond["concat"] (B, ..., C) on x's own points, cond["embedding"]
            (B, E) and cond["tokens"] (B, L, E); 0 for none. cond["keep"] (B,) of 0 and 1 makes samples unconditional where it is 0.
        others: further keys that the network reads itself.
    """

    def __init__(
        self, features: int, *, concat_channels=0, embedding_features=0, token_features=0, others=(), rngs: nnx.Rngs
    ):
        self.concat_channels, self.others, self.noise = concat_channels, others, NoiseEmbedding(features, rngs=rngs)
        self.embed = Linear(embedding_features, features, rngs=rngs) if embedding_features else None
        self.null_embedding = constant((embedding_features,)) if embedding_features else None
        self.null_token = constant((token_features,)) if token_features else None

    @property
    def takes(self) -> set[str]:
        """The keys that `cond` may have."""
        kinds = {
            "concat": self.concat_channels,
            "embedding": self.embed is not None,
            "tokens": self.null_token is not None,
        }
        return {"keep", *self.others} | {name for name, there in kinds.items() if there}

    def conditions(self, x, noise_level, cond):
        """What layers are conditioned on, for x (B, ..., C) at noise_level, () or (B,), or (B or 1, frames) with one a frame.

        Returns: embedding (1, features) or (B, features), where there is a level a frame a row for each; x with cond["concat"] behind
            its channels; tokens (B, L, E) or None.
        Raises: ValueError on a cond key that the network was not made for.
        """
        cond = cond or {}
        if unknown := set(cond) - self.takes:
            raise ValueError(f"cond has {sorted(unknown)}: this network takes {sorted(self.takes)}")
        batch, keep = x.shape[0], cond.get("keep", jnp.ones(x.shape[0], x.dtype))
        level = jnp.atleast_1d(noise_level)
        embedding, tokens = self.noise(level.reshape(-1)), None
        if self.embed is not None:
            embedded = self.embed(_chosen(cond.get("embedding"), keep, self.null_embedding[...], (batch,)))
            embedded = embedded.reshape(batch, *(1,) * (level.ndim - 1), -1)
            embedding = (embedding.reshape(*level.shape, -1) + embedded).reshape(-1, embedded.shape[-1])
        if self.null_token is not None:
            given = cond.get("tokens")
            tokens = _chosen(given, keep, self.null_token[...], (batch, 1 if given is None else given.shape[1]))
        if self.concat_channels:
            null = jnp.zeros((self.concat_channels,), x.dtype)
            x = jnp.concatenate([x, _chosen(cond.get("concat"), keep, null, x.shape[:-1]).astype(x.dtype)], -1)
        return embedding, x, tokens


def _chosen(given, keep, null, shape):
    # The given condition where keep is 1, the learned null one elsewhere; `shape` is that of the result without its features.
    null = jnp.broadcast_to(null, (*shape, null.shape[-1]))
    if given is None:
        return null
    return jnp.where(keep.reshape(keep.shape + (1,) * (null.ndim - 1)) > 0, given, null)
