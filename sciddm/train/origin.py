"""Where does a run begin? With weights that are drawn, or with the averaged ones of another run, on other data of the same layout."""

import hashlib
from pathlib import Path

import jax
import numpy as np

from sciddm.denoiser import NetworkDenoiser
from sciddm.domain import Domain, get_domain
from sciddm.errors import UserError
from sciddm.train.gradient import with_params

STATISTICS = ("kept", "measured")
SAME = ("domain", "process", "network")  # groups of keys that weights depend on


class Origin:
    """The run whose averaged weights a new one begins with.

    statistics: "kept", the new data are normalised as the old ones were, so that the denoiser sees the same units; "measured", they are
    normalised by their own mean and spread.
    """

    def __init__(self, path, model, statistics: str):
        self.path, self.model, self.statistics = str(Path(path)), model, statistics

    @classmethod
    def of(cls, config, path, statistics: str) -> "Origin":
        """Raises: UserError if there is no run at `path`, or its weights don't fit the config."""
        from sciddm.model import load
        from sciddm.overrides import fixed_by_training

        if statistics not in STATISTICS:
            raise UserError(f"--statistics {statistics}: expected one of {', '.join(STATISTICS)}")
        model = load(path)
        if change := fixed_by_training(config, model.config, SAME):
            key, theirs, ours = change
            raise UserError(f"--init-from {path}: was trained with config.{key} = {theirs}, here it is {ours}; set --config.{key}={theirs}")
        prediction = model.config.denoiser.prediction
        if config.denoiser.prediction != prediction:
            raise UserError(f"--init-from {path}: its network predicts {prediction!r}; set --config.denoiser.prediction={prediction}")
        return cls(path, model, statistics)

    @property
    def sigma_data(self):
        """Of the normalised data; None: to be measured."""
        return self.model.about["sigma_data"] if self.statistics == "kept" else None

    def domain(self, config) -> Domain:
        """That of the new data, with the statistics that are wanted."""
        own = get_domain(config)
        if self.statistics == "measured":
            return own
        try:
            kept = own.normalizer.with_statistics(self.model.normalizer)
        except ValueError as error:
            raise UserError(f"--init-from {self.path}: {error}; take --statistics measured, or data of the same layout") from error
        return get_domain(config, kept.to_json())

    def put_into(self, denoiser: NetworkDenoiser) -> NetworkDenoiser:
        """`denoiser` with the weights. Raises: UserError if its network has other arrays."""
        params, fresh = self.model.denoiser.network.params, denoiser.network.params
        ours, theirs = (
            {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)} for tree in (fresh, params)
        )
        if different := next((name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)), None):
            raise UserError(
                f"--init-from {self.path}: its network has {different} of shape {theirs.get(different)}, here it would be "
                f"{ours.get(different)}: these data have another layout, such as other variables; train them without --init-from"
            )
        return with_params(denoiser, params)

    def to_json(self) -> dict:
        """For the checkpoint."""
        return {"path": self.path, "step": self.model.step, "weights": digest(self.model), "statistics": self.statistics}


def digest(model) -> str:
    """sha256 of all weights of a model."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(model.denoiser.network.params):
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()


def check_same_origin(init_from, statistics: str, stored: dict, workdir) -> None:
    """That a run which is there already began as it is asked to. Raises: UserError if not."""
    before = stored.get("init_from")
    if init_from is None:
        return
    if before is None:
        raise UserError(f"{workdir}: holds a run that began with no other; leave --init-from out to go on, or choose another --workdir")
    if (Path(init_from).resolve(), statistics) != (Path(before["path"]).resolve(), before["statistics"]):
        raise UserError(
            f"{workdir}: holds a run that began with {before['path']}, statistics {before['statistics']}; leave --init-from out to go on, "
            "or choose another --workdir"
        )
