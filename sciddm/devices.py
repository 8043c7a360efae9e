"""Which devices a command runs on: `--device cpu | gpu | tpu`, or one alone, `gpu:1`. jax is imported inside the functions."""

import argparse
import platform
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from sciddm.errors import UserError

KINDS = ("cpu", "gpu", "tpu")


class Device(NamedTuple):
    """What `--device` says: a kind, and the place of the one that is meant, None for all of that kind."""

    kind: str
    index: int | None = None


def device(text: str) -> Device:
    """The argument of `--device`: KIND or KIND:N, N from 0. Raises: argparse.ArgumentTypeError."""
    kind, colon, index = text.partition(":")
    if kind not in KINDS or (colon and not index.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r}: expected {', '.join(KINDS)}, or one of several such as gpu:0, counted from 0")
    return Device(kind, int(index) if colon else None)


def choose(wanted: Device | None) -> None:
    """Let jax take what `--device` says, before it makes its devices; None leaves the choice to JAX_PLATFORMS and to jax.

    Raises: UserError if one device is asked for by its place and is not there; of a kind alone, `announce` finds that out.
    """
    if wanted is None:
        return
    import jax

    # "gpu" as a platform of jax means all makes of them, of which one is always missing; left alone, jax takes what is fastest.
    jax.config.update("jax_platforms", "cpu" if wanted.kind == "cpu" else None)
    jax.config.update("jax_default_device", None)
    if wanted.index is None:
        return
    found = _of_kind(wanted)
    if wanted.index >= len(found):
        places = f"{wanted.kind}:0" + (f" to {wanted.kind}:{len(found) - 1}" if len(found) > 1 else " alone")
        more = f"; JAX_NUM_CPU_DEVICES={wanted.index + 1} in front makes enough" if wanted.kind == "cpu" else ""
        raise UserError(f"--device {wanted.kind}:{wanted.index}: this machine has {places}{more}")
    jax.config.update("jax_default_device", found[wanted.index])


def chosen() -> list:
    """The jax devices that arrays belong on: the one that was chosen alone, or all of the platform."""
    import jax

    alone = jax.config.jax_default_device
    return [alone] if isinstance(alone, jax.Device) else jax.devices()


def announce(wanted: Device | None, most: int | None = None) -> None:
    """Say on stderr what is used, `most` devices of it at most. Raises: UserError if the kind that is asked for is not there."""
    import jax

    there() if wanted is None else _of_kind(wanted)
    if jax.process_index() == 0:
        print(f"device: {in_words(chosen()[:most])}", file=sys.stderr)


def in_words(devices) -> str:
    """Such as "cpu, 2 virtual devices, one a core (AMD EPYC)" or "gpu:1 alone of 4 (NVIDIA H100 80GB HBM3)"."""
    import jax

    first, count, every = devices[0], len(devices), jax.devices()
    make = f" ({name})" if (name := _cpu() if first.platform == "cpu" else first.device_kind) else ""
    if count == 1 and len(every) > 1:
        return f"{first.platform}:{every.index(first)} alone of {len(every)}{make}"
    if count == 1:
        return f"{first.platform}{make}"
    if first.platform != "cpu":
        return f"{first.platform}, {count} devices{make}"
    from sciddm.train.sharding import usable_cores

    return f"cpu, {count} virtual devices{', one a core' if count <= usable_cores() else ''}{make}"


def there() -> list:
    """All jax devices of the platform. Raises: UserError if JAX_PLATFORMS names one that is not there."""
    import jax

    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # the second where jax warns of a missing platform and is left with none
        raise UserError(f"JAX_PLATFORMS={jax.config.jax_platforms}: jax finds no devices of it; leave it out, or say cpu there") from error


def _of_kind(wanted: Device) -> list:
    found = there()
    if any(one.platform != wanted.kind for one in found):
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(one.platform for one in found).items())
        more = "; a jax made for it may be missing: see docs.jax.dev/en/latest/installation.html" if wanted.kind != "cpu" else ""
        raise UserError(f"--device {wanted.kind}: there is none here, jax finds {kinds}: leave --device out, or say --device "
                        f"{found[0].platform}{more}")  # fmt: skip
    return found


def _cpu() -> str:
    # the name of the processor, where the system tells
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
