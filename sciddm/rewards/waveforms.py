"""Rewards of waveforms: speech, notes."""

import jax
import jax.numpy as jnp


def onsets(
    waveform, sample_rate: float, *, rise=10.0, floor=-60.0, frame_time=0.02, memory_time=0.1, refractory_time=0.06
):
    """Number of onsets of energy: beats, syllables, notes. Not differentiable.

    The level of a frame is 10 log10(mean square) dB of full scale 1, at least `floor`. A frame is loud if its level is more than
    `rise` above the lowest of the frames of the `memory_time` before; the first of a run of loud frames is an onset, unless the last
    onset was less than `refractory_time` before. What sounds from the very first frame on is none.

    Args: waveform: (B, samples), frames that it does not fill are left out; sample_rate: Hz; rise: dB; floor: dB;
        frame_time, memory_time, refractory_time: s, taken to whole frames.
    Returns: (B,) float, a count.
    Raises: ValueError if there is less than one sample a frame, or fewer than two frames.
    """
    size = round(frame_time * sample_rate)
    if size < 1 or waveform.shape[1] < 2 * size:
        raise ValueError(
            f"frame_time = {frame_time} s at {sample_rate} Hz is {size} samples of the {waveform.shape[1]}: expected two frames or more"
        )
    batch, frames = waveform.shape[0], waveform.shape[1] // size
    memory, refractory = (max(round(time / frame_time), 1) for time in (memory_time, refractory_time))
    power = jnp.mean(jnp.square(waveform[:, : frames * size].reshape(batch, frames, size)), axis=2)
    level = 10.0 * jnp.log10(jnp.maximum(power, 10.0 ** (floor / 10.0)))
    before = jnp.pad(level, ((0, 0), (memory, 0)), mode="edge")
    lowest = jnp.min(jnp.stack([before[:, i : i + frames] for i in range(memory)]), axis=0)
    loud = level > lowest + rise
    starts = loud & ~jnp.pad(loud, ((0, 0), (1, 0)))[:, :-1]

    def step(since, start):
        onset = start & (since >= refractory)
        return jnp.where(onset, 1, since + 1), onset

    _, found = jax.lax.scan(step, jnp.full(batch, refractory), starts.T)
    return jnp.sum(found, axis=0, dtype=jnp.result_type(float))
