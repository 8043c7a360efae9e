"""Odd and broken sounds: to train on, to be restored, and what is said of their damage."""

import os
import struct
from pathlib import Path

import numpy as np
import soundfile
from case import done, refused
from flips import Format
from runs import trained
from small_sounds import sound, write_sounds

from domains.audio.sound import read_sound

RATE = 8000
GAP = "gaps=0.1-0.13"
TWO = np.stack([sound(1, 0.4, 44100)] * 2, 1)


def put(path: Path, samples, rate=RATE, **options) -> Path:
    """A sound at a path, float unless said otherwise."""
    soundfile.write(path, samples, rate, **({"subtype": "FLOAT"} if path.suffix == ".wav" else {}) | options)
    return path


def restore(task, *given, out="answer.wav", more=()):
    """The arguments of a restoration by the small run."""
    named = [part for one in given for part in ("--given", str(one))]
    return ["sample", "--workdir", str(trained("audio")), "--task", task, "--count", "2", "--out", out, "--steps", "2", *named, *more]


def asked(make, *given, task="inpaint", out="answer.wav"):
    """A case's run: `make(folder)` writes sound.wav, or what it returns, and that is restored."""

    def run(folder):
        return restore(task, make(folder) or "sound.wav", *given, out=out)

    return run


def voice(folder, **options):
    return put(Path("sound.wav"), sound(1, 0.4), **options)


def of(samples, **options):
    return lambda folder: put(Path("sound.wav"), samples, **options)


def raw(content, name="sound.wav"):
    def make(folder):
        Path(name).write_bytes(content)
        return name

    return make


def header(rate=RATE, channels=1, bits=16, size=None, data=b"", code=1):
    """A WAV by hand."""
    block = channels * bits // 8
    body = struct.pack("<HHIIHH", code, channels, rate, rate * block % 2**32, block, bits)
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<I", 16) + body + b"data" + struct.pack(
        "<I", len(data) if size is None else size
    ) + data


def gaps_file(text, name="gaps.txt", encoding="utf-8"):
    def run(folder):
        voice(folder)
        Path(name).write_bytes(text.encode(encoding))
        return restore("inpaint", "sound.wav", name)

    return run


def gap_is(*seconds):
    """That samples outside of a gap are those of the file, and inside others."""

    def check(folder, said):
        before, after = soundfile.read(folder / "sound.wav")[0], soundfile.read(folder / "answer.wav")[0]
        inside = np.zeros(len(before), bool)
        for start, stop in seconds:
            inside[round(start * RATE) : round(stop * RATE)] = True
        assert (after[~inside] == before[~inside]).all(), "samples outside of gaps are others"
        assert (after[inside] != before[inside]).mean() > 0.9, "gaps are as they were"

    return check


