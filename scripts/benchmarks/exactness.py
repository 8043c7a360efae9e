"""How exact is the core? Orders of convergence, laws and posteriors on mixtures whose answers are known.

Usage: python scripts/benchmarks/exactness.py
"""

import jax
import jax.numpy as jnp
from machine import describe

import sciddm as sd
from sciddm.metrics import sliced_wasserstein
from sciddm.observed_order import observed_order

KEY = jax.random.key(0)
WEIGHTS, MEANS = [0.3, 0.7], [[-1.0, 0.0, 1.0], [2.0, 1.0, -1.0]]
A, Y = jnp.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]]), jnp.array([0.7, -0.4])


def law(name: str) -> float:
    """Sliced distance of 4000 samples to the truth, dpmpp2m, 50 steps."""
    mixture = sd.oracle.GaussianMixture(WEIGHTS, MEANS, 0.2)
    samples, _ = sd.sample(KEY, mixture.denoiser(getattr(sd.GaussianProcess, name)()), (4000, 3), steps=50)
    return sliced_wasserstein(samples, mixture.sample(jax.random.key(9), 4000))


def posterior(method: str) -> tuple[float, float]:
    """Largest errors of mean and covariance over the largest covariance, 20,000 samples, prior N(0, 2 I)."""
    prior = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0, 0.0]], 2.0)
    exact, denoiser = prior.posterior(A, Y, 0.3), prior.denoiser(sd.GaussianProcess.vp())
    options = {"prior_variance": 2.0} if method == "pigdm" else {}
    guided = getattr(sd.lookahead, method)(denoiser, sd.lookahead.Observation(A, Y, 0.3), **options)
    samples, _ = sd.sample(KEY, guided, (20000, 3), steps=100)
    scale = float(exact.covariance.max())
    mean = float(jnp.abs(samples.mean(0) - exact.mean).max()) / scale**0.5
    return mean, float(jnp.abs(jnp.cov(samples.T) - exact.covariance).max()) / scale


def main() -> None:
    print("| solver | claimed order | observed |\n| --- | --- | --- |")
    for name, solver in sd.solvers.SOLVERS.items():
        made = solver()
        if made.network_calls(1) is None:  # adaptive: a tolerance instead of an order
            continue
        kind = ", in law" if made.draws_noise() else ""
        print(f"| {name} | {made.order(None)}{kind} | {observed_order(made):.2f} |", flush=True)
    mixture = sd.oracle.GaussianMixture(WEIGHTS, MEANS, 0.2)
    floor = sliced_wasserstein(mixture.sample(jax.random.key(8), 4000), mixture.sample(jax.random.key(9), 4000))
    print(f"\n| process | sliced distance (floor {floor:.3f}) |\n| --- | --- |")
    for name in ("vp", "sub_vp", "cosine", "ve", "edm", "rectified"):
        print(f"| {name} | {law(name):.3f} |")
    print("\n| guide on a Gaussian prior | error of mean | error of covariance |\n| --- | --- | --- |")
    for method in ("pigdm", "mmps"):
        mean, covariance = posterior(method)
        print(f"| {method} | {mean:.3f} | {covariance:.3f} |")
    print(f"\n{describe()}")


if __name__ == "__main__":
    main()
