"""What all methods promise: they work with guidance inside and with any solver of ours, and pull towards what was seen."""

import jax
import numpy as np
import pytest

import sciddm as sd

A, Y = np.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]]), np.array([0.7, -0.4])
SHIFTS = {
    "steer": {}, "dps": {"scale": 0.1}, "lgd": {}, "pigdm": {}, "mmps": {}, "freedom": {"scale": 0.3}, "universal": {}, "mpgd": {},
    "tfg": {"rho": 0.3, "mu": 0.1}, "ddnm": {}, "diffpir": {}, "daps": {}, "sitcom": {}, "repaint": {}, "flowdps": {},
    "flowchef": {"scale": 0.3},
}  # fmt: skip
SOLVERS = sorted(set(sd.solvers.SOLVERS) - {"dpmpp1", "ancestral", "tsit5", "dopri8", "euler-maruyama"})


def observed_gap(samples):
    return np.sqrt(np.mean((np.asarray(samples) @ A.T - Y) ** 2))


PROCESS = sd.GaussianProcess.vp()
PRIOR = sd.FunctionDenoiser(lambda x, t, cond: PROCESS.alpha(t) * x, PROCESS)  # of N(0, I)


@pytest.mark.parametrize("place", range(len(SHIFTS)), ids=list(SHIFTS))
def test_it_composes_with_guidance_and_with_any_solver(place):
    method, options = list(SHIFTS.items())[place]
    inner = sd.guidance.classifier_free(PRIOR, 1.0)
    guided = getattr(sd.lookahead, method)(inner, sd.lookahead.Observation(A, Y, 0.5), **options)
    if method in ("steer", "dps"):  # and around it: shifts and kicks
        guided = sd.guidance.classifier_free(guided, 1.0)
    prior = observed_gap(np.random.default_rng(6).normal(size=(200, 3)))
    solver = SOLVERS[place % len(SOLVERS)]  # each solver meets some method
    samples, info = sd.sample(jax.random.key(0), guided, (200, 3), solver=solver, steps=30, grid="logsnr")
    assert np.all(np.isfinite(samples))
    assert observed_gap(samples) < 0.95 * prior
    assert info["residual"].shape == (30, 200)
    if method not in ("sitcom", "repaint"):  # they move the input, or x_s
        norm = np.asarray(info["guidance_norm"])
        assert np.all(norm >= 0) and norm.mean() > 1e-4
    assert info["calls"].shape == (30,) and info["network_calls"] == info["calls"].sum()


def test_a_second_call_compiles_nothing():
    traces = []

    def expected(x_t, t, cond):
        traces.append(1)
        return 0.5 * x_t

    denoiser = sd.FunctionDenoiser(expected, sd.GaussianProcess.vp())
    counts = []
    for y in (0.1, 0.2):
        guided = sd.lookahead.repaint(denoiser, sd.lookahead.Observation(A, Y + y, 0.5 + y), jump=2, repeats=2)
        sd.sample(jax.random.key(0), sd.lookahead.lgd(guided, sd.lookahead.Observation(A, Y + y, 0.5)), (2, 3), steps=4)
        counts.append(len(traces))
    assert counts[0] == counts[1]
