"""Evolution equations on periodic domains, by exponax (exponential time differencing, dealiased).

Burgers                 u_t + u u_x = nu u_xx, nu = 0.01, on (0, 1), t in (0, 1]; the field is (t, x)
Kuramoto-Sivashinsky    u_t + u u_x + u_xx + u_xxxx = 0 on (0, 64), 64 time units after 100 of transient; (t, x)
Navier-Stokes           w_t + v . grad w = nu Laplace w + 0.1 (sin 2 pi (x + y) + cos 2 pi (x + y)), nu = 1e-3, unit torus,
                        from w(0) to w(1)
"""

from functools import lru_cache

import exponax
import jax
import jax.numpy as jnp
import numpy as np

from domains.pde.fields import burgers_start, vorticity_start

NS_STEPS = 200
KS_LENGTH, KS_SPAN, KS_TRANSIENT = 64.0, 64.0, 100.0  # length; time recorded, and time dropped before it


@lru_cache
def _rollout(equation: str, size: int):
    """A jitted function of a batch of starts (B, 1, ...) -> (B, frames, ...)."""
    if equation == "burgers":
        substeps, skip = 8, 0
        step = exponax.stepper.Burgers(1, 1.0, size, 1.0 / (size * substeps), diffusivity=0.01)
    else:
        substeps, skip = max(1024 // size, 1), round(KS_TRANSIENT / KS_SPAN * size)  # steps of 1/16 or less
        step = exponax.stepper.KuramotoSivashinskyConservative(1, KS_LENGTH, size, KS_SPAN / (size * substeps))

    def frame(u, _):
        u = jax.lax.fori_loop(0, substeps, lambda _, v: step(v), u)
        return u, u[0]

    def run(start):
        start = jax.lax.fori_loop(0, skip, lambda _, u: frame(u, None)[0], start)
        return jax.lax.scan(frame, start, length=size)[1]

    return jax.jit(jax.vmap(run))


@lru_cache
def _navier_stokes(size: int, steps: int, forcing: float = 0.1, viscosity: float = 1e-3):
    dt = 1.0 / steps
    step = exponax.stepper.NavierStokesVorticity(2, 1.0, size, dt, diffusivity=viscosity)
    x, y = exponax.make_grid(2, 1.0, size)
    force = forcing * (jnp.sin(2 * jnp.pi * (x + y)) + jnp.cos(2 * jnp.pi * (x + y)))[None]

    def run(start):
        # Strang splitting: half the force before each step and half after it keep second order
        return jax.lax.fori_loop(0, steps, lambda _, w: step(w + 0.5 * dt * force) + 0.5 * dt * force, start)

    return jax.jit(jax.vmap(run))


def burgers(rngs, size: int) -> dict[str, np.ndarray]:
    """u (B, size, size): frames at t = 1/size, ..., 1 by points x = i/size, from random starts."""
    starts = np.stack([burgers_start(rng, size) for rng in rngs])[:, None].astype(np.float32)
    return {"u": np.asarray(_rollout("burgers", size)(starts))}


def kuramoto_sivashinsky(rngs, size: int) -> dict[str, np.ndarray]:
    """u (B, size, size): frames every 64/size time units by points, past the transient."""
    starts = np.stack([burgers_start(rng, size) for rng in rngs])[:, None].astype(np.float32)
    return {"u": np.asarray(_rollout("ks", size)(starts))}


def navier_stokes(rngs, size: int) -> dict[str, np.ndarray]:
    """w0, wT (B, size, size): vorticity at t = 0 and t = 1."""
    starts = np.stack([vorticity_start(rng, size) for rng in rngs])[:, None].astype(np.float32)
    return {"w0": starts[:, 0], "wT": np.asarray(_navier_stokes(size, NS_STEPS)(starts))[:, 0]}