def given():
    yield done("given", "a sound and a gap", asked(voice, GAP), "1 gap, 0.030 s", check=gap_is((0.1, 0.13)))
    yield done("given", "stereo at 44.1 kHz", asked(of(TWO, rate=44100), GAP), "44100 Hz, 2 channels")
    yield done("given", "a low rate", asked(of(sound(1, 0.4)[::2], rate=4000), task="bandwidth"), "nothing above 1800 Hz")
    yield done("given", "a constant offset", asked(of(sound(1, 0.4) + 0.3), GAP))
    yield done("given", "one channel silent", asked(of(np.stack([sound(1, 0.4), np.zeros(3200)], 1)), GAP))
    yield done("given", "a gap at the very start", asked(voice, "gaps=0-0.02"), check=gap_is((0, 0.02)))
    yield done("given", "a gap up to the very end", asked(voice, "gaps=0.38-0.4"), check=gap_is((0.38, 0.4)))
    yield done("given", "a sound shorter than the network's", asked(of(sound(1, 0.06)), "gaps=0.02-0.03"))
    yield done("given", "a file that breaks off", asked(raw(header(data=(sound(1, 0.4) * 2**15).astype("<i2").tobytes(), size=9000)), GAP))
    for name, content in (
        ("nothing", b""), ("a text", b"hello"), ("a header alone", header()), ("zeros", bytes(5000)), ("a ZIP", b"PK\3\4" + bytes(100)),
        ("a page", b"<html>not found</html>"), ("no channels", header(channels=0, data=bytes(100))),
        ("no rate", header(rate=0, data=bytes(100))), ("a codec that nobody knows", header(code=9999, data=bytes(100))),
    ):  # fmt: skip
        yield refused("given", f"{name} called .wav", asked(raw(content), GAP), r"sound\.wav")
    for name, samples in (("one sample", [0.1]), ("NaN", np.where(np.arange(3200) == 5, np.nan, sound(1, 0.4)))):
        yield refused("given", name, asked(of(samples), GAP), r"sound\.wav")
    yield refused("given", "silence", asked(of(np.zeros(3200)), GAP), "silent")
    yield refused("given", "no such file", lambda folder: restore("inpaint", "nothere.wav", GAP), "no such file")
    yield refused("given", "a folder", lambda folder: (os.mkdir("sounds.wav"), restore("inpaint", "sounds.wav", GAP))[1], "folder")
    yield refused("given", "a pipe", lambda folder: (os.mkfifo("pipe.wav"), restore("inpaint", "pipe.wav", GAP))[1], "pipe")
    yield refused("given", "no sound", lambda folder: restore("inpaint", GAP), "expected one")

    def two(folder):
        voice(folder)
        return restore("inpaint", "sound.wav", put(Path("b.wav"), sound(2, 0.3)))

    yield refused("given", "two sounds", two, "2 sounds")


def damages():
    for text, names in (
        ("0.1 0.13\n", "spaces"), ("0.1\t0.13\tcough\n", "Audacity"), ("0,1\t0,13\n", "decimal commas"), ("start,end\n0.1,0.13\n", "CSV"),
        ("start;duration\n0.1;0.03\n", "a duration"), ("# my gaps\n0.1 0.13\n\n", "comments"), ("0:00.1 0:00.13\n", "minutes"),
        ("0.1\t0.13\tcough\n\\\t100\t900\n", "Audacity's frequencies"), ("100ms 130ms\n", "milliseconds"),
    ):  # fmt: skip
        yield done("gaps", names, gaps_file(text), "1 gap, 0.030 s", check=gap_is((0.1, 0.13)))
    yield done("gaps", "UTF-16", gaps_file("0.1 0.13\n", encoding="utf-16"), "1 gap, 0.030 s")
    for text, words, name in (
        ("0.13 0.1\n", "ends before it starts", "backwards"), ("0.3 0.9\n", "ends at 0.400 s", "beyond the end"),
        ("", "has no gaps", "an empty file"), ("0.1\n", "columns", "one column"), ("a b\nc d\n", "is no time", "words"),
        ("-1 0.1\n", "before the sound starts", "below zero"), ("0 0.4\n", "is all gap", "all of it"), ("0.1 nan\n", "is no time", "NaN"),
    ):  # fmt: skip
        yield refused("gaps", name, gaps_file(text), words)
    zeros = sound(1, 0.4)
    zeros[800:1040] = 0.0
    yield done("gaps", "runs of zeros", asked(of(zeros)), "1 gap", check=gap_is((0.1, 0.13)))
    yield refused("gaps", "no runs of zeros", asked(voice), "no runs of zeros")
    clipped = np.clip(sound(1, 0.4), -0.1, 0.1)
    yield done("clip", "found", asked(of(clipped), task="declip"), "clipped at 0.1 of full scale")
    yield done("clip", "said in dB", asked(of(clipped), "clip=-20 dB", task="declip"), "clipped at 0.1 of full scale")
    yield refused("clip", "not clipped", asked(voice, task="declip"), "does not look clipped")
    for said, words in (("clip=0", "above 0"), ("clip=2", "above 0"), ("clip=x", "is no number"), ("clip=0.9", "no sample reaches")):
        yield refused("clip", said, asked(of(clipped), said, task="declip"), words)
    for said, words in (("cutoff=9000", "hears up to"), ("cutoff=10", "expected 100"), ("cutoff=", "is no number")):
        yield refused("cutoff", said, asked(voice, said, task="bandwidth"), words)
    yield done("noise", "said", asked(voice, "noise=-40 dB", task="denoise"), "-40.0 dB")
    hiss = 0.01 * np.random.default_rng(0).standard_normal(3200)
    yield done("noise", "found", asked(of(sound(1, 0.4) + hiss), task="denoise"), "noise at")
    yield done("several", "at once", asked(of(clipped), GAP, "clip=0.1", "noise=0.001", "cutoff=3000", task="inpaint"), "1 gap", "clipped")
    yield refused("several", "twice", asked(voice, GAP, "gaps=0.2-0.21"), "given twice")
    yield refused("several", "a name that is none", asked(voice, "gap=0.1-0.13"), "gap")


