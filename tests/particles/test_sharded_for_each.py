"""Particles over four virtual devices against those of one, in a process of its own: the number of devices is fixed when jax starts."""

import os
import subprocess
import sys

SCRIPT = """
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from chain import gaussian
import sciddm as sd
from sciddm import particles

assert len(jax.devices()) == 4
over = NamedSharding(Mesh(np.array(jax.devices()), ("particles",)), P("particles"))
observation = sd.lookahead.Observation(np.array([[1.0, 0.5]]), np.array([2.0]), 0.3)


def weighted(**options):
    return particles.smc(
        jax.random.key(0), gaussian(), observation, (2,), num_particles=64, steps=6, twist="plain", ess_threshold=0.7, **options
    )


one = weighted()
assert 2 <= int(jnp.sum(one.info["resampled"])) < 6, one.info["resampled"]
assert len(one.particles.sharding.device_set) == 1
for options in ({}, {"chunk": 16}):
    many = weighted(sharding=over, **options)
    for ours, theirs in ((many.particles, one.particles), (many.log_weights, one.log_weights), (many.log_evidence, one.log_evidence)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(many.info["ancestors"], one.info["ancestors"])
    assert many.particles.sharding.device_set == set(jax.devices())
    assert {shard.data.shape for shard in many.particles.addressable_shards} == {(16, 2)}, many.particles.sharding
print("the same")
"""


def test_four_devices_give_the_particles_weights_and_evidence_of_one():
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4",
    }
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "the same" in done.stdout, done.stderr[-3000:]
