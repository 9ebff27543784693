"""Workers in processes of their own, started once for all tests of the cluster."""

from __future__ import annotations

import warnings

import pytest


@pytest.fixture(scope="session")
def client():
    """Return a client with two workers of one thread each."""
    from napari_unet.cluster.connection import local_workers

    with warnings.catch_warnings(), local_workers(2) as client:
        yield client
