"""Sounds to train on: the files of a folder, each checked once, read at the model's rate and kept as far as memory is meant for it."""

import glob
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from domains.audio.levels import FRAME, RANGE
from domains.audio.sound import BLOCK, EXTRA, opened, resample, seek
from sciddm.data.reading import need
from sciddm.errors import UserError
from sciddm.given import say

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".au", ".caf", ".opus")
PARTS = ("train", "held_out")  # subfolders that split a folder
SILENT, EXTREME, HEAVILY = 1e-4, 1e-4, 0.01  # peak; relative, see `labels.clip_level`; share of samples
LONG, SHORT = 600.0, 30.0  # s; files of more are resampled by the part; where not all can be kept
KEPT = 200e6  # bytes of resampled files in memory
CONTEXT = 2048  # samples, at the lower of two rates, on either side of a part that is resampled
NAMED = 5  # files that are left out and named


@dataclass(frozen=True)
class File:
    """rate: samples a second; frames: how many; clipped: whether more than 1 % of them are at the loudest level, in runs."""

    path: Path
    rate: int
    frames: int
    channels: int
    clipped: bool = False


class Kept:
    """Arrays by name, of which those not used for longest go first where there are too many; for threads and processes."""

    def __init__(self, most: float = KEPT):
        self._most, self._size = most, 0
        self._arrays: OrderedDict[Path, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self):
        return Kept, (self._most,)  # another process begins with an empty one

    def get(self, name, make) -> np.ndarray:
        """The array of a name, made where it is not there."""
        with self._lock:
            if name in self._arrays:
                self._arrays.move_to_end(name)
                return self._arrays[name]
        array = make()  # two threads may make the same one; none waits for a long file of another
        with self._lock:
            if name not in self._arrays:
                self._arrays[name] = array
                self._size += array.nbytes
            while self._size > self._most and len(self._arrays) > 1:
                self._size -= self._arrays.popitem(last=False)[1].nbytes
        return array


