"""What every benchmark prints first and measures with."""

import os
import platform
import time

import jax
import numpy as np


def describe() -> str:
    """CPU model, cores and versions, for the line under a table."""
    model = platform.processor() or "unknown processor"
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), model)
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, jax {jax.__version__}, {jax.default_backend()}"


def seconds(*calls, repeats: int = 15) -> np.ndarray:
    """(repeats, calls) wall times, taken in turns so that all meet the same machine; each is called once before."""
    for call in calls:
        jax.block_until_ready(call())
    times = np.empty((repeats, len(calls)))
    for row in times:
        for i, call in enumerate(calls):
            start = time.perf_counter()
            jax.block_until_ready(call())
            row[i] = time.perf_counter() - start
    return times


def median_seconds(*calls, repeats: int = 15) -> list[float]:
    """Median of `seconds` of each call."""
    return np.median(seconds(*calls, repeats=repeats), axis=0).tolist()
