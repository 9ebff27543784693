"""Which workers get which work, and how many threads they have."""

from __future__ import annotations

import os

import pytest

from napari_unet.cluster import connection
from napari_unet.cluster.queue import Job, Workers

distributed = pytest.importorskip("distributed")


class Asking:
    """Jobs, some of them of networks, that return the name of their worker."""

    def __init__(self, number):
        self._waiting = [Job(_worker, (), (n,), network=n % 2 == 0) for n in range(number)]
        self.names = {True: [], False: []}

    def take(self):
        return self._waiting.pop() if self._waiting else None

    def done(self, job, value):
        self.names[job.network].append(value)

    def failed(self, job, error):
        raise error


def _worker():
    return distributed.get_worker().name


@pytest.fixture
def with_one_card():
    """Return a client with two workers in this process, one of which says that it has a graphics card."""
    workers = {
        name: {"cls": distributed.Worker, "options": {"nthreads": 1, "resources": resources, "dashboard": False}}
        for name, resources in {"card": {"GPU": 1}, "none": {}}.items()
    }
    scheduler = {"cls": distributed.Scheduler, "options": {"dashboard": False, "protocol": "inproc"}}
    with (
        distributed.SpecCluster(workers, scheduler=scheduler, silence_logs=50) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(2)
        yield client


def test_networks_run_where_the_cards_are(with_one_card):
    jobs = Asking(20)
    Workers(with_one_card).run(jobs)
    assert jobs.names[True] == ["card"] * 10
    assert len(jobs.names[False]) == 10


def test_networks_run_anywhere_without_cards(client):
    jobs = Asking(4)
    Workers(client).run(jobs)
    assert {name: len(found) for name, found in jobs.names.items()} == {True: 2, False: 2}


def test_workers_of_this_machine_share_its_cores(monkeypatch):
    for name in connection._THREADS:  # they have the first word
        monkeypatch.delenv(name, raising=False)
    with connection.local_workers(1) as client:
        assert set(client.nthreads().values()) == {1}, "tiles that a worker computes at once"
        assert list(client.run(_torch_threads).values()) == [os.cpu_count()]


def _torch_threads():
    import torch

    return torch.get_num_threads()
