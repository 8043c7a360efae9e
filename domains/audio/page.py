"""A page on which sounds are heard side by side: one HTML file that holds them, and opens in any browser without a network.

All sounds run together and one of them is heard; another one goes on at the same moment. Loudness is what it is.
"""

import base64
import html
import importlib.resources
import io
import string
import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from domains.audio import plots
from sciddm.data.made import at_once
from sciddm.errors import UserError

GROUPS = ("truth", "given", "baseline", "answers")
BLIND = ("baseline", "answers")  # whose labels a listener may hide
TYPES = {"WAV": "audio/wav", "OGG": "audio/ogg"}
LOSSLESS = 60.0  # seconds of sound in all: more makes a page that mail and browsers take badly, and is compressed with loss
BLOCK = 2**14  # samples at once: libsndfile's encoder of Vorbis overflows its stack by long ones
LEFT, RIGHT = 0.075, 0.985  # of a picture's width, where its time axis begins and ends
GREY, WAVE = "#7d7d7d", "#3f8fd0"  # to be read on white and on black


@dataclass(frozen=True, eq=False)
class Row:
    """A sound. samples: (n, channels) of full scale 1, what is missing NaN; rate: samples a second; note: a line, such as its figures;
    group: of GROUPS, in whose order rows stand."""

    label: str
    samples: np.ndarray
    rate: int
    note: str = ""
    group: str = "answers"

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def mono(self) -> np.ndarray:
        return self.samples.mean(1)


def page(
    rows: Sequence[Row], *, title: str, about: Sequence[tuple[str, object]] = (), marks: Sequence[tuple[float, float]] = ()
) -> str:
    """HTML of a page that plays `rows`, each with its waveform and spectrogram, in colours that all share.

    Sounds are kept to 16 bits, without loss up to a minute of them in all, else in OGG Vorbis where soundfile is there; values beyond full
    scale are clipped, which their row says.

    Args: about: (name, value) of what made them, in a table at the end; marks: (start, stop) seconds of places to go to, such as gaps.
    Raises: UserError if there is no row, one has no samples or no group of GROUPS.
    """
    rows = [_checked(row) for row in rows]
    if not rows:
        raise UserError("rows: there is none; expected at least one sound")
    rows.sort(key=lambda row: GROUPS.index(row.group))
    silent = [replace(row, samples=np.nan_to_num(row.samples, nan=0.0, posinf=1.0, neginf=-1.0)) for row in rows]
    lossy = sum(row.seconds for row in rows) > LOSSLESS
    sounds = [_encoded(row, lossy) for row in silent]
    seconds = max(row.seconds for row in rows)
    low, high = _colour_range(silent)
    most = max(np.abs(row.mono()).max() for row in silent) or 1.0
    pictures = [_picture(row, seconds, marks, (low, high), most) for row in silent]
    hidden = sum(row.group in BLIND for row in rows)
    template = importlib.resources.files("domains.audio").joinpath("page_template.html").read_text(encoding="utf-8")
    return string.Template(template).substitute(
        title=html.escape(title),
        said=html.escape(_said(rows, {kind for kind, _ in sounds})),
        longest=f"{seconds:.2f}",
        left=f"{100 * LEFT:g}",
        width=f"{100 * (RIGHT - LEFT):g}",
        blind='<button id="blind" type="button" aria-pressed="false">Blind</button>' if hidden > 1 else "",
        marks=_marks(marks),
        rows="\n".join(map(_row, rows, sounds, pictures)),
        bar=_colour_bar(low, high),
        about=_about(about),
    )


def write_page(text: str, path) -> None:
    """Write a page whole or not at all. Raises: UserError if there is something at `path`, or it can't be written."""
    with at_once(Path(path)) as partial:
        partial.write_text(text, encoding="utf-8")


def _checked(row):
    samples = np.asarray(row.samples, np.float64)
    if not samples.size:
        raise UserError(f"row {row.label!r}: there are no samples; expected (n, channels)")
    if row.group not in GROUPS:
        raise UserError(f"row {row.label!r}: group {row.group!r} is unknown; expected one of {', '.join(GROUPS)}")
    return replace(row, samples=samples.reshape(len(samples), -1), rate=int(row.rate))


