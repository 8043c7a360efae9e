"""A trained model as a folder to hand on: weights as safetensors, a model card, and no code; `sd.load` takes it as it takes a workdir."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

from sciddm.errors import UserError
from sciddm.train.checkpoint import Checkpoints, meta_digest

WEIGHTS, META = "model.safetensors", "model.json"
LEFT_OUT = ("recent", "digests", "digest")  # of a checkpoint's metadata: what further training needs, and what is of its own files


def is_export(path) -> bool:
    """Whether `path` is a folder that `sciddm export` wrote, perhaps one that lost a file since."""
    return any((Path(path) / name).is_file() for name in (WEIGHTS, META))


def open_source(path):
    """What holds the model of `path`, read only: `Exported`, or `Checkpoints` of a workdir; both have steps(), meta() and arrays()."""
    return Exported(path) if is_export(path) else Checkpoints(path, read_only=True)


def refuse_training(path) -> None:
    """Raises: UserError if `path` is an export."""
    if is_export(path):
        raise UserError(
            f"{path}: is an exported model, without the state of the optimiser, and can't be trained further; "
            f"use --workdir NEW --init-from {path}, which begins with its weights"
        )


class Exported:
    """An export, with the part of the interface of `Checkpoints` that reading a model needs."""

    def __init__(self, path):
        self.path = Path(path)

    def steps(self) -> list[int]:
        """The one step that it is of."""
        return [self.meta()["step"]]

    def meta(self, step: int | None = None) -> dict:
        """The metadata of the checkpoint that it was made of. Raises: UserError if the file is damaged, or of another step."""
        try:
            meta = json.loads((self.path / META).read_text())
            whole = meta["digest"] == meta_digest(meta)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.path / META}: can't be read ({type(error).__name__}); get the export once more") from error
        if not whole:
            raise UserError(f"{self.path / META}: is damaged or was changed (its checksum differs); get the export once more")
        if step not in (None, meta["step"]):
            raise UserError(f"{self.path}: is an export of step {meta['step']}; leave step={step} out")
        return meta

    def arrays(self, part: str, step: int | None = None):
        """({name: array}, meta) of the averaged weights, names as in `Checkpoints.arrays`.

        Raises: UserError if the file is damaged, or other weights than the averaged ones are asked for.
        """
        import safetensors.numpy

        if part != "ema":
            raise UserError(f"{self.path}: an export holds averaged weights alone; leave ema=False out")
        meta = self.meta(step)
        arrays = safetensors.numpy.load(self._weights(meta))
        return {meta["names"][name]: array for name, array in arrays.items()}, meta

    def check(self) -> None:
        """Raises: UserError if the weights are not there, damaged, or those of another export."""
        self._weights(self.meta())

    def _weights(self, meta) -> bytes:
        try:
            data = (self.path / WEIGHTS).read_bytes()
        except OSError as error:
            raise UserError(f"{self.path / WEIGHTS}: can't be read ({type(error).__name__}); get the export once more") from error
        if hashlib.sha256(data).hexdigest() != meta["weights_sha256"]:
            raise UserError(
                f"{self.path / WEIGHTS}: is damaged, or of another export than {META} beside it (its checksum differs); "
                "get the export once more"
            )
        return data


def export(workdir, out) -> list[Path]:
    """Write the averaged weights of a run, of its newest whole checkpoint, and all that `sd.load` needs, to the new folder `out`.

    Whole or not at all. Returns: the files. Raises: UserError if there is no whole checkpoint, or `out` is there and not empty.
    """
    import safetensors.numpy

    from sciddm import load, runs
    from sciddm.cards import model_card

    workdir, out = Path(workdir), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is there and not empty; give another folder")
    if is_export(workdir):
        raise UserError(f"{workdir}: is an export already; copy the folder")
    found = Checkpoints(workdir, read_only=True).arrays("ema")
    if found is None:
        raise UserError(f"{workdir}: holds no finished checkpoint yet; `sciddm train --config FILE --workdir {workdir}` writes one")
    arrays, meta = found
    # Without the brackets and quotes of Python, as other readers of safetensors expect.
    names = {".".join(part.strip("'\"") for part in name.strip("[]").split("][")): name for name in arrays}
    weights = {short: arrays[name].astype("float32", copy=False) for short, name in names.items()}
    data = safetensors.numpy.save(weights, {"format": "sciddm"})
    run = replace(runs.read(workdir), meta=meta)
    target = out.resolve()  # a link stays one, and "." has a name
    card = model_card(run, load(workdir, step=run.step), target.name)
    meta = {key: value for key, value in meta.items() if key not in LEFT_OUT}
    data_path = (meta.get("data") or {}).get("typed", meta["config"]["data"].get("path", ""))  # not that of this machine
    meta["config"] = meta["config"] | {"data": meta["config"]["data"] | {"path": data_path}}
    meta |= {"weights_sha256": hashlib.sha256(data).hexdigest(), "names": names}
    files = {
        WEIGHTS: data, META: _text(meta | {"digest": meta_digest(meta)}), "config.json": _text(meta["config"]),
        "README.md": card.encode(),
    }  # fmt: skip
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name, content in files.items():
            (partial / name).write_bytes(content)
        if target.exists():  # empty, as was seen above, and perhaps where the user's shell stands: it stays the same folder
            for name in reversed(files):  # the weights last, without which it is no export
                (partial / name).replace(target / name)
        else:
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [out / name for name in files]


def _text(value) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
