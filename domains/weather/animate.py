"""Radar loops as GIF files."""

import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from domains.weather.generate import INTERVAL, SPACING
from domains.weather.plots import _colour_bar, _lead, _rain, _tidy
from sciddm.errors import UserError


def gif(sequences, path, minutes=None, seconds: float = 0.35, spacing: float = SPACING, dpi: int = 90):
    """One loop of several sequences side by side, each frame with its lead time, the last one held three times as long.

    sequences: (T, Y, X) dBZ, or name -> (T, Y, X), such as truth and members; minutes: (T,), 4 past frames if not given.
    Raises: UserError if they differ in length or shape. Returns: path.
    """
    sequences = {k: np.asarray(v) for k, v in (sequences if isinstance(sequences, dict) else {"": sequences}).items()}
    shapes = {v.shape for v in sequences.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 3:
        raise UserError(
            f"gif: expected sequences of one shape (T, Y, X), got { ({k: v.shape for k, v in sequences.items()}) }"
        )
    count, *size = shapes.pop()
    minutes = INTERVAL * (np.arange(count) - 3) if minutes is None else np.asarray(minutes)
    # Not by pyplot: a loop leaves no open figure behind.
    width = 2.3
    fig = Figure(figsize=(width * len(sequences) + 1.2, width * size[0] / size[1] + 0.75), layout="constrained")
    axes = fig.subplots(1, len(sequences), squeeze=False)
    images = []
    for ax, (name, sequence) in zip(axes.flat, sequences.items(), strict=True):
        images.append(_rain(ax, sequence[0], spacing))
        ax.set_title(name or " ", fontsize=9.5)
    _tidy(axes, len(sequences), tuple(size), spacing)
    _colour_bar(fig, images[0], axes)
    title = fig.suptitle(_lead(minutes[0]), fontsize=11, fontweight="bold")
    pages = []
    for t, minute in enumerate(minutes):
        for image, sequence in zip(images, sequences.values(), strict=True):
            image.set_data(sequence[t])
        title.set(text=_lead(minute), color="#111111" if minute > 0 else "#777777")
        buffer = io.BytesIO()
        fig.savefig(buffer, dpi=dpi, format="png")
        pages.append(Image.open(buffer).convert("RGB").quantize(colors=128, dither=Image.Dither.NONE))
    held = int(1000 * seconds)
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=[held] * (count - 1) + [3 * held], loop=0)
    return path
