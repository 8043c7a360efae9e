"""Audio as a domain: (frames, bins, 1) coefficients of an orthonormal time-frequency transform of one channel of sound."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from domains.audio import damage, scores
from domains.audio.collection import SUFFIXES, open_collection
from domains.audio.dereverb import Dereverb
from domains.audio.levels import REFERENCE, active_level
from domains.audio.long import Long, Sounds
from domains.audio.made_notes import MadeNotes
from domains.audio.mdct import imdct, mdct
from domains.audio.network import Spectral, Waveform
from domains.audio.rewards import make_rewards
from domains.audio.said import BESIDE, Said
from domains.audio.separate import Separate
from domains.audio.sound import Sound, resample
from domains.audio.style import Style
from domains.audio.tasks import Bandwidth, Declip, Denoise, Inpaint
from domains.audio.written import CONTAINERS, write_answers
from sciddm.data.saving import save_dataset
from sciddm.domain import Domain, Normalizer, Outline
from sciddm.errors import UserError
from sciddm.memory import check_memory
from sciddm.noise import White

EMBEDDED = Path(__file__).parent / "data"
WINDOWS = 2**20  # training windows: each is drawn at random, with its damage
KEPT = 0.9  # share of training windows of which class and words are said
WEIGHT = 0.6  # power of a bin's standard deviation by which it counts in the loss: between all alike, 0, and as in the sound, 2
LEAST = 1e-3  # of the loudest bin's standard deviation
ARRAYS = (".nc", ".zarr")


class AudioDomain(Domain):
    """One channel of sound at `config.data.rate`. x: (frames, bins, 1) float32, `mdct` of frames * bins samples, whose active level is
    `REFERENCE`; full scale is 1. Normalised bin by bin: white noise is as loud as the average sound at every frequency.

    The denoiser's cond is what `Damage.condition` says of a damaged sound.
    """

    name, reads, suffix, suffixes = "audio", SUFFIXES, ".wav", (*CONTAINERS, *ARRAYS)
    task_types = {
        "inpaint": Inpaint, "declip": Declip, "bandwidth": Bandwidth, "denoise": Denoise, "dereverb": Dereverb, "long": Long,
        "style": Style, "generate": Sounds, "separate": Separate,
    }  # fmt: skip
    networks = {"spectral": Spectral, "waveform": Waveform}
    space_axes = (0, 2)

    def __init__(self, config, stored=None):
        data, outline = config.data, self.outline(config)
        self.rate, self.bins, self.frames = data.rate, data.bins, data.frames
        self.samples = data.frames * data.bins
        self.example, self.cond_example = outline.example, outline.cond_example
        self.network_inputs, self.noise = outline.network_inputs, White()
        self.data, self.seed, self.said = data, config.seed, said_of(data)
        self.normalizer = Normalizer.from_json(stored, self.example) if stored else self._measure()
        self.rewards = make_rewards(self)

    @classmethod
    def check(cls, config):
        data = config.data
        for key, fine, expected in (
            ("rate", 1000 <= data.rate <= 192000, "1000 to 192000 Hz"),
            ("bins", data.bins >= 8 and data.bins % 2 == 0, "an even number, at least 8"),
            ("frames", data.frames >= 4, "at least 4"),
            ("held_out", data.held_out > 0, "a share of the files below 1, or how many"),
            ("clip", 0 < data.clip <= 60, "seconds, 60 at most"),
            ("windows", data.windows >= 0, "0 for as many as are asked for, or how many training windows there are"),
            ("speed", 0 <= data.speed <= 0.3, "0 to 0.3"),
            ("texts", not data.get("texts", "") or bool(data.path), f"'', or of sounds in data.path: '{BESIDE}', or a table in it"),
            ("source", data.get("source", "") in ("", *([] if data.path else ["notes"])), "'', or 'notes', which takes no data.path"),
        ):
            if not fine:
                raise UserError(f"config.data.{key} = {data[key]}: expected {expected}")
        classes = tuple(data.get("classes", ()))
        if not all(isinstance(one, str) and one for one in classes) or len(set(classes)) < len(classes):
            raise UserError(f"config.data.classes = {classes}: expected names of folders in data.path, each once")
        check_memory(4.0 * data.frames * data.bins * 20, f"config.data.frames = {data.frames}, bins = {data.bins}", "take fewer")
        check_memory(4.0 * data.frames * data.bins * data.windows, f"config.data.windows = {data.windows}", "take fewer, or 0")

    @classmethod
    def outline(cls, config):
        frames, bins, numbers = config.data.frames, config.data.bins, damage.NUMBERS + len(said_of(config.data))
        cond = {
            "concat": jax.ShapeDtypeStruct((frames, bins, 1, damage.CHANNELS), np.float32),
            "numbers": jax.ShapeDtypeStruct((frames, 1, 1, numbers), np.float32),
        }
        inputs = {"bins": bins, "concat_channels": damage.CHANNELS, "embedding_features": numbers}
        return Outline(jax.ShapeDtypeStruct((frames, bins, 1), np.float32), cond, inputs)

    @property
    def std(self) -> np.ndarray:
        """(bins,) standard deviation of the coefficients."""
        return np.asarray(self.normalizer.std, np.float64).reshape(-1)

    @cached_property
    def collections(self):
        """(train, test) files: the user's own, or the speech that comes with the package; or made notes."""
        notes = self.data.get("source") == "notes"
        whole = MadeNotes(self.rate) if notes else open_collection(self.data.path or EMBEDDED, self.rate)
        if self.said.texts:
            self.said.check(whole.paths)
        return whole.split(self.data.held_out)

    @cached_property
    def _gains(self):
        # what each file is multiplied by, so that its active level is the reference
        return [np.array([REFERENCE / max(files.level(i), 1e-6) for i in range(len(files))]) for files in self.collections]

    def sound(self, split: str, i: int, first: int, count: int) -> np.ndarray:
        """(count,) float64 samples of file i at the reference level, from `first`, which may be below 0; 0 outside of the file."""
        which = int(split != "train")
        before = min(max(-first, 0), count)
        found = self.collections[which].read(i, max(first, 0), count - before)
        return np.concatenate([np.zeros(before), found.astype(np.float64) * self._gains[which][i]])

    def dataset(self, split):
        """Training windows are drawn at random and damaged; those of the test follow each other, and are damaged too."""
        import grain

        if split == "train":
            return grain.MapDataset.source(np.arange(WINDOWS)).map(lambda i: self._train_element(int(i)))
        return grain.MapDataset.source(self._test_places).map(lambda place: self._test_element(*map(int, place)))

    def unconditional(self, split):
        """Whole sounds, without the first guess of a damaged one."""
        import grain

        if split == "train":
            return grain.MapDataset.source(np.arange(WINDOWS)).map(lambda i: self._train_sound(int(i)))
        return grain.MapDataset.source(self._test_places).map(lambda place: self._as_x(self.sound("test", *map(int, place), self.samples)))

    def _train_sound(self, i):
        wave, lead, *_, own = self._train_wave(i)
        return self._as_x(wave * _gain(own), lead // self.bins)

    def _as_x(self, wave, lead=0):
        return {"x": mdct(wave, self.bins)[lead : lead + self.frames, :, None].astype(np.float32)}

    @cached_property
    def _train_shares(self):
        lengths = np.array([self.collections[0].frames(i) for i in range(len(self.collections[0]))], float)
        return lengths / lengths.sum()

    @cached_property
    def _test_places(self):
        files = self.collections[1]
        return [(i, first) for i in range(len(files)) for first in range(0, max(files.frames(i) - self.samples, 0) + 1, self.samples)]

    def _train_wave(self, i):
        # (samples of element i with a frame more on either side or none, those in front, its file and window, what draws the rest). Half
        # of the windows go on beyond their edges, as those of a longer sound do, the others end there.
        own = np.random.default_rng([self.seed, i])
        which = int(own.integers(self.data.windows)) if self.data.windows else i
        rng = np.random.default_rng([self.seed, which, 1])
        file = int(rng.choice(len(self._train_shares), p=self._train_shares))
        lead, trail = (rng.random(2) < 0.5) * self.bins
        faster = 1000 + round(1000 * self.data.speed * rng.uniform(-1, 1)) if self.data.speed else 1000
        length = self.samples + lead + trail
        count = -(-length * faster // 1000)
        first = rng.integers(*sorted((0, self.collections[0].frames(file) - count)), endpoint=True)
        wave = resample(self.sound("train", file, int(first), count), faster, 1000)[:length]
        return wave, int(lead), file, which, rng, own

    def _train_element(self, i):
        wave, lead, file, which, rng, own = self._train_wave(i)
        hurt = damage.draw(rng, wave, self.rate)
        guess = self._guesses.get(which)
        guess = hurt.first_guess(self.rate).astype(np.float32) if guess is None else guess
        if self.data.windows:
            self._guesses[which] = guess
        gain = _gain(own)
        said = self._said_of("train", file) if own.random() < KEPT else self.said.numbers()
        return self._element(wave * gain, replace(hurt, guess=guess).times(gain), said, lead // self.bins)

    @cached_property
    def _guesses(self):
        return {}  # of the training windows that come again

    def _test_element(self, file, first):
        rng = np.random.default_rng([self.seed, file, first])
        wave = self.sound("test", file, first, self.samples)
        hurt = damage.draw(rng, wave, self.rate)
        return self._element(wave, replace(hurt, guess=hurt.first_guess(self.rate)), self._said_of("test", file), 0)

    def _said_of(self, split, i):
        return self._all_said[int(split != "train")][i] if len(self.said) else self.said.numbers()

    @cached_property
    def _all_said(self):
        return [[self.said.numbers(*self.said.of(path)) for path in files.paths] for files in self.collections]

    def _element(self, wave, hurt, said, lead):
        wave, hurt = damage.levelled(wave, hurt, self.rate)
        inside = slice(lead, lead + self.frames)
        cond = {key: leaf[inside] for key, leaf in hurt.condition(self.std, self.rate, said).items()}
        x = mdct(wave, self.bins)[inside, :, None].astype(np.float32)
        return {"x": x, "cond": cond, "loss_weight": np.broadcast_to(self._weights[:, None], x.shape)}

    @cached_property
    def _weights(self):
        weights = self.std**WEIGHT
        return (weights / weights.mean()).astype(np.float32)

    @cached_property
    def clips(self):
        """Held-out clips {"x": (frames, bins, 1)} of `config.data.clip` seconds, or what the network hears where no file has as much."""
        files = self.collections[1]
        for length in (max(-(-round(self.data.clip * self.rate) // self.bins), self.frames), self.frames):
            step = length * self.bins
            places = [(i, first) for i in range(len(files)) for first in range(0, files.frames(i) - step + 1, step)]
            if places:
                return Clips(self, places, step)
        return Clips(self, [(i, 0) for i in range(len(files))], self.samples)

    def _measure(self):
        total, count = 0.0, 0
        for i in range(len(self.collections[0])):
            blocks = max(self.collections[0].frames(i) // self.bins, 1)
            for first in range(0, blocks, 4096):
                part = self.sound("train", i, first * self.bins, min(4096, blocks - first) * self.bins)
                total, count = total + (mdct(part, self.bins) ** 2).sum(0), count + len(part) // self.bins
        std = np.sqrt(total / count)
        std = np.maximum(std, LEAST * std.max())
        return Normalizer(np.zeros((1, self.bins, 1), np.float32), std.astype(np.float32)[None, :, None], "1")

    def to_native(self, x, cond=None) -> xr.Dataset:
        """Dataset `waveform` (sample, time) in full scale 1; time in seconds."""
        wave = imdct(np.asarray(x, np.float32)[..., 0])
        time = xr.Variable("time", np.arange(wave.shape[-1]) / self.rate, {"units": "s"})
        waveform = (("sample", "time"), wave, {"units": "1", "long_name": "waveform, full scale is 1"})
        return xr.Dataset({"waveform": waveform}, {"time": time}, {"rate": self.rate})

    def from_native(self, native: xr.Dataset) -> np.ndarray:
        waves = np.asarray(native["waveform"].values, np.float64)
        waves = waves.mean(-1) if "channel" in native["waveform"].dims else waves
        if (rate := int(native.attrs.get("rate", self.rate))) != self.rate:
            waves = resample(waves.T, rate, self.rate).T
        return mdct(waves[:, : waves.shape[1] // self.bins * self.bins], self.bins)[..., None].astype(np.float32)

    def by_name(self, x):
        """waveform, (B, samples) of full scale 1 at the model's rate."""
        return {"waveform": imdct(jnp.asarray(x)[..., 0])}

    def with_fields(self, x, fields):
        return mdct(fields["waveform"], self.bins)[..., None] if "waveform" in fields else x

    def quantities(self, native):
        return scores.quantities(native)

    def save(self, samples: xr.Dataset, path) -> None:
        """A sound by the path's suffix, further answers beside it as NAME-2.wav, NAME-3.wav; or all in one netCDF or zarr."""
        if Path(path).suffix.lower() in ARRAYS:
            return save_dataset(samples, path)
        waves, attrs = np.asarray(samples["waveform"].values, np.float64), samples.attrs
        waves = waves if waves.ndim == 3 else waves[..., None]
        about = {name: attrs[name] for name in ("subtype", "format", "source") if name in attrs}
        changed = samples["changed"].values.astype(bool) if "changed" in samples else None
        write_answers([Sound(wave, int(attrs.get("rate", self.rate)), **about) for wave in waves], path, changed)

    def plot(self, samples):
        from domains.audio import plots

        waves = samples["waveform"].values
        return plots.gallery(waves.mean(-1) if waves.ndim == 3 else waves, int(samples.attrs.get("rate", self.rate)))

    def page(self, native, about):
        from domains.audio import page

        waves, rate = native["waveform"].values, int(native.attrs.get("rate", self.rate))
        waves = waves if waves.ndim == 3 else waves[..., None]
        rows = [page.Row(f"sample {i}", wave, rate, group="answers") for i, wave in enumerate(waves, 1)]
        return page.page(rows, title="Generated sounds", about=list(about.items()))

    def metrics(self, samples, reference):
        return scores.of_many(*(imdct(np.asarray(x, np.float64)[..., 0]) for x in (samples, reference)), self.rate)


def said_of(data) -> Said:
    """What can be said of sounds, by `config.data`."""
    return Said(tuple(data.get("classes", ())), data.get("texts", ""), Path(data.path).expanduser() if data.path else None)


class Clips:
    """Held-out clips as a sequence, read when they are asked for."""

    def __init__(self, domain, places, samples: int):
        self._domain, self._places, self._samples = domain, places, samples

    def __len__(self):
        return len(self._places)

    def __getitem__(self, i):
        file, first = self._places[i]
        wave = self._domain.sound("test", file, first, self._samples)
        level = active_level(wave, self._domain.rate)
        wave = wave * (REFERENCE / level if level > 0 else 1.0)  # as a user's own clip would be
        return {"x": mdct(wave, self._domain.bins)[..., None].astype(np.float32)}


def _gain(rng):
    # in either polarity, of a training window
    return rng.choice((-1, 1)) * 10 ** rng.uniform(-0.15, 0.15)
