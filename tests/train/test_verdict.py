import pytest

from sciddm.train.verdict import judge, slope


def meta(step=2000, reference=None, samples=100, progress=1.0, looks=(), batch=16):
    training = {"batch_size": batch, "reference_steps": reference}
    return {"step": step, "samples": samples, "progress": progress, "config": {"training": training}, "held_out": looks}


def look(step, loss, spread=0.01):
    return {"step": step, "loss": loss, "each": [loss - spread, loss + spread, loss]}


@pytest.mark.parametrize(
    "about, short",
    [
        (meta(156, reference=1258), "undertrained: 156 of 1,258 steps"),
        (meta(156), "undertrained: 156 steps"),
        (meta(1200, samples=50_000, batch=1), "undertrained: 1,200 samples seen"),
        (meta(progress=0.4), "undertrained: stopped at 40%"),
        (meta(looks=[look(1000, 0.6), look(2000, 0.5)]), "undertrained: its held-out loss still falls"),
    ],
)  # fmt: skip
def test_what_is_undertrained_says_why_and_how_to_go_on(about, short):
    found = judge(about)
    assert found.undertrained and found.short == short and "sciddm train" in str(found)
    assert ("with a larger" in str(found)) == ("progress" not in about or about["progress"] == 1.0)  # what was stopped has budget left


@pytest.mark.parametrize(
    "about",
    [
        meta(),
        meta(900, reference=1258),  # a slower machine
        meta(1200, samples=10**6),  # a pass over a million takes a pod
        meta(looks=[look(1000, 0.52), look(2000, 0.5)]),
        meta(looks=[look(1000, 0.6, 0.3), look(2000, 0.5, 0.01)]),  # three samples that don't agree
        {key: value for key, value in meta().items() if key not in ("progress", "held_out")},  # of an older version
        {},
    ],
)  # fmt: skip
def test_nothing_is_held_against_a_run_that_gives_no_reason(about):
    assert not judge(about).undertrained and judge(about).short == ""


def test_the_slope_is_a_share_a_doubling_of_steps_and_not_known_of_too_few_looks():
    assert slope([look(500, 0.8), look(1000, 0.6), look(2000, 0.5)]) == pytest.approx(1 / 6)
    assert slope([look(1200, 0.6), look(2000, 0.5)]) == pytest.approx(1 - (5 / 6) ** (1 / 0.737), abs=1e-3)
    assert slope([look(1000, 0.5), look(2000, 0.6)]) == 0.0
    assert slope([look(100, 0.8), look(2000, 0.5)]) is None and slope([look(5, 1.0)]) is None and slope([]) is None
    assert slope([look(0, 1.0), look(2000, 0.5)]) is None
