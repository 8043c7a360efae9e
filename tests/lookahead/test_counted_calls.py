"""Methods that call the network inside of a step say how often."""

import jax
from lookahead.common import A, Y

import sciddm as sd


def test_calls_are_counted_as_they_happen(mixture):
    asked = []

    def expected(x_t, t, cond):
        jax.debug.callback(lambda: asked.append(1))
        return 0.5 * x_t

    denoiser = sd.FunctionDenoiser(expected, sd.GaussianProcess.vp())
    obs = sd.lookahead.Observation(A, Y, 0.5)
    for method, options in (
        ("daps", {"ode_steps": 3}),
        ("sitcom", {"inner_steps": 4}),
        ("dflow", {"ode_steps": 3, "iterations": 2}),
    ):
        asked.clear()
        steps = {} if method == "dflow" else {"steps": 3}
        guided = getattr(sd.lookahead, method)(denoiser, obs, **options)
        _, info = sd.sample(jax.random.key(0), guided, (1, 3), **steps)
        jax.effects_barrier()
        # each of dflow's three backward passes asks again for some of its three answers, which is no call of the method
        recomputed = range(10) if method == "dflow" else (0,)
        assert len(asked) - int(info["network_calls"]) in recomputed, method
        assert int(info["network_calls"]) == int(info["calls"].sum())
