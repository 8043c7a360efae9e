import jax
import numpy as np
import pytest

from sciddm import rewards


def test_onsets_are_the_rises_over_what_was_before():
    rate, frame = 1000, 20

    def sound(*levels):  # one entry a frame, in dB
        return np.repeat(10.0 ** (np.array(levels, float) / 20.0), frame)

    quiet, loud = [-80.0] * 10, [-20.0] * 10
    fading = list(np.arange(0.0, -30.0, -3.0))
    cases = {
        "silence": (quiet + quiet, 0), "sound from the start": (loud + loud, 0), "one note": (quiet + loud, 1),
        "its end is none": (loud + quiet, 0), "two notes": (quiet + loud + quiet + loud, 2), "a decay": (fading + fading, 1),
        "below the floor": ([-90.0] * 10 + [-65.0] * 10, 0), "a small rise": (quiet + loud + [-12.0] * 10, 1),
        "a large rise": (quiet + loud + [-5.0] * 10, 2), "a slow swell": (list(np.linspace(-50.0, 0.0, 50)), 0),
        "a stutter": (quiet + [-20.0, -80.0, -20.0] + quiet, 1), "two strokes": (quiet + [-20.0, -80.0, -80.0, -20.0] + quiet, 2),
    }  # fmt: skip
    onsets = jax.jit(lambda x: rewards.onsets(x, rate))
    lengths = sorted({len(levels) for levels, _ in cases.values()})
    for length in lengths:
        names = [name for name, (levels, _) in cases.items() if len(levels) == length]
        found = onsets(np.stack([sound(*cases[name][0]) for name in names]))
        np.testing.assert_array_equal(found, [cases[name][1] for name in names], err_msg=str(names))
    padded = [np.pad(sound(*levels), (0, (lengths[-1] - len(levels)) * frame)) for levels, _ in cases.values()]
    np.testing.assert_array_equal(onsets(np.stack(padded)), [wanted for _, wanted in cases.values()])
    with pytest.raises(ValueError, match="two frames"):
        rewards.onsets(np.zeros((1, 30)), rate)