def _encoded(row, lossy):
    # (format, bytes). No FLAC: it has no table of places here, and browsers can't go to any place in a short one.
    whole = np.clip(np.round(row.samples * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    vorbis = _vorbis(whole, row.rate) if lossy else None
    return ("WAV", _wav(whole, row.rate)) if vorbis is None else ("OGG", vorbis)


def _vorbis(whole, rate):
    try:
        import soundfile
    except ImportError:
        return None
    file = io.BytesIO()
    try:
        with soundfile.SoundFile(file, "w", rate, whole.shape[1], "VORBIS", format="OGG") as sound:
            for start in range(0, len(whole), BLOCK):
                sound.write(whole[start : start + BLOCK])
    except soundfile.LibsndfileError:  # of a rate, or so many channels, that it doesn't have
        return None
    return file.getvalue()


def _wav(whole, rate):
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(whole.shape[1])
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(whole.astype("<i2").tobytes())
    return file.getvalue()


def _said(rows, kinds):
    loss = "compressed with loss (OGG Vorbis), for there is more than a minute of them" if "OGG" in kinds else "16 bits without loss (WAV)"
    said = f"Sounds are {loss}; their loudness is as it was."
    if any(row.samples.shape[1] > 1 for row in rows):
        said += " Pictures show the mean of the channels."
    return said


def _remarks(row):
    # What a listener must know of what was done to a sound.
    beyond, missing = int((np.abs(row.samples) > 1).sum()), np.isnan(row.samples).any(1).mean()
    return [
        *([row.note] if row.note else []),
        *([f"{beyond} value{'s' if beyond > 1 else ''} beyond full scale, clipped"] if beyond else []),
        *([f"{100 * missing:.3g} % missing, silent here"] if missing else []),
    ]


def _row(row, sound, picture):
    kind, content = sound
    label, note = html.escape(row.label), html.escape("; ".join(_remarks(row)))
    group = f'<span class="group">{row.group.removesuffix("s")}</span>' if row.group != row.label else ""
    return f"""<li class="row" data-seconds="{row.seconds:.6f}" data-blind="{"yes" if row.group in BLIND else "no"}">
<div class="line"><button class="hear" type="button" aria-pressed="false"></button>
<div><span class="label">{label}</span>{group}<span class="note">{note}</span><span class="fault" role="status"></span></div></div>
<audio preload="auto" src="{_uri(TYPES[kind], content)}"></audio>
<div class="pictures"><div class="picture"><img alt="Waveform and spectrogram of {label}" src="{_uri("image/png", picture)}">
<div class="head"></div></div></div>
</li>"""


def _marks(marks):
    if not len(marks):
        return ""
    button = '<button class="mark" type="button" aria-pressed="false" data-start="{0:.6f}" data-stop="{1:.6f}">{0:.2f} to {1:.2f} s'
    buttons = " ".join(button.format(start, stop) + "</button>" for start, stop in marks)
    return f'<div class="line places" role="group" aria-label="Places to hear in a loop"><span>Loop over</span> {buttons}</div>'


def _about(about):
    rows = [f'<tr><th scope="row">{html.escape(str(name))}</th><td>{html.escape(str(value))}</td></tr>' for name, value in about]
    return f'<table aria-label="What made these sounds">{"".join(rows)}</table>' if rows else ""


def _uri(kind, content):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _colour_range(rows):
    return max((plots.colour_range([row.mono()], row.rate) for row in rows), key=lambda both: both[1])


def _picture(row, seconds, marks, colours, most):
    figure = Figure(figsize=(9.0, 2.5))
    above = figure.add_axes((LEFT, 0.75, RIGHT - LEFT, 0.22))
    below = figure.add_axes((LEFT, 0.20, RIGHT - LEFT, 0.51))
    above.plot(*plots.envelope(row.mono(), row.rate), lw=0.6, color=WAVE)
    above.set(xlim=(0, seconds), ylim=(-1.05 * most, 1.05 * most), xticks=[])
    plots.spectrogram(below, row.mono(), row.rate, low=colours[0], high=colours[1])
    below.set(xlim=(0, seconds), xlabel="time [s]", ylabel="frequency [Hz]")
    for start, stop in marks:
        above.axvspan(start, stop, color=plots.MARK, alpha=0.3, lw=0)
        below.axvspan(start, stop, color="white", alpha=0.18, lw=0)
        below.vlines([start, stop], 0, row.rate / 2, color="white", lw=0.8, ls=(0, (4, 3)))
    return _png(figure, above, below)


def _colour_bar(low, high):
    figure = Figure(figsize=(4.5, 0.62))
    ax = figure.add_axes((0.06, 0.68, 0.88, 0.26))
    mappable = ScalarMappable(Normalize(low, high), plots.COLOURS)
    figure.colorbar(mappable, cax=ax, orientation="horizontal", extend="min", label="level [dB of full scale]")
    return _uri("image/png", _png(figure, ax))


def _png(figure, *axes):
    # In grey on nothing, which is read on a light page and on a dark one.
    for ax in axes:
        ax.tick_params(labelsize=9, colors=GREY)
        for label in (ax.xaxis.label, ax.yaxis.label):
            label.set(fontsize=9, color=GREY)
        for spine in ax.spines.values():
            spine.set(edgecolor=GREY, linewidth=0.7)
    axes[0].set_facecolor("none")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120, facecolor="none")
    return file.getvalue()
