"""`PresentJob`: of what jobs bring, only what the present one brings is passed on."""

import pytest

from napari_unet.errors import UNetError
from napari_unet.layers.jobs import PresentJob


class Later:
    """A runner that runs nothing, so that a test can bring what jobs bring in any order."""

    def __init__(self):
        self.started = []

    def start(self, job, steps, on_event, on_return, on_error):
        self.started.append((job, on_event, on_return, on_error))


@pytest.fixture
def runner():
    return Later()


@pytest.fixture
def told():
    return []


@pytest.fixture
def present(runner, told):
    return PresentJob(runner, lambda: told.append("changed"))


def run(present, told, name):
    job = present.begin(name)
    present.run(
        job,
        iter,
        lambda found: told.append((name, "done", found, present.busy)),
        lambda error: told.append((name, "failed", str(error), present.busy)),
        lambda found: told.append((name, "event", found)),
    )
    return job


def test_what_a_job_brings_is_passed_on_and_it_has_ended_when_that_is_told(present, runner, told):
    job = run(present, told, "a")
    assert present.present is job
    assert present.busy
    _, on_event, on_return, _ = runner.started[0]
    on_event(1)
    on_return(2)
    assert told == ["changed", ("a", "event", 1), "changed", ("a", "done", 2, False)]
    assert present.present is None


def test_an_error_is_told_once(present, runner, told):
    run(present, told, "a")
    _, on_event, on_return, on_error = runner.started[0]
    on_error(UNetError("no"))
    on_event(1)
    on_return(2)
    assert told == ["changed", "changed", ("a", "failed", "no", False)]


def test_an_older_job_is_cancelled_and_brings_nothing(present, runner, told):
    older, newer = run(present, told, "a"), run(present, told, "b")
    assert older.cancel.cancelled
    assert not newer.cancel.cancelled
    for _, on_event, on_return, on_error in (runner.started[0],):
        on_event(1)
        on_return(2)
        on_error(UNetError("no"))
    assert told == ["changed", "changed"]
    assert present.is_it(newer)
    runner.started[1][2](3)
    assert told[2:] == ["changed", ("b", "done", 3, False)]


def test_a_stopped_job_tells_nothing_and_a_cancelled_one_its_end(present, runner, told):
    stopped = run(present, told, "a")
    present.stop()
    assert stopped.cancel.cancelled
    assert not present.busy
    runner.started[0][2](1)
    cancelled = run(present, told, "b")
    present.cancel()
    assert cancelled.cancel.cancelled
    assert present.busy
    runner.started[1][2](2)
    assert told == ["changed", "changed", "changed", ("b", "done", 2, False)]


def test_a_job_nobody_follows_needs_no_callables(runner):
    present = PresentJob(runner)
    job = present.begin("a")
    present.run(job, iter, lambda _: None, lambda _: None)
    runner.started[0][1](1)
    runner.started[0][2](2)
    assert not present.busy