def written():
    for suffix in (".wav", ".flac", ".ogg", ".aiff", ".nc", ".zarr"):
        yield done("out", suffix, asked(voice, GAP, out=f"answer{suffix}"), f"answer{suffix}")
    yield refused("out", "a suffix that is none", asked(voice, GAP, out="answer.xyz"), "can't be written")

    def taken(folder):
        voice(folder)
        put(Path("answer-2.wav"), sound(1, 0.1))
        return restore("inpaint", "sound.wav", GAP)

    yield refused("out", "an answer beside is there already", taken, "answer-2.wav", "is there already")


def training():
    def train(make, *keys):
        def run(folder):
            place = make(Path("sounds")) or "sounds"
            return ["train", "--config", "config.py", "--workdir", "run", f"--config.data.path={place}", *keys]

        def prepared(folder):
            (folder / "config.py").write_text(
                "import importlib\nfrom small_configs import DOMAINS\ndef get_config(variant=''):\n    config = DOMAINS['audio'][0]()\n"
                "    config.training.update({'steps': 1, 'wall_minutes': None, 'batch_size': 2, 'held_out': 0})\n"
                "    config.sampling.grid = 'optimised'\n    return config\n"
            )
            return run(folder)

        return prepared

    def folder_of(**others):
        def make(place):
            write_sounds(place.parent)
            for name, content in others.items():
                (place / "train" / f"{name}.wav").write_bytes(content)

        return make

    yield done("train", "a folder", train(folder_of()))
    odd = {"text": b"hello", "empty": b"", "zeros": header(data=bytes(9000)), "one": header(data=bytes(2))}
    yield done("train", "broken files among others", train(folder_of(**odd)), "4 of 11 files are left out")
    yield refused("train", "no sounds", train(lambda place: place.mkdir()), "a folder without sounds")
    yield refused("train", "no such folder", train(lambda place: None), "no such file or folder")

    def broken(place):
        place.mkdir()
        (place / "a.wav").write_bytes(b"x")

    def alone(place):
        place.mkdir()
        put(place / "a.wav", sound(1, 1.0))

    yield refused("train", "nothing but broken ones", train(broken), "none of 1")
    yield refused("train", "one file", train(alone), "can't be held out")
    for key in ("rate=0", "bins=7", "frames=0", "held_out=0", "clip=0", "speed=1", "source=whistles"):
        yield refused("train", key, train(folder_of(), f"--config.data.{key}"), f"config.data.{key.partition('=')[0]}")


CASES = [*given(), *damages(), *written(), *training()]


# Formats whose bytes are flipped
def _written(suffix, **options):
    return lambda path: put(path.with_suffix(suffix), sound(1, 0.1), **options)


def _read(path):
    found = read_sound(path)
    return {"shape": found.samples.shape, "rate": found.rate, "subtype": found.subtype, "sum": float(np.abs(found.samples).sum())}


FORMATS = [
    Format("WAV", _written(".wav", subtype="PCM_16"), _read),
    Format("FLAC", _written(".flac"), _read),
    Format("OGG", _written(".ogg"), _read),
]
