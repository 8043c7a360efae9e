"""config.data checked, and what is measured of the user's file before anything is trained: statistics, normaliser, and words about it."""

import sys
from dataclasses import replace

import numpy as np

from domains.fields.cuts import pairs, vectors_of
from domains.fields.normalizer import Facts, FieldNormalizer
from domains.fields.source import Source
from domains.fields.statistics import Statistics, measure
from sciddm.errors import UserError
from sciddm.memory import check_memory
from sciddm.transforms import transform

SEQUENCE = 8  # times of a window that is suggested
LONGEST = 4096  # times of a window
SKEWED = 2.0  # skewness of a positive variable from which on a transform is suggested


def check_data(data) -> None:
    """Values of config.data that no file is needed for. Raises: UserError that names the key."""
    if data.window < 1 or data.stride < 1:
        raise UserError(f"config.data.window = {data.window}, config.data.stride = {data.stride}: expected at least 1")
    if data.window > LONGEST:
        raise UserError(f"config.data.window = {data.window}: expected at most {LONGEST} frames, which are channels of a network")
    if data.past is not None and not 0 <= data.past < max(data.window, 1):
        raise UserError(
            f"config.data.past = {data.past}: expected 0 to {data.window - 1}, fewer than config.data.window"
        )
    if not data.held_out > 0:
        raise UserError(f"config.data.held_out = {data.held_out}: expected a number of samples, or below 1 their share")
    if not 0 <= data.most_missing <= 1:
        raise UserError(f"config.data.most_missing = {data.most_missing}: expected a share, 0 to 1")
    if not data.memory >= 0:
        raise UserError(f"config.data.memory = {data.memory}: expected GB, 0 or more")
    if data.noise not in ("white", "spectral"):
        raise UserError(f"config.data.noise = {data.noise!r}: expected 'white' or 'spectral'")
    for key in ("crop", "coarsen"):
        pairs(key, data[key])
    for name, text in pairs("transforms", data.transforms).items():
        try:
            transform(text)
        except ValueError as error:
            raise UserError(f"config.data.transforms: {name}={text}: {error}") from error
    turned = {name for one in vectors_of(data) for name in one}
    for name, text in pairs("transforms", data.transforms).items():
        one = transform(text)
        if data.augment and name in turned and not one.low == -one.high:
            raise UserError(
                f"config.data.transforms: {name}={text}: {name!r} is in config.data.vectors and turns its sign by config.data.augment; "
                "expected a transform of both signs, such as asinh"
            )


def measure_source(source: Source, data) -> Statistics:
    """The statistics of a file, each variable after its transform. Raises: UserError on a transform of no variable, and as `measure`."""
    layout, counted = source.plan.layout, float(source.samples) * len(source.times)
    dim = max(layout.space, key=lambda one: layout.header.sizes[one])
    grid = " x ".join(f"{one} ({layout.header.sizes[one]})" for one in layout.space)
    what = f"{source.fields.source}: statistics of {grid} and of {counted:g} frames"
    way_out = f"make the grid coarser, such as by --config.data.coarsen={dim}={max(layout.header.sizes[dim] // 256, 1)}"
    check_memory(128.0 * np.prod(layout.grid, dtype=float) * len(source.names) + 64.0 * counted, what, way_out)
    return measure(source, _transforms(source, data), data.cache, spectrum=data.noise == "spectral")


def normalizer_of(source: Source, data, found: Statistics) -> FieldNormalizer:
    """What a model of these data keeps of them."""
    layout, each = source.plan.layout, _transforms(source, data)
    c, mean, std = len(layout.variables), found.mean, found.std
    masked = found.count[..., :c] == 0
    missing = bool((found.missing > masked.mean() + 1e-6).any())
    layout = replace(layout, masked=masked if masked.any() else None)
    for dim in data.augment:
        if not np.array_equal(masked, np.flip(masked, layout.space.index(dim))):
            raise UserError(
                f"config.data.augment: {dim!r}: {source.fields.source} has a mask, which would lie elsewhere in a mirrored sample; "
                "leave it out"
            )
    statics = [layout.header[name].values.astype(float) for name in layout.statics]
    statics = [values[~np.isnan(values)] if not np.isnan(values).all() else np.zeros(1) for values in statics]
    past = (layout.frames // 2 if data.past is None else data.past) if layout.frames else 0
    power = None
    if data.noise == "spectral":
        power = (found.power[..., :c] / std[:c] ** 2).mean(-1) / max(int(found.spectra), 1)
    facts = Facts(
        layout, mean_field=((found.mean_field - mean) / std)[..., :c], std_field=(found.std_field / std)[..., :c],
        given_mean=np.array([*mean[c:], *(values.mean() for values in statics)]),
        given_std=np.array([*std[c:], *(values.std() or 1.0 for values in statics)]),
        least=found.least[:c], most=found.most[:c], scales=found.scale[:c], missing=missing, power=power, transforms=tuple(each[c:]),
        past=past,
    )  # fmt: skip
    units = ", ".join(f"{name} [{layout.units(name)}]" for name in layout.variables)
    return FieldNormalizer(mean[:c].astype(np.float32), std[:c].astype(np.float32), units, tuple(each[:c]), facts)


def tell(source: Source, normalizer: FieldNormalizer, found: Statistics) -> None:
    """What was found in the file and how it is understood, in words."""
    facts, layout = normalizer.facts, normalizer.facts.layout
    along = (
        f"windows of {layout.frames} times along {layout.time!r}"
        if layout.frames
        else f"samples along {layout.sample or layout.time!r}"
    )
    grid = " x ".join(f"{dim} ({layout.header.sizes[dim]})" for dim in layout.space)
    said = [
        f"{source.fields.source}: {normalizer.units} on {grid}; {along}: "
        f"{len(source.rows('train'))} to train on, {len(source.rows('test'))} held out"
    ]
    if layout.time and not layout.frames and len(source.times) >= (SEQUENCE if source.samples > 1 else 10 * SEQUENCE):
        said.append(
            f"each time along {layout.time!r} is a sample; --config.data.window={SEQUENCE} learns sequences of {SEQUENCE}, and forecasts"
        )
    for kind, names in (("given with every sample", layout.conditions), ("given, the same for all", layout.statics)):
        said += [f"{kind}: {', '.join(names)}"] if names else []
    if layout.masked is not None:
        said.append(
            f"{layout.masked.mean():.0%} of the values are missing in all samples: masked, and NaN again in samples"
        )
    if facts.missing:
        said.append(
            "values are missing in some samples: they count nothing in the loss, and the network sees which they are"
        )
    transforms = (*normalizer.transforms, *facts.transforms)
    for name, skew, least, scale, one in zip(source.names, found.skewness, found.least, found.scale, transforms, strict=True):
        if one == "identity" and skew > SKEWED and least >= 0:
            how = "log" if least > 0 else f"asinh(scale={scale:.2g})"
            said.append(
                f"{name} is positive and skewed ({skew:.1f}); --config.data.transforms='{name}={how}' may serve it better"
            )
    print("\n  ".join(said), file=sys.stderr)


def _transforms(source, data) -> list[str]:
    names = pairs("transforms", data.transforms)
    if unknown := [name for name in names if name not in source.names]:
        raise UserError(
            f"config.data.transforms: {unknown[0]!r} is no variable of {source.fields.source}; expected some of {', '.join(source.names)}"
        )
    return [names.get(name, "identity") for name in source.names]
