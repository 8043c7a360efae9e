"""How exact are the likelihoods? Errors of log_prob on 64 points of a mixture in four dimensions whose densities are known.

Usage: python scripts/benchmarks/likelihood.py
"""

import jax
import numpy as np
from machine import describe, median_seconds

import sciddm as sd

POINTS = 64
MEANS = [[-1.0, 0.0, 1.0, 0.5], [2.0, 1.0, -1.0, -0.5]]


def row(mixture, name: str, trace: str) -> str:
    """Errors in nats, network calls and seconds of one process and one kind of trace."""
    x = mixture.sample(jax.random.key(1), POINTS)
    denoiser = mixture.denoiser(getattr(sd.GaussianProcess, name)())

    def run():
        return sd.log_prob(jax.random.key(0), denoiser, x, trace=trace, return_info=True)

    seconds = median_seconds(run, repeats=5)[0]
    log_p, info = run()
    error, calls = np.abs(np.asarray(log_p - mixture.log_prob(x))), info["network_calls"]
    return f"| {name} | {trace} | {error.max():.1e} | {error.mean():.1e} | {calls.mean():.0f} ({calls.max()}) | {seconds:.3f} |"


def main() -> None:
    print(
        "Tolerances 1e-5, 8 probes where the trace is estimated; errors in nats, evaluations a sample (the largest).\n"
    )
    print("| process | trace | max error | mean error | evaluations | seconds |\n| --- | --- | --- | --- | --- | --- |")
    mixture = sd.oracle.GaussianMixture([0.3, 0.7], MEANS, [0.2, 0.1])
    for name in ("vp", "sub_vp", "cosine", "ve", "edm", "rectified"):
        for trace in ("exact", "hutchinson", "hutch++"):
            print(row(mixture, name, trace), flush=True)
    print(f"\n{describe()}")


if __name__ == "__main__":
    main()
