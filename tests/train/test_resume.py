"""Kill a run at random instants, start it again each time: the end must be bitwise that of the unbroken run."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from toy_domain import toy_config

from sciddm.train import fit
from sciddm.train.checkpoint import Checkpoints

SCRIPT = """
import sys
from toy_domain import toy_config
from sciddm.train import fit
config = toy_config(steps=int(sys.argv[2]))
fit(config, sys.argv[1], progress=False)
"""


def start(workdir, steps):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(workdir), str(steps)], env=environment, stderr=subprocess.PIPE, text=True
    )


def final_digests(workdir, steps):
    meta = Checkpoints(workdir, read_only=True).meta()
    assert meta["step"] == steps
    return meta["digests"]


def wait_for_lines(process, metrics, count):
    """Until the run has written so many lines of metrics; whether it is still under way."""
    while not (metrics.exists() and len(metrics.read_text().splitlines()) >= count):
        if process.poll() is not None:
            assert process.returncode == 0, process.stderr.read()
            return False
        time.sleep(0.01)
    return process.poll() is None


def test_killed_in_the_middle_equals_never_killed_to_the_bit(tmp_path):
    steps, chance, unbroken, broken = 240, random.Random(0), tmp_path / "unbroken", tmp_path / "broken"
    fit(toy_config(steps=steps), unbroken, progress=False)
    process = start(broken, steps)
    assert wait_for_lines(process, broken / "metrics.jsonl", chance.randrange(3, 12))  # of 24
    time.sleep(chance.uniform(0.0, 0.03))
    process.send_signal(signal.SIGKILL)
    process.wait()
    stopped = Checkpoints(broken, read_only=True).steps()[0]
    assert 0 < stopped < steps
    fit(toy_config(steps=steps), broken, progress=False)
    assert final_digests(broken, steps) == final_digests(unbroken, steps)
    assert (broken / "metrics.jsonl").read_text() == (unbroken / "metrics.jsonl").read_text()


@pytest.mark.slow
def test_killed_ten_times_equals_never_killed_to_the_bit(tmp_path):
    steps, kills, chance, number = 600, 0, random.Random(0), 0
    began = time.monotonic()
    unbroken = start(tmp_path / "unbroken", steps)
    assert unbroken.wait() == 0, unbroken.stderr.read()
    whole, truth = time.monotonic() - began, final_digests(tmp_path / "unbroken", steps)
    while True:
        process = start(tmp_path / f"broken{number}", steps)
        try:
            process.wait(timeout=chance.uniform(0.1, 0.9) * whole if kills < 10 else None)
            assert process.returncode == 0, process.stderr.read()
            assert final_digests(tmp_path / f"broken{number}", steps) == truth
            if kills == 10:
                return
            number += 1  # it came to its end between two kills: begin another
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1


def test_sigterm_saves_and_ends_cleanly(tmp_path):
    # Sent to this process, once the run has its handler, which is gone afterwards.
    metrics, before, over = tmp_path / "metrics.jsonl", signal.getsignal(signal.SIGTERM), threading.Event()

    def ask():
        while not (metrics.exists() and len(metrics.read_text().splitlines()) >= 4):
            if over.wait(0.01):
                return
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        state = fit(toy_config(steps=10**6), tmp_path, progress=False)
    finally:
        over.set()
        asking.join()
    assert signal.getsignal(signal.SIGTERM) is before
    saved = Checkpoints(tmp_path, read_only=True).steps()[0]
    assert saved == int(state.step) >= json.loads(metrics.read_text().splitlines()[-1])["step"]


@pytest.mark.slow
def test_a_process_that_sigterm_stops_ends_with_code_0(tmp_path):
    process = start(tmp_path / "run", 10**6)
    metrics = tmp_path / "run" / "metrics.jsonl"
    assert wait_for_lines(process, metrics, 4)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0, process.stderr.read()
    saved = Checkpoints(tmp_path / "run", read_only=True).steps()[0]
    assert saved >= json.loads(metrics.read_text().splitlines()[-1])["step"]
