"""Sounds of a few harmonics that glide, fade and pause: what tests of the audio domain train on and damage."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 8000


def sound(seed: int, seconds: float, rate: int = RATE) -> np.ndarray:
    """(n,) full scale 1: a voice of harmonics up to 3.5 kHz in noise 50 dB below, syllables of a fifth of a second."""
    rng, time = np.random.default_rng(seed), np.arange(round(seconds * rate)) / rate
    pitch = 150 + 60 * rng.random() + 20 * np.sin(2 * np.pi * (1 + rng.random()) * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    loud = np.clip(np.sin(2 * np.pi * 2.5 * time + rng.random()), 0.05, 1)
    voice = sum(np.cos(k * phase + rng.random() * 6) / k for k in range(1, 18) if k * pitch.max() < 0.44 * RATE)
    return 0.15 * loud * voice + 3e-4 * rng.standard_normal(len(time))


def write_sounds(folder) -> Path:
    """A folder of them, split by its subfolders."""
    folder = Path(folder) / "sounds"
    for split, count in (("train", 4), ("held_out", 3)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            file = folder / split / f"{i}.wav"
            if not file.exists():
                soundfile.write(file, sound(10 * count + i, 1.0), RATE)
    return folder
