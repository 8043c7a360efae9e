"""Networks of sounds: a U-Net on the time-frequency plane, and for comparison one on the waveform."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from domains.audio.damage import PLANES
from domains.audio.mdct import imdct, mdct, sines_of
from domains.audio.put_back import continued, distance
from sciddm.networks import UNet
from sciddm.networks.layers import Linear, NoiseEmbedding

PLACES = 4  # channels that say which frequency a bin is of
SHARP = 0.02  # of the spread of a bin: differences are made no larger than in its units
LARGE = 8.0  # times the noise
DOUBT, IN_GAPS = 0.3, 0.5  # of a first guess, of its size; of the spread of a bin
QUIET, LEAST = 1e-5, 1e-6  # of the power of a bin: less is as loud to the network; and is not divided by
GUESS = 7  # the first plane of the first guess
NEAR = 32  # channels of what stands at a place
MASKS = 7  # what is added, of what by how much it is multiplied, and how far the first guess is trusted
TRUST, REACH = 3.0, 2.5  # ln of the odds of the first guess beside a sample that is known; samples from it at which they are half


class OfSounds(nnx.Module):
    """Abstract base of networks (x, noise_level, cond) -> like x, (B, frames, bins, 1) coefficients of `mdct`, normalised bin by bin.

    It has what goes past a U-Net: gains that depend on bin, noise level and kind of damage alone, of x, which is a Wiener filter of the
    average spectrum, and of what x differs by from what is heard and from the first guess, in units of the noise in both, where something
    is heard. With gains of 0 and 1 the latter two answer what is heard at every noise level, and the guess as far as it may be right.

    And it has what no window of a transform can do: beside samples that are known the answer is the first guess, which goes on from them
    without a click, and less of it the further from them (`trusted`).
    """

    def __init__(self, bins: int, concat_channels: int, embedding_features: int, features: int, rngs: nnx.Rngs):
        self.concat_channels = concat_channels
        self.noise, self.gain = NoiseEmbedding(features, rngs=rngs), Linear(features, 3 * bins, scale=0.0, rngs=rngs)
        self.trust = Linear(features, 2, scale=0.0, rngs=rngs)
        self.numbers = Linear(embedding_features, features, rngs=rngs) if embedding_features else None

    @property
    def divisor(self) -> int:
        """The number of frames, or of samples of one on the waveform, must be a multiple of it."""
        return self.unet.divisor

    def hears(self, cond) -> bool:
        """Whether anything is heard, which may be said of no sample of it."""
        return bool(self.concat_channels) and cond is not None and cond.get("concat") is not None

    def asked(self, x, noise_level, cond):
        """(what is heard (B, frames, bins, C), what x differs by from it and from the guess (B, frames, bins, 2), the same with zeros where
        not all is heard, the rest of cond for a `UNet`)."""
        seen, cond = condition_of(cond, x, self.concat_channels)
        if not self.concat_channels:
            none = jnp.zeros((*x.shape[:-1], 2), x.dtype)
            return seen, none, none, cond
        differs, there = differences(x, noise_level, seen)
        return seen, differs, there * differs, cond

    def put_back(self, answer, x, noise_level, seen, embedding, more=0.0):
        """The answer of which samples that are certain are put back into the sound that it stands for, and the first guess beside them, so
        that what is learned is of the others alone: x0_hat = (x + sigma answer) / sqrt(1 + sigma^2), of data of unit variance.

        Not at the first and last half of a block, where a window of a longer sound is folded with what is beyond it.

        Args: embedding: as of `embedding`; more: (B, frames, 1) or 0, ln of the odds by which the guess is trusted more there.
        """
        sigma = jnp.exp(4.0 * jnp.reshape(jnp.asarray(noise_level, x.dtype), (-1, 1, 1)))
        whole, half = jnp.sqrt(1.0 + sigma**2), x.shape[2] // 2
        heard, known, side, std = jnp.moveaxis(seen[..., PLANES:], -1, 0)
        inner = jnp.ones(x.shape[1:3], x.dtype).at[0, :half].set(0.0).at[-1, half:].set(0.0)
        std, flat = jnp.where(std > 0, std, 1.0), (x.shape[0], -1)
        blocks = imdct((x[..., 0] + sigma * answer[..., 0]) / whole * std).reshape(heard.shape)
        known = inner * known
        guess = imdct(seen[..., GUESS] * std).reshape(heard.shape) - blocks
        towards = self.trusted(known, sigma, embedding, more) * guess
        wave, inverse = lambda z: imdct(z * std), lambda wave: mdct(wave, x.shape[2]) / std  # noqa: E731
        moved = continued((heard - blocks - towards).reshape(flat), known.reshape(flat), wave, inverse)
        moved = towards + moved.reshape(heard.shape)
        moved = moved + inner * side * jax.nn.relu(side * (heard - blocks - moved))
        return answer + (mdct(moved.reshape(flat), x.shape[2]) / std * whole / sigma)[..., None]

    def trusted(self, known, sigma, embedding, more):
        """(B, frames, bins), like known, samples of a block in the place of bins: 0 to 1, how far the answer is the first guess.

        The odds are those of the variances of two errors: the guess's, which grows with the distance d to the nearest sample that is known,
        and the answer's, which falls with the noise, exp(TRUST + a) sigma^2 / (1 + sigma^2) / (1 + d / REACH)^(1 + b), a and b learned. Of
        no sample that is known it is 0.
        """
        a, b = jnp.moveaxis(self.trust(embedding)[:, None, None], -1, 0)
        far = distance(known.reshape(known.shape[0], -1)).reshape(known.shape)
        further = jnp.log1p(jnp.minimum(far, known[0].size) / REACH)
        odds = TRUST + a + more + jnp.log(sigma**2 / (1.0 + sigma**2)) - (1.0 + b) * further
        return jnp.where(jnp.isfinite(far), jax.nn.sigmoid(odds), 0.0)

    def embedding(self, x, noise_level, cond):
        """(B or 1, features) of the noise level and of what is wrong with the sound."""
        embedding = self.noise(noise_level)
        if self.numbers is not None:  # zeros say that there is no damage, or nothing that is heard
            numbers = cond.get("embedding", jnp.zeros((1, self.numbers.kernel.shape[0]), x.dtype))
            embedding = embedding + self.numbers(numbers if "keep" not in cond else numbers * cond["keep"][:, None])
        return jax.nn.silu(embedding).astype(x.dtype)

    def gains(self, x, embedding):
        """Of x (B or 1, 1, bins, 1) and of what it differs by (B or 1, 1, bins, 2)."""
        of = self.gain(embedding).reshape(-1, 1, x.shape[2], 3)
        return of[..., :1], of[..., 1:]


class Spectral(OfSounds):
    """A U-Net on the plane of frames and bins. It sees beside x the sine coefficients of the same sound, for cosines alone don't tell
    amplitude from phase, where on the frequency axis it is, what is heard, the first guess, what x differs from both by, and how loud all
    are.

    It answers what is added, and by how much x, what it is over how loud it is around there, by cosines and by sines, and the differences
    are multiplied, place by place: sounds are loud here and quiet there by a factor of hundreds, and what is expected of noisy ones is
    first of all a gain. Of a place of variance v it is F = sigma (v - 1) / (v + sigma^2) x, of which quiet places want many times x, and
    no more than once x over its size there.

    Args: bins; concat_channels, embedding_features: of cond["concat"] (B, frames, bins, 1, C) and cond["numbers"]
        (B, frames, 1, 1, E), which are the same in all frames; 0 for none; others: of `UNet`.
    """

    def __init__(
        self, bins: int, *, concat_channels: int = 0, embedding_features: int = 0, channels: tuple[int, ...] = (64, 96, 96),
        blocks: int = 1, patch: int = 4, attention_levels: tuple[int, ...] = (1, 2), heads: int = 4, features: int = 128, rngs: nnx.Rngs,
    ):  # fmt: skip
        super().__init__(bins, concat_channels, embedding_features, features, rngs)
        planes = 6 + PLACES + (PLANES + 6) * bool(concat_channels)
        self.near, self.film = Linear(2 * planes, NEAR, rngs=rngs), Linear(features, 2 * NEAR, scale=0.0, rngs=rngs)
        self.out = Linear(NEAR, MASKS, scale=0.0, rngs=rngs)
        self.unet = UNet(
            planes, channels=channels, blocks=blocks, patch=patch,
            attention_levels=attention_levels, heads=heads, features=features, embedding_features=embedding_features, rngs=rngs,
        )  # fmt: skip

    def __call__(self, x, noise_level, cond=None):
        heard = self.hears(cond)
        seen, differs, known, cond = self.asked(x, noise_level, cond)
        other = sines(x)
        even, even_other = evened(x, other)
        at = jnp.broadcast_to(places(x.shape[2]).astype(x.dtype), (*x.shape[:3], PLACES))
        planes = [x, other, even, even_other, at, loudness(x, other)]
        if self.concat_channels:
            planes += [seen[..., :PLANES], differs, *(loudness(seen[..., i : i + 1], seen[..., i + 1 : i + 2]) for i in (0, GUESS))]
        planes, embedding = jnp.concatenate(planes, -1), self.embedding(x, noise_level, cond)
        found = self.nearby(planes, self.unet(planes, noise_level, cond), embedding)
        always_x, always_known = self.gains(x, embedding)
        answer = found[..., :1] + (always_x + found[..., 1:2]) * x + found[..., 2:3] * even + found[..., 3:4] * even_other
        answer = answer + ((always_known + found[..., 4:6]) * known).sum(-1, keepdims=True)
        return self.put_back(answer, x, noise_level, seen, embedding, found[..., 6].mean(-1, keepdims=True)) if heard else answer

    def nearby(self, planes, found, embedding):
        """(B, frames, bins, MASKS) of what the U-Net found, patch by patch, and of what stands at each place: a gain is a matter of how
        loud it is just there, which a patch has no room to say."""
        scale, shift = jnp.split(self.film(embedding)[:, None, None], 2, axis=-1)
        near = jax.nn.silu(self.near(jnp.concatenate([planes, found], -1)) * (1 + scale) + shift)
        return found[..., :MASKS] + self.out(near)


class Waveform(OfSounds):
    """A U-Net on patches of the waveform, for comparison: what `Spectral` sees as planes it sees as waveforms.

    Args: as of `Spectral`; patch: samples.
    """

    def __init__(
        self, bins: int, *, concat_channels: int = 0, embedding_features: int = 0, channels: tuple[int, ...] = (128, 192, 256),
        blocks: int = 1, patch: int = 32, attention_levels: tuple[int, ...] = (1, 2), heads: int = 4, features: int = 128, rngs: nnx.Rngs,
    ):  # fmt: skip
        super().__init__(bins, concat_channels, embedding_features, features, rngs)
        self.unet = UNet(
            1 + (PLANES + 2) * bool(concat_channels), ndim=1, channels=channels, blocks=blocks, patch=patch,
            attention_levels=attention_levels, heads=heads, features=features, embedding_features=embedding_features, rngs=rngs,
        )  # fmt: skip

    def __call__(self, x, noise_level, cond=None):
        heard = self.hears(cond)
        seen, differs, known, cond = self.asked(x, noise_level, cond)
        planes = [x, seen[..., :PLANES], differs] if self.concat_channels else [x]
        waves = jnp.moveaxis(imdct(jnp.moveaxis(jnp.concatenate(planes, -1), 3, 1)), 1, -1)
        answer = mdct(self.unet(waves, noise_level, cond)[..., 0], x.shape[2])[..., None]
        embedding = self.embedding(x, noise_level, cond)
        always_x, always_known = self.gains(x, embedding)
        answer = answer + always_x * x + (always_known * known).sum(-1, keepdims=True)
        return self.put_back(answer, x, noise_level, seen, embedding) if heard else answer


def differences(x, noise_level, seen):
    """(what is heard, and the first guess, less x, each times what brings it to about unit variance; where either may be trusted), all
    (B, frames, bins, 2).

    Of what is heard it is in units of the noise in both: where that is as it was, noise of unit variance and, where x says little, the
    sound; elsewhere it may be many times as much, and is bounded. Of the guess, g, which is `DOUBT` of its own size off, d, and more in
    gaps and noise, it is sigma / (sigma^2 + d^2) (g sqrt(1 + sigma^2) - x): a gain of 1 weighs x and g as their errors say. The guess may
    be trusted everywhere, 1, what is heard where it is as it was.

    x: sqrt(1 + sigma^2) times smaller than the noisy sound, sigma = exp(4 noise_level); seen: the channels of `Damage.condition`.
    """
    sigma = jnp.exp(4.0 * jnp.reshape(jnp.asarray(noise_level, x.dtype), (-1, 1, 1, 1)))
    whole, spread = jnp.sqrt(1.0 + sigma**2), seen[..., 6:7]
    guess, no_gap = seen[..., GUESS : GUESS + 2], seen[..., 3:5].min(-1, keepdims=True)
    doubt = SHARP**2 + DOUBT**2 * (guess**2).mean(-1, keepdims=True) + IN_GAPS**2 * (1.0 - no_gap) + (DOUBT * spread) ** 2
    heard = (seen[..., :1] * jnp.sqrt(1.0 + spread**2) * whole - x) / jnp.sqrt(sigma**2 + spread**2 * whole**2 + SHARP**2)
    differs = jnp.concatenate([heard, (guess[..., :1] * whole - x) * sigma / (sigma**2 + doubt)], -1)
    there = (no_gap == 1) * seen[..., 5:6]
    most = LARGE * (1.0 + 7.0 * sigma**2 / whole**2)
    return differs / jnp.sqrt(1.0 + (differs / most) ** 2), jnp.concatenate([there, jnp.ones_like(there)], -1)


def loudness(cosines, sines):
    """ln of the power, bounded below, about -1 to 1, of each place and of the nine around it: (B, frames, bins, 2)."""
    power = (cosines**2 + sines**2)[..., 0]
    return 0.2 * jnp.log(jnp.stack([power, around(power)], -1) + QUIET)


def evened(cosines, sines):
    """Both over the root mean square of the nine places around each: of noise alone, of any level, about unit variance."""
    size = jnp.sqrt(around(cosines[..., 0] ** 2 + sines[..., 0] ** 2) / 2 + LEAST)[..., None]
    return cosines / size, sines / size


def around(power):
    """(B, frames, bins) mean over each place and its eight neighbours."""
    padded = jnp.pad(power, ((0, 0), (1, 1), (1, 1)), "edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9


def condition_of(cond, x, channels: int):
    """What is heard, (B, frames, bins, channels), 0 where cond or its "keep" is, and the rest of cond for a `UNet`: the numbers."""
    cond = dict(cond or {})
    seen, numbers, keep = cond.pop("concat", None), cond.pop("numbers", None), cond.get("keep")
    if numbers is not None:
        cond["embedding"] = jnp.broadcast_to(numbers[:, 0, 0, 0], (x.shape[0], numbers.shape[-1])).astype(x.dtype)
    if not channels or seen is None:
        return jnp.zeros((*x.shape[:3], channels), x.dtype), cond
    seen = jnp.broadcast_to(seen[..., 0, :].astype(x.dtype), (*x.shape[:3], channels))
    return seen if keep is None else seen * keep.reshape(-1, 1, 1, 1).astype(x.dtype), cond


def sines(x):
    """(B, frames, bins, 1) of cosine coefficients -> those by sines of the same sound."""
    return sines_of(x[..., 0])[..., None]


def places(bins: int):
    """(bins, PLACES): from -1 to 1 with the frequency, and waves of it."""
    at = (np.arange(bins) + 0.5) / bins
    return jnp.asarray(np.stack([2 * at - 1, np.cos(2 * np.pi * at), np.sin(2 * np.pi * at), np.cos(4 * np.pi * at)], -1), jnp.float32)
