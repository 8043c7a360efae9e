"""Melodies of plucked and blown notes, made from a seed: a second kind of sound, known exactly where it is mixed with another."""

import numpy as np

LOWEST, HIGHEST = 45, 84  # MIDI: 110 and 1046.5 Hz
PARTIALS = 24
SCALE = np.array([0, 2, 4, 5, 7, 9, 11])  # semitones of a major key
BEATS = np.array([0.25, 0.5, 0.5, 1.0, 1.0, 2.0])
BLOCK = 64  # samples: see `_partials`
PEAK = 0.5


def notes(seed, seconds: float, rate: float = 8000) -> np.ndarray:
    """One or two voices, each of one instrument, in one key and tempo, with rests. The same for the same seed.

    A note is sum_k a_k exp(-t / tau_k) sin(2 pi f_k t + phi_k) under an attack and a release, f_k = k f_0 sqrt(1 + B k^2), only of partials
    below .95 rate/2. Plucked: a_k of a string plucked somewhere, B > 0, the higher the shorter; blown: no decay, B = 0, a slow attack.
    (Fletcher & Rossing 1998, The physics of musical instruments, 2.7 and 12.2-3)

    Args: seed: an int, or a sequence of ints; seconds: above 0; rate: Hz.
    Returns: (round(seconds rate),) float32, its peak .5.
    """
    rng = np.random.default_rng(seed)
    count = max(1, round(seconds * rate))
    sound = np.zeros(count)
    key, beat = rng.integers(12), rng.uniform(0.25, 0.6)
    pitches = np.array([p for p in range(LOWEST, HIGHEST + 1) if (p - key) % 12 in SCALE])
    for voice in range(rng.integers(1, 3)):
        play = _plucked if rng.random() < 0.5 else _blown
        instrument, level = rng.random(3), rng.uniform(0.5, 1.0)
        place, at = rng.integers(len(pitches)), rng.uniform(0, 0.1) * (voice + 1) * min(1.0, seconds)
        while at < seconds:
            length = rng.choice(BEATS) * beat
            place = np.clip(place + rng.integers(-4, 5), 0, len(pitches) - 1)
            if rng.random() < 0.1:
                at += length  # a rest
            first = round(at * rate)
            room = count - first
            if room <= 0:
                break
            hertz = 440.0 * 2 ** ((pitches[place] - 69) / 12)
            note = level * rng.uniform(0.6, 1.0) * play(rng, hertz, length, rate, instrument)[:room]
            sound[first : first + len(note)] += note
            at += length
    peak = np.abs(sound).max()
    if peak == 0:  # nothing but a rest
        return notes([*np.atleast_1d(seed), 1], seconds, rate)
    return (sound * (PEAK / peak)).astype(np.float32)


def _plucked(rng, hertz, length, rate, instrument):
    # It rings on for a while after its time.
    k = np.arange(1, PARTIALS + 1)
    where, stiffness, ring = 0.1 + 0.35 * instrument[0], 10 ** (-5 + 2 * instrument[1]), 0.3 + 1.2 * instrument[2]
    decay = ring * (220 / hertz) ** 0.5 / (1 + 0.04 * k**2)
    loud = np.abs(np.sin(np.pi * k * where)) / k
    sound = _partials(rng, k * hertz * np.sqrt(1 + stiffness * k**2), loud, decay, length + 0.1, rate)
    return _shaped(sound, 0.003, 0.1, rate)


def _blown(rng, hertz, length, rate, instrument):
    k = np.arange(1, PARTIALS + 1)
    loud = k ** -(1.0 + 1.5 * instrument[0]) * np.where(k % 2 == 0, instrument[1], 1.0)
    sound = _partials(rng, k * hertz, loud, np.full(PARTIALS, np.inf), length, rate)
    time = np.arange(len(sound)) / rate
    tremolo = 1 + 0.15 * np.sin(2 * np.pi * (4 + 2 * rng.random()) * time + 2 * np.pi * rng.random())
    return _shaped(sound * tremolo, 0.02 + 0.06 * instrument[2], 0.04, rate)


def _partials(rng, hertz, loud, decay, length, rate):
    # sum_k Im(c_k z_k^t), t = BLOCK i + j, is a product of matrices: z_k^(BLOCK i) by z_k^j.
    heard = hertz < 0.95 * rate / 2
    hertz, loud, decay = hertz[heard], loud[heard], decay[heard]
    exponent = 2j * np.pi * hertz / rate - 1 / (decay * rate)
    count = max(1, round(length * rate))
    start = loud * np.exp(2j * np.pi * rng.random(PARTIALS)[: len(hertz)])
    left = start * np.exp(np.arange(0, count, BLOCK)[:, None] * exponent)
    right = np.exp(np.arange(BLOCK)[:, None] * exponent)
    sound = left.real @ right.imag.T + left.imag @ right.real.T
    return sound.reshape(-1)[:count]


def _shaped(sound, attack, release, rate):
    for seconds, end in ((attack, slice(None)), (release, slice(None, None, -1))):
        ramp = min(len(sound), max(1, round(seconds * rate)))
        sound[end][:ramp] *= np.sin(np.pi / 2 * np.arange(ramp) / ramp) ** 2
    return sound
