"""What is said of a sound, as numbers that the network is conditioned on: its class, and in words what it is."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from sciddm.data.reading import need
from sciddm.data.tables import read_table
from sciddm.errors import UserError
from sciddm.given import Thing, say
from sciddm.named import near

BESIDE = "beside"  # NAME.txt of each sound
FILES = ("file", "file_name", "filename", "path", "name", "sound", "audio")
WORDS = ("text", "caption", "sentence", "words", "description", "transcript", "transcription")
DIMENSIONS = 64  # of a sentence
EXTRA = "audio-text"
SAID = ("class", "text")  # by which a user says what sounds


@dataclass(frozen=True, eq=False)
class Said:
    """classes: names of folders; texts: "" for no words, `BESIDE`, or the name of a table in the folder of the sounds."""

    classes: tuple[str, ...] = ()
    texts: str = ""
    root: Path | None = None

    def __len__(self):
        return len(self.classes) + DIMENSIONS * bool(self.texts)

    def numbers(self, label: str = "", words: str = "") -> np.ndarray:
        """(K,) float32: 1 at the class of that name, and the sentence, of unit variance; zeros of what is not said.

        Raises: UserError of a class or of words that the model does not know.
        """
        if label and label not in self.classes:
            said = f"expected one of {', '.join(self.classes)}" if self.classes else "the model knows no classes; leave it out"
            raise UserError(f"class={label}: {said}{near(label, self.classes)}")
        if words and not self.texts:
            raise UserError(f"text={words}: the model was trained without config.data.texts and knows no words; leave it out")
        found = np.array([label == one for one in self.classes], np.float32)
        return np.concatenate([found, embedded(words)]) if self.texts else found

    def given(self, said: dict) -> np.ndarray:
        """`numbers` of what a user gives by name. Raises: UserError."""
        return self.numbers(*(str(said.get(name, "")).strip() for name in SAID))

    def of(self, path: Path) -> tuple[str, str]:
        """(class, words) of a file: the first of its folders that is a class, and what stands beside it or in the table."""
        label = next((part for part in path.parts if part in self.classes), "") if self.classes else ""
        return label, self._words(path) if self.texts else ""

    def _words(self, path):
        if self.texts == BESIDE:
            return beside(path)
        inside = self.root is not None and path.is_relative_to(self.root)
        names = (path.relative_to(self.root).as_posix() if inside else path.name, path.name, path.stem)
        return next((self._table[name] for name in names if name in self._table), "")

    @cached_property
    def _table(self) -> dict[str, str]:
        table = read_table((self.root or Path()) / self.texts)
        files = table.text(table.need(FILES, "the file of a sound"))
        words = table.text(table.need(WORDS, "what the sound is, in words"))
        return {str(name): str(text) for name, text in zip(files, words, strict=True) if name}

    def check(self, paths: Sequence[Path]) -> None:
        """Say of how many sounds nothing is known in words. Raises: UserError where of none."""
        without = [path for path in paths if self.texts and not self._words(path)]
        if not without:
            return
        where = "a file NAME.txt beside it" if self.texts == BESIDE else f"a row of {self.texts}"
        if len(without) == len(paths):
            raise UserError(f"config.data.texts = {self.texts}: no sound has {where}, such as {paths[0]}; write them, or leave it out")
        say(f"{len(without)} of {len(paths)} sounds have no words, such as {without[0].name}; expected {where}")

    @property
    def asks(self) -> str:
        """What a user may say."""
        known = [f"class=NAME of what sounds, {', '.join(self.classes)}"] if self.classes else []
        return "; ".join([*known, *(["text='what it is, in words'"] if self.texts else [])])


def said_in(given: Sequence[Thing]) -> dict:
    """name -> value, of the things that are named. Raises: UserError of one that is given twice."""
    found = {}
    for thing in (one for one in given if one.name):
        if thing.name in found:
            raise UserError(f"--given {thing}: {thing.name} is given twice; give it once")
        found[thing.name] = thing.value
    return found


def beside(path: Path) -> str:
    """The words in NAME.txt beside a sound, "" where there are none. Raises: UserError of a file that is no text."""
    file = path.with_suffix(".txt")
    if not file.is_file():
        return ""
    try:
        return " ".join(file.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: is no text in UTF-8 ({error.reason} at byte {error.start}); write it as such") from error


@cache
def embedded(words: str) -> np.ndarray:
    """(DIMENSIONS,) float32 of mean square 1 of a sentence, zeros of none, by the encoder of wordllama, whose weights its package holds."""
    if not words.strip():
        return np.zeros(DIMENSIONS, np.float32)
    found = np.asarray(_encoder().embed([words], norm=True)[0], np.float32)
    return found * DIMENSIONS**0.5


@cache
def _encoder():
    library = need("wordllama", "config.data.texts", EXTRA)
    with contextlib.redirect_stdout(io.StringIO()):
        place = Path(library.__file__).parent  # its package holds all of it, and looks for one part of that in a cache alone
        return library.WordLlama.load(trunc_dim=DIMENSIONS, cache_dir=place, disable_download=True)
