"""The connection to a scheduler of dask.distributed, checked before any work."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import re
import signal
import threading
import warnings
from concurrent import futures
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil

from napari_unet._version import __version__
from napari_unet.errors import ClusterError, UNetError
from napari_unet.progress import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari_unet.progress import CancelToken

T = TypeVar("T")

PATIENCE = 30
"""Seconds that a scheduler has to answer."""

CHECK_PATIENCE = 60
"""Seconds to tell versions: machines load the program for it, the first time perhaps from a slow disk."""

CLOSING = 3
"""Seconds that a scheduler has to take leave."""

LOOK = 0.1
"""Seconds after which it is looked whether to go on waiting."""

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


_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that tell torch how many threads to take, the last first. dask sets both to 1 where not set."""


def _within(
    seconds: float, call: Callable[[], T], cancel: CancelToken | None, late: Callable[[T], object] = lambda _: None
) -> T:
    """Return what a call returns. It is made in a thread, which is left alone if it takes longer or is to stop.

    What dask waits for, it cannot be stopped from: a scheduler that accepts a connection and is silent. `late` ends
    what comes when nobody waits any more.
    """
    outcome: futures.Future[T] = futures.Future()

    def make() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where one waits for it
            outcome.set_exception(error)

    def end(late_outcome: futures.Future[T]) -> None:
        with suppress(Exception):  # it failed, or the program ends meanwhile
            late(late_outcome.result())

    watch = Stopwatch()
    threading.Thread(target=make, daemon=True).start()
    try:
        while not futures.wait([outcome], LOOK).done:
            if cancel is not None:
                cancel.check()
            if watch.seconds > seconds:
                raise TimeoutError(f"No answer within {seconds:g} s.")
    except BaseException:
        outcome.add_done_callback(end)
        raise
    return outcome.result()


async def _version_at(address: str, patience: float) -> str:
    """Ask a scheduler, by what all versions of dask understand, which it has."""
    from distributed import rpc
    from distributed.security import Security

    async with rpc(address, timeout=patience, connection_args=Security().get_connection_args("client")) as scheduler:
        return str((await scheduler.versions())["packages"]["distributed"])


def _client(address: str, patience: float) -> Any:
    """Connect to a scheduler that has the same version of dask as this machine."""
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    version, here = asyncio.run(_version_at(address, patience)), own_versions()["distributed"]
    if version != here:
        raise ClusterError(
            f"The scheduler has distributed {version}, and this machine {here}. Install the same version on both."
        )
    warnings.filterwarnings("ignore", category=VersionMismatchWarning)  # what matters is checked, and told in words
    return Client(address, timeout=patience, set_as_default=False)


@contextmanager
def connected(scheduler: str, *, patience: float = PATIENCE, cancel: CancelToken | None = None) -> Iterator[Any]:
    """Yield a `distributed.Client` for a scheduler; processes that were started for it end with it.

    It is not dask's default: what this program reads by dask is read here.

    Parameters
    ----------
    scheduler : str
        "local", an address such as ``tcp://host:8786``, or the path of a scheduler file.
    patience : float
        Seconds that it has to answer.
    cancel : CancelToken, optional
        Ends the waiting for it, with `Cancelled`.

    Raises
    ------
    ClusterError
        If it does not, or it or its workers cannot do this work.
    """
    check_address(scheduler)
    if scheduler == LOCAL:
        with local_workers(cancel=cancel) as client:
            yield client
        return
    address = _address_in(scheduler) if scheduler.endswith(".json") else scheduler
    try:
        client = _within(patience, lambda: _client(address, patience), cancel, late=lambda client: client.close())
    except UNetError:
        raise
    except OSError as error:
        raise ClusterError(
            f"The scheduler {scheduler} does not answer. Is it running, and can it be reached from here?",
            f"Waited {patience:g} s. {type(error).__name__}: {error}",
        ) from error
    except Exception as error:  # whatever dask raises, say of what answers and is no scheduler
        here = own_versions()["distributed"]
        raise ClusterError(
            f"distributed {here} cannot talk to {scheduler}. Check the address, and which version runs there.",
            f"{type(error).__name__}: {error}",
        ) from error
    try:
        check_workers(client, cancel)
        yield client
    finally:
        with suppress(TimeoutError):
            client.close(timeout=CLOSING)


