"""Gaps as a user says them, and damage as it is measured in a sound: runs of zeros, clipping, a lost band, noise."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.ndimage
import scipy.signal
import scipy.stats

from domains.audio.sound import Sound
from sciddm.data.reading import read_text
from sciddm.errors import UserError
from sciddm.given import Thing, say

STARTS, STOPS = ("start", "begin", "onset", "from", "t0", "tmin"), ("end", "stop", "offset", "to", "t1", "tmax")
LENGTHS = ("duration", "length", "dur")
TIME = r"[-+]?[\d.:]+(?:e[-+]?\d+)?\s*(?:ms|s)?"
RANGE = re.compile(rf"\s*({TIME})\s*(?:-|\u2013|\u2014|\.\.|to)\s*({TIME})\s*", re.IGNORECASE)
PAUSE = 2.0  # s; zeros for longer are a pause of the recording
EXTREME = 1e-4  # relative; as near to the loudest sample as this is as loud
BELOW = 45.0  # dB that a lost band lies below that of speech
STEEP = 15.0  # dB that the level falls at its edge, at least
EXPECTED = "expected start and end in seconds, such as 1.25 1.5"
TYPED = "expected seconds, such as 1.2-1.5, 3.0-3.1"


def read_gaps(thing) -> list[tuple[float, float]]:
    """Gaps (start, stop) in seconds, in order, those that touch as one.

    thing: a file with a gap a line (start and end by tabs, semicolons, commas or spaces; "#" comments; Audacity labels) or of named columns
    (start and end, stop or duration; onset and offset), a text such as "1.2-1.5, 3.0-3.1", or pairs of numbers. Times: seconds, mm:ss.s or
    hh:mm:ss; of decimal commas between tabs or semicolons. Raises: UserError naming the file and line.
    """
    thing = thing.value if isinstance(thing, Thing) else thing
    if isinstance(thing, str) and not RANGE.match(thing) and "\n" not in thing and Path(thing).expanduser().is_file():
        thing = Path(thing)
    if isinstance(thing, Path):
        where, found = str(thing), list(_of_lines(thing.expanduser()))
    elif isinstance(thing, str):
        where = f"gaps {thing[:40]!r}"
        found = [(where, *_range(each, where)) for each in re.split(r"[,;\n]", thing) if each.strip()]
    else:
        where, found = "gaps", [(f"gaps: pair {i}", *_pair(each, i)) for i, each in enumerate(thing)]
    expected = EXPECTED if isinstance(thing, Path) else TYPED
    for at, start, stop in found:
        if start < 0:
            raise UserError(f"{at}: {start:g} s is before the sound starts; {expected}")
        if stop <= start:
            said = "has no length" if stop == start else "ends before it starts"
            raise UserError(f"{at}: the gap from {start:g} to {stop:g} s {said}; {expected}")
    if not found:
        raise UserError(f"{where}: has no gaps; {expected}")
    return merged([(start, stop) for _, start, stop in found])


def merged(gaps: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """In order, those that touch or overlap as one."""
    found: list[tuple[float, float]] = []
    for start, stop in sorted(gaps):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((start, stop))
    return found


def check_gaps(gaps: Sequence[tuple[float, float]], sound: Sound) -> None:
    """That gaps in seconds are in a sound, and leave some of it. Raises: UserError."""
    end, where = sound.seconds, sound.source or "sound"
    for start, stop in gaps:
        if stop > end + 1.0 / sound.rate:
            raise UserError(f"{where}: ends at {end:.3f} s, before the gap from {start:g} to {stop:g} s does; are gaps in seconds?")
    if sum(stop - start for start, stop in gaps) >= end - 1.0 / sound.rate:
        raise UserError(f"{where}: is all gap; expected some sound around gaps to go on from")


def zero_runs(samples: np.ndarray, rate: float, least: float = 0.004) -> list[tuple[int, int]]:
    """Runs [first, stop) of samples that are exactly 0 in all channels for at least `least` seconds, as a recorder or a network drops them.

    samples: (n,) or (n, channels). Not those at the start or the end; nor those of more than 2 s, which are pauses and said on stderr.
    """
    zero = (samples == 0).reshape(len(samples), -1).all(1)
    found = [run for run in runs(zero) if run[0] > 0 and run[1] < len(zero) and run[1] - run[0] >= max(least * rate, 2)]
    pauses = [run for run in found if run[1] - run[0] > PAUSE * rate]
    if pauses:
        first, stop = (place / rate for place in pauses[0])
        say(f"{len(pauses)} runs of zeros, the first from {first:.2f} to {stop:.2f} s, are longer than {PAUSE:g} s and taken for pauses")
    return [run for run in found if run not in pauses]


def clip_level(samples: np.ndarray) -> tuple[float | None, float | None]:
    """The levels (low, high) that a sound is clipped at, over all channels; None for a side that is not.

    Clipped: at least 3 times 2 or more neighbours are as loud as the loudest sample to 1e-4, and more than lie within the 1 % below it,
    where a sound that is whole has more. samples: (n,) or (n, channels).
    """
    samples = samples.reshape(len(samples), -1)
    low, high = _clipped(-samples), _clipped(samples)
    return None if low is None else -low, high


def cutoff(samples: np.ndarray, rate: float) -> float | None:
    """Hz above which the long-term spectrum holds nothing: more than 45 dB below 200 to 3400 Hz, after a fall of 15 dB.

    None of a full band, as which an edge above 92 % of it counts, too. samples: (n,) or (n, channels).
    """
    frequency, level = _spectrum(samples, rate)
    speech = (frequency >= 200) & (frequency <= min(3400.0, 0.4 * rate))
    if len(level) < 32 or not speech.any():
        return None
    around = max(int(0.02 * len(level)), 3)  # bins, on either side of an edge
    top = int(0.98 * len(level))  # what is above is the transform's
    most_above = np.maximum.accumulate(level[:top][::-1])[::-1]
    least_below = np.array([np.median(level[max(i - 2 * around, 0) : i]) for i in range(1, top)])
    edges = np.arange(1, top - around)
    fall = least_below[edges - 1] - most_above[edges + around]
    empty = most_above[edges + around] < 10 * np.log10(np.mean(10 ** (level[speech] / 10))) - BELOW
    good = empty & (fall > STEEP) & (frequency[edges] > 200)
    if not good.any():
        return None
    best = edges[good][np.argmax(fall[good])]
    # `best` may lie anywhere in the fall: the edge is where 20 dB of it are done.
    band = np.median(level[max(best - 4 * around, 0) : max(best - around, 0) + 1])
    edge = float(frequency[: best + around][level[: best + around] > max(band - 20, most_above[best + around])].max())
    return edge if edge < 0.92 * rate / 2 else None


def noise_level(samples: np.ndarray, rate: float, quiet: float = 0.05) -> float:
    """Standard deviation of steady white noise in a sound, from its quietest frames: minimum statistics (Martin 2001).

    The power of noise of variance v in a bin is exponential, exp(-p / v) / v. The median of M bins, which tones in few don't move, is then
    -v log(1 - u), u ~ Beta(k, M + 1 - k), k = (M + 1) / 2. The quantile `quiet` of the frames' medians is divided by that of this law.
    Frames are of 32 ms; those of zeros and bins above `cutoff` don't count. samples: (n,) or (n, channels): of the noisiest channel. 0 of
    less than 4 frames. Sound that never pauses adds to it: 4 to 15 % in speech 20 to 30 dB above the noise.
    """
    size = max(int(0.032 * rate) // 2 * 2, 16)
    edge = cutoff(samples, rate) or 0.95 * rate / 2
    # Of a Hann window every second bin is independent of the others, to 3 % of its power.
    bins = np.arange(2, int(0.95 * edge / rate * size), 2)
    if len(samples) < 4 * size or not len(bins):
        return 0.0
    window = scipy.signal.get_window("hann", size)
    found = 0.0
    for channel in samples.reshape(len(samples), -1).T:
        frames = np.lib.stride_tricks.sliding_window_view(channel, size)[:: size // 2]
        power = np.median(np.abs(np.fft.rfft(frames * window)[:, bins]) ** 2, 1) / np.sum(window**2)
        power = power[np.abs(frames).max(1) > 0]
        if len(power):
            k = 0.5 * (len(bins) + 1)
            law = -np.log1p(-scipy.stats.beta.ppf(quiet, k, len(bins) + 1 - k))
            found = max(found, float(np.sqrt(np.quantile(power, quiet, method="weibull") / law)))
    return found


def _of_lines(file):
    # (file and line, start, stop) of each gap.
    text, columns = read_text(file), None
    if "\0" in text:
        raise UserError(f"{file}: is no text; {EXPECTED}, a gap a line")
    first = True
    for number, line in enumerate(text.split("\n"), 1):
        line = line.partition("#")[0].strip(" \r")
        if not line.strip() or line.lstrip().startswith("\\"):  # Audacity's frequencies of a label
            continue
        at = f"{file}, line {number}"
        cells = _cells(line)
        header, first = first and not any(_is_time(cell) for cell in cells) and not RANGE.match(line), False
        if header:
            columns = _columns([cell.lower() for cell in cells])
            if columns is None and len(cells) > 1:
                say(f"{at}: columns {', '.join(cells)[:60]} are taken for start and end in seconds")
            continue
        parts = [part for part in re.split(r"[,;]", line) if part.strip()]
        if all(RANGE.fullmatch(part) for part in parts):
            yield from ((at, *_range(part, at)) for part in parts)
            continue
        begin, end, length, scale = columns or (0, 1, False, 1.0)
        if max(begin, end) >= len(cells):
            raise UserError(f"{at}: {line[:40]!r} has {len(cells)} column{'s' * (len(cells) > 1)}; {EXPECTED}")
        start, stop = scale * _time(cells[begin], at), scale * _time(cells[end], at)
        if columns is None and "\t" in line and start == stop:
            say(f"{at}: a label at {start:g} s alone, which is no gap; left out")
            continue
        yield at, start, start + stop if length else stop


def _cells(line):
    for mark in ("\t", ";"):
        if mark in line:  # so that a comma is a decimal one
            return [re.sub(r"(?<=\d),(?=\d)", ".", cell).strip(" \"'") for cell in line.split(mark)]
    return [cell.strip(" \"'") for cell in (line.split(",") if "," in line else line.split())]


def _columns(names):
    # (of starts, of ends, whether those are lengths, seconds of one), by how columns are called; None if by place.
    plain = [re.split(r"[\s_(\[]", name.strip())[0] for name in names]
    place = lambda known: next((plain.index(name) for name in known if name in plain), None)  # noqa: E731
    begin, end, length = place(STARTS), place(STOPS), place(LENGTHS)
    if begin is None or (end is None and length is None):
        return None
    scale = 1e-3 if re.search(r"[\s_(\[]m(illi)?s", names[begin]) else 1.0
    return begin, length if end is None else end, end is None, scale


def _is_time(cell):
    try:
        _time(cell, "")
    except UserError:
        return False
    return True


def _time(cell, at) -> float:
    # Seconds of "1.5", "1.5s", "120 ms", "01:02.5", "1:00:02".
    text = cell.strip().lower()
    scale = 1e-3 if text.endswith("ms") else 1.0
    *clock, seconds = text.removesuffix("ms").removesuffix("s").strip().split(":")
    try:
        numbers = [float(each) for each in (*map(int, clock), seconds)]
        value = sum(each * 60.0**i for i, each in enumerate(reversed(numbers)))
        if len(numbers) > 3 or not np.isfinite(value) or "_" in text:
            raise ValueError
    except ValueError as error:
        raise UserError(f"{at}: {cell[:40]!r} is no time; {EXPECTED}") from error
    return scale * value


def _range(text, at):
    if not (found := RANGE.fullmatch(text)):
        raise UserError(f"{at}: {text.strip()[:40]!r} is no gap and no file; {TYPED}, or a file of them")
    return _time(found[1], at), _time(found[2], at)


def _pair(each, i):
    try:
        start, stop = map(float, each)
    except (TypeError, ValueError) as error:
        raise UserError(f"gaps: {each!r} (number {i}) is no pair of seconds; expected such as (1.2, 1.5)") from error
    return start, stop


def runs(true) -> list[tuple[int, int]]:
    """[first, stop) of each run of (n,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(np.int8)))
    return [(int(first), int(stop)) for first, stop in edges.reshape(-1, 2)]


def _clipped(samples):
    high = float(samples.max(initial=0.0))
    if not high > 0:
        return None
    extreme = samples >= high * (1 - EXTREME)
    lengths = [stop - first for channel in extreme.T for first, stop in runs(channel) if stop - first >= 2]
    quieter = np.unique(samples[~extreme & (samples > 0.5 * high)])
    least = min(0.99 * high, quieter[-3] if len(quieter) >= 3 else 0.5 * high)  # 3 steps of a coarse grid
    below = int((~extreme & (samples >= least)).sum())
    return high if len(lengths) >= 3 and sum(lengths) > below else None


def _spectrum(samples, rate):
    # (frequencies in Hz, level in dB by bin), by Welch, of the mean over channels of powers, smoothed over 5 bins.
    size = min(2 ** round(np.log2(0.064 * rate)), len(samples))
    frequency, power = scipy.signal.welch(samples.reshape(len(samples), -1), rate, "hann", max(size, 8), axis=0, detrend=False)
    power = power.mean(1)
    level = 10 * np.log10(np.maximum(power, 1e-30 + 1e-16 * power.max(initial=0.0)))
    return frequency, scipy.ndimage.median_filter(level, 5, mode="nearest")