@dataclass(frozen=True, eq=False)
class Collection:
    """files: in the order of their names; rate: Hz, of what is read; skipped: (path, reason) of each file that is left out; root: the
    folder that names are relative to, None of a single file or a pattern."""

    files: tuple[File, ...]
    rate: int
    skipped: tuple[tuple[Path, str], ...] = ()
    root: Path | None = None
    kept: Kept = field(default_factory=Kept, repr=False)

    def __len__(self):
        return len(self.files)

    @property
    def paths(self) -> list[Path]:
        return [file.path for file in self.files]

    @property
    def seconds(self) -> float:
        return sum(file.frames / file.rate for file in self.files)

    def frames(self, i: int) -> int:
        """How many samples file i has at the collection's rate."""
        file = self.files[i]
        return round(file.frames * self.rate / file.rate)

    def read(self, i: int, start: int, count: int) -> np.ndarray:
        """(count,) float32 of file i from sample `start` at the collection's rate, mean over channels, zeros after its end."""
        if start < 0 or count < 0:
            raise ValueError(f"start {start}, count {count}: expected 0 or more")
        file = self.files[i]
        if file.frames > (LONG if self._all_kept else SHORT) * file.rate:
            found = _part(file, self.rate, start, min(count, max(self.frames(i) - start, 0)))
        else:
            found = self.kept.get(file.path, lambda: _whole(file, self.rate))[start : start + count]
        return np.concatenate([found, np.zeros(count - len(found), np.float32)])

    @cached_property
    def _all_kept(self):
        return 4 * sum(map(self.frames, range(len(self)))) <= KEPT

    def level(self, i: int) -> float:
        """Root mean square of file i over its frames of 32 ms that are within 30 dB of the loudest."""
        size = max(round(FRAME * self.rate), 1)
        step = size * max(round(60.0 / FRAME), 1)  # a minute at a time
        powers = []
        for start in range(0, max(self.frames(i) // size, 1) * size, step):
            part = self.read(i, start, min(step, max(self.frames(i) // size, 1) * size - start)).astype(float)
            powers.append((part.reshape(-1, size) ** 2).mean(1))
        power = np.concatenate(powers)
        return float(np.sqrt(power[power >= power.max() * 10 ** (-RANGE / 10)].mean()))

    def split(self, held_out: float) -> tuple["Collection", "Collection"]:
        """(train, test) by file: as subfolders "train" and "held_out" say where there are both, else by the SHA-256 of names.

        held_out: how many files of the test, or below 1 their share; 1 file each at least. Raises: UserError where that leaves none.
        """
        sides = [self._side(file.path) for file in self.files]
        if set(PARTS) <= set(sides):
            test = {i for i, side in enumerate(sides) if side == PARTS[1]}
        else:
            count = round(held_out * len(self)) if 0 <= held_out < 1 else int(held_out)
            count = max(count, 1)
            if count >= len(self) and 0 <= held_out < 1:
                count = len(self) - 1
            if not 0 < count < len(self) or held_out < 0:
                there = "1 file" if len(self) == 1 else f"{len(self)} files"
                raise UserError(
                    f"{self.root or self.files[0].path}: {there}, of which {held_out:g} can't be held out; "
                    "expected files to train on and others to test with, cut a long one in two"
                )
            test = set(sorted(range(len(self)), key=lambda i: self._hash(self.files[i].path))[:count])
        pick = lambda wanted: replace(self, files=tuple(file for i, file in enumerate(self.files) if (i in test) == wanted))  # noqa: E731
        return pick(False), pick(True)

    def _side(self, path):
        parts = path.relative_to(self.root).parts[:-1] if self.root else ()
        return parts[0] if parts else ""

    def _hash(self, path):
        return hashlib.sha256((path.relative_to(self.root).as_posix() if self.root else path.name).encode()).hexdigest()


def open_collection(path, rate: int, *, least: float = 0.25) -> Collection:
    """The sounds of a file, of a folder and those in it (`SUFFIXES`), or of a pattern, read once to check them.

    Those that are no sound, empty, silent, shorter than `least` seconds, not finite or broken are left out, and named on stderr.
    Raises: UserError if there is none, or all are left out.
    """
    path = Path(path).expanduser()
    found, root = _found(path)
    need("soundfile", path, EXTRA)  # or all files would be left out
    files, skipped = [], []
    for each in found:
        try:
            files.append(_checked(each, least))
        except UserError as error:
            skipped.append((each, str(error).removeprefix(f"{each}: ").partition(";")[0]))
    if skipped:
        named = ", ".join(f"{_name(each, root)} ({reason})" for each, reason in skipped[:NAMED])
        more = f" and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
        if not files:
            raise UserError(f"{path}: none of {len(found)} files is a sound to train on: {named}{more}; give others")
        say(f"{path}: {len(skipped)} of {len(found)} files are left out: {named}{more}")
    if clipped := [file for file in files if file.clipped]:
        say(f"{path}: {len(clipped)} of {len(files)} files are clipped in more than 1 % of samples, such as {_name(clipped[0].path, root)}")
    return Collection(tuple(files), int(rate), tuple(skipped), root)


def _found(path) -> tuple[list[Path], Path | None]:
    # Files in the order of their names, and the folder that they are in.
    known = ", ".join(SUFFIXES)
    if path.is_dir():
        found, seen = [], set()
        for folder, inner, names in os.walk(path, followlinks=True):
            if (place := os.path.realpath(folder)) in seen:  # a link to a folder above
                inner.clear()
                continue
            seen.add(place)
            inner[:] = [name for name in inner if not name.startswith(".")]
            found += [Path(folder, name) for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
        if not found:
            raise UserError(f"{path}: a folder without sounds; expected files {known}")
        return sorted(found, key=lambda each: each.relative_to(path).as_posix()), path
    if path.exists():
        return [path], None
    if not glob.has_magic(str(path)):
        raise UserError(f"{path}: no such file or folder; expected sounds as {known}")
    fits = (Path(each) for each in sorted(glob.glob(str(path), recursive=True), reverse=True))
    found = {os.path.realpath(each): each for each in fits if each.is_file()}  # each once, whatever links lead to it
    if not found:
        raise UserError(f"{path}: no file fits the pattern; expected sounds as {known}")
    return sorted(found.values()), None


def _name(path, root):
    return path.relative_to(root).as_posix() if root else path.name


def _checked(path, least) -> File:
    # A file read once, in blocks. Raises: UserError.
    with opened(path) as sound:
        rate, channels, frames, peak, extremes = sound.samplerate, sound.channels, 0, 0.0, 0
        for block in _blocks(sound, path):
            size = np.abs(block)
            loudest = float(size.max(initial=0.0))
            if not np.isfinite(loudest):
                raise UserError(f"{path}: has NaN or infinite samples")
            if loudest > peak * (1 + EXTREME):
                peak, extremes = loudest, 0
            loud = size >= peak * (1 - EXTREME)
            alone = ~(np.pad(loud, ((1, 0), (0, 0)))[:-1] | np.pad(loud, ((0, 1), (0, 0)))[1:])
            extremes += int((loud & ~alone).sum())
            frames += len(block)
    if frames < 2:
        raise UserError(f"{path}: {'has no samples' if not frames else '1 sample'}")
    if frames < least * rate:
        raise UserError(f"{path}: {frames / rate:.3f} s, shorter than {least:g}")
    if peak < SILENT:
        raise UserError(f"{path}: silent")
    return File(path, rate, frames, channels, extremes > HEAVILY * frames * channels)


def _blocks(sound, path, count: int | None = None) -> Iterator[np.ndarray]:
    # (n, channels) float32, one after the other to the end, or `count` samples of it.
    left = np.inf if count is None else count
    while left > 0:
        try:
            block = sound.read(int(min(max(BLOCK // sound.channels, 1), left)), dtype="float32", always_2d=True)
        except RuntimeError as error:
            raise UserError(f"{path}: is broken ({str(error).removeprefix('Error : ').rstrip('.')}); copy it again") from error
        if not len(block):
            return
        yield block
        left -= len(block)


def _mono(file, start, count):
    with opened(file.path) as sound:
        seek(sound, start)
        parts = [block.mean(1) for block in _blocks(sound, file.path, count)]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _whole(file, rate):
    return resample(_mono(file, 0, file.frames), file.rate, rate, file.path)


def _part(file, rate, start, count):
    # Of a long file: the same samples as those of the whole, whose grids meet every `step` samples of the file.
    step = file.rate // np.gcd(file.rate, rate)
    context = int(CONTEXT * max(file.rate / rate, 1.0))
    first = max((start * file.rate // rate - context) // step * step, 0)
    last = min(-(-(start + count) * file.rate // rate) + context, file.frames)
    found = resample(_mono(file, first, last - first), file.rate, rate, file.path)
    skip = start - first * rate // file.rate
    return found[skip : skip + count]