@contextmanager
def local_workers(n_workers: int | None = None, cancel: CancelToken | None = None) -> Iterator[Any]:
    """Yield a client for worker processes of this machine, which end with it.

    Parameters
    ----------
    n_workers : int, optional
        How many; None: one for each core, as far as memory allows. The cores are shared out among them, unless the
        environment variable OMP_NUM_THREADS says how many each takes.
    cancel : CancelToken, optional
        Ends the waiting for them, with `Cancelled`.
    """
    import dask
    from distributed import Client

    cores = os.cpu_count() or 1
    n_workers = n_workers or max(1, min(cores, int(psutil.virtual_memory().total // WORKER_BYTES)))
    threads = os.environ.get("OMP_NUM_THREADS", max(1, cores // n_workers))
    environment = {f"distributed.nanny.pre-spawn-environ.{name}": threads for name in _THREADS}

    def start() -> Any:
        with dask.config.set(environment):
            return _cluster(
                n_workers=n_workers,
                threads_per_worker=1,
                memory_limit=0,  # what a worker holds is bounded by its tile, and one that is stopped does it again
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,  # what fails is told in a sentence
            )

    with (
        _within(math.inf, start, cancel, late=lambda cluster: cluster.close()) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _cluster(**settings: Any) -> Any:
    """Return a `LocalCluster` whose processes have SIGINT blocked; it is blocked in this thread, too, from now on.

    A terminal sends it to all processes of a command. A process begins with the signals blocked that are so in the
    thread that starts it, and a thread with those of the one before: also a worker that is started later. Windows has
    nothing like it.
    """
    from distributed import LocalCluster

    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # multiprocessing starts it with the first process, and unblocks SIGINT then
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    return LocalCluster(**settings)


def check_workers(client: Any, cancel: CancelToken | None = None) -> None:
    """Check that the scheduler and its workers have the same program as this machine; not workers that join later.

    Raises
    ------
    ClusterError
        If they have none, or another version of it or of `distributed`, or do not answer.
    """
    _check("The scheduler", "has", "does not have", lambda: [client.run_on_scheduler(own_versions)], cancel)
    _check("The workers", "have", "do not have", lambda: client.run(own_versions).values(), cancel)


def _check(
    who: str, have: str, lack: str, ask: Callable[[], Iterable[dict[str, str]]], cancel: CancelToken | None
) -> None:
    """Check the versions that machines tell."""
    try:
        answers = _within(CHECK_PATIENCE, ask, cancel)
    except UNetError:
        raise
    except OSError as error:
        raise ClusterError(
            f"{who} did not answer, or not all of them. Is one stopped, or gone? Start it again.",
            f"{type(error).__name__}: {error}",
        ) from error
    except Exception as error:  # what is raised where the function cannot be loaded depends on the version
        raise ClusterError(
            f"{who} {lack} this program. Install napari-unet-interactive[cluster] there, too.",
            f"{type(error).__name__}: {error}",
        ) from error
    here = own_versions()
    for found in answers:
        for name, version in here.items():
            if found[name] != version:
                raise ClusterError(
                    f"{who} {have} {name} {found[name]}, and this machine {version}. Install the same version on both."
                )


WITHOUT = 5.0
"""Seconds without a worker before it is told: one that was lost may be replaced at once."""


@contextmanager
def watched(client: Any, tell: Callable[[str], object]) -> Iterator[None]:
    """Call `tell`, in a thread, with a sentence when work waits because there are no workers for it."""
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(client, tell, stop), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join(CLOSING)  # no longer: a scheduler that is silent lets it wait


def _watch(client: Any, tell: Callable[[str], object], stop: threading.Event) -> None:
    since, had, told = Stopwatch(), set[str](), ""
    while not stop.wait(WITHOUT / 10):
        try:
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
        except Exception:  # noqa: BLE001 - the scheduler is gone, which is told where work is given out
            return
        have = {"worker" for _ in workers} | {"card" for one in workers if "GPU" in (one.get("resources") or {})}
        had |= have
        if have and have == had:
            since, told = Stopwatch(), ""
            continue
        lack = "workers with a graphics card any more" if have else "workers any more" if had else "workers yet"
        if since.seconds > WITHOUT and lack != told:
            told, work = lack, "What such had to do" if have else "The work"
            tell(f"The scheduler has no {lack}. {work} waits for some; press Ctrl-C to end that.")


def own_versions() -> dict[str, str]:
    """Return the versions that have to be the same on all machines."""
    import distributed

    return {"napari_unet": __version__, "distributed": str(distributed.__version__)}
