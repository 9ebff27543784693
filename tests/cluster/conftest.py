"""Workers in processes of their own, started once for all tests of the cluster."""

from __future__ import annotations

import warnings

import pytest


@pytest.fixture(scope="module")
def client():
    """Return a client with two workers of one thread each."""
    from distributed import Client, LocalCluster

    with (
        warnings.catch_warnings(),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as cluster,
        Client(cluster) as client,
    ):
        yield client
