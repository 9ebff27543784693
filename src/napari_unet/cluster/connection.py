"""The connection to a scheduler of dask.distributed, checked before any work."""

from __future__ import annotations

import json
import logging
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from napari_unet._version import __version__
from napari_unet.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30
"""Seconds that a scheduler has to answer."""

LOCAL = "local"
"""Stands, in place of an address, for processes of this machine, one for each core."""


def check_address(scheduler: str) -> None:
    """Check how a scheduler is named, and that the program can talk to one.

    Raises
    ------
    ClusterError
        If it is no address, there is no such file, or `distributed` is not installed.
    """
    if scheduler != LOCAL and not re.match(r"(tcp|tls|ucx|ws|wss)://.+:\d+$", scheduler):
        if not scheduler.endswith(".json"):
            raise ClusterError(
                f"A scheduler is local, tcp://HOST:PORT, or the file that it writes (.json); got {scheduler!r}."
            )
        if not os.path.exists(scheduler):
            raise ClusterError(f"There is no file {scheduler}. The scheduler writes it when it starts.")
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise ClusterError(
            "A cluster needs one more package: pip install 'napari-unet-interactive[cluster]'."
        ) from error


def _address_in(file: str) -> str:
    """Return the address in the file of a scheduler."""
    try:
        return str(json.loads(Path(file).read_bytes())["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"{file} does not say where a scheduler is. Give the file that it writes.") from error


WORKER_BYTES = 3 * 2**30
"""Memory of this machine for each of its workers: what one was seen to take (docs/howto/cluster.md), and half more."""


@contextmanager
def connected(scheduler: str, *, patience: float = PATIENCE) -> Iterator[Any]:
    """Yield a `distributed.Client` for a scheduler; processes that were started for it end with it.

    It is not dask's default: what this program reads by dask is read here.

    Parameters
    ----------
    scheduler : str
        "local", an address such as ``tcp://host:8786``, or the path of a scheduler file.
    patience : float
        Seconds that it has to answer.

    Raises
    ------
    ClusterError
        If it does not, or its workers cannot do this work.
    """
    check_address(scheduler)
    from distributed import Client

    if scheduler == LOCAL:
        with local_workers() as client:
            yield client
        return
    address = _address_in(scheduler) if scheduler.endswith(".json") else scheduler
    try:
        client = Client(address, timeout=patience, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"The scheduler {scheduler} does not answer. Is it running, and can it be reached from here?",
            f"Waited {patience:g} s. {type(error).__name__}: {error}",
        ) from error
    with client:
        check_workers(client)
        yield client


@contextmanager
def local_workers(n_workers: int | None = None) -> Iterator[Any]:
    """Yield a client for worker processes of this machine, which end with it.

    Parameters
    ----------
    n_workers : int, optional
        How many; None: one for each core, as far as memory allows. The cores are shared out among them.
    """
    from distributed import Client, LocalCluster

    cores = os.cpu_count() or 1
    n_workers = n_workers or max(1, min(cores, int(psutil.virtual_memory().total // WORKER_BYTES)))
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            memory_limit=0,  # what a worker holds is bounded by its tile, and one that is stopped does it again
            dashboard_address=":0",
            silence_logs=logging.ERROR,
            env={"OMP_NUM_THREADS": str(max(1, cores // n_workers))},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def check_workers(client: Any) -> None:
    """Check that the workers have the same program as this machine; workers that join later are not checked.

    Raises
    ------
    ClusterError
        If they have none, or another version of it or of `distributed`.
    """
    try:
        answers = client.run(own_versions)
    except Exception as error:  # what a worker that cannot load the function raises depends on its version
        raise ClusterError(
            "The workers do not have this program. Install napari-unet-interactive[cluster] where they run.",
            f"{type(error).__name__}: {error}",
        ) from error
    here = own_versions()
    for found in answers.values():
        for name, version in here.items():
            if found[name] != version:
                raise ClusterError(
                    f"The workers have {name} {found[name]}, and this machine {version}. Install the same version."
                )


def own_versions() -> dict[str, str]:
    """Return the versions that have to be the same on all machines."""
    import distributed

    return {"napari_unet": __version__, "distributed": str(distributed.__version__)}
