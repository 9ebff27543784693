"""Connecting: schedulers that are silent, of another version, without this program, or without workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from napari_unet.cluster import connection
from napari_unet.cluster.run_folder import around, is_begun
from napari_unet.errors import Cancelled, ClusterError
from napari_unet.io.writers import write_maps
from napari_unet.models.checkpoint import save_model_file
from napari_unet.progress import CancelToken

pytest.importorskip("distributed")

LONG = 3600
"""Seconds of patience that no test waits for."""


@pytest.fixture
def listening():
    """Return a socket that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def address_of(server):
    return f"tcp://127.0.0.1:{server.getsockname()[1]}"


def answering(server, answer):
    """Have a socket answer each connection by some bytes, and end it."""

    def serve():
        try:
            while True:
                with server.accept()[0] as one:
                    one.sendall(answer)
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    return address_of(server)


def connect(address, **more):
    with connection.connected(address, **more):
        pass


@pytest.mark.parametrize("where", ["silent", "closed"])
def test_waiting_ends(where, listening):
    address = address_of(listening) if where == "silent" else "tcp://127.0.0.1:9"
    with pytest.raises(ClusterError, match="does not answer") as error:
        connect(address, patience=0.5)
    assert "Error" not in str(error.value)
    assert error.value.details.startswith("Waited 0.5 s. ")
    token = CancelToken()
    threading.Timer(0.3, token.cancel).start()
    with pytest.raises(Cancelled):
        connect(address, patience=LONG, cancel=token)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x02" + bytes(200)])
def test_what_is_no_scheduler(answer, listening):
    with pytest.raises(ClusterError, match="does not answer|cannot talk to tcp") as error:
        connect(answering(listening, answer), patience=3)
    assert error.value.details


@pytest.mark.parametrize("version", ["2024.8.0", "2099.1.0"])
def test_a_scheduler_of_another_version(version, client, monkeypatch):
    here = connection.own_versions()
    monkeypatch.setattr(connection, "own_versions", lambda: here | {"distributed": version})
    expected = f"The scheduler has distributed {here['distributed']}, and this machine {version}."
    with pytest.raises(ClusterError, match=expected):
        connect(client.scheduler.address)


def test_connected(client):
    with connection.connected(client.scheduler.address) as other:
        assert other.submit(max, 1, 2).result() == 2
    assert other.status == "closed"


class FakeClient:
    """Machines that answer, or raise, what is given."""

    def __init__(self, scheduler=None, workers=None):
        self._scheduler, self._workers = scheduler, workers

    def run_on_scheduler(self, function):
        if self._scheduler is not None:
            raise self._scheduler
        return function()

    def run(self, function):
        if self._workers is not None:
            raise self._workers
        return {"a": function()}


@pytest.mark.parametrize(
    ("scheduler", "workers", "said"),
    [
        (ModuleNotFoundError("No module"), None, "The scheduler does not have this program. Install .* there, too"),
        (RuntimeError("deserialization"), None, "The scheduler does not have this program"),
        (OSError("closed"), None, "The scheduler did not answer"),
        (None, ModuleNotFoundError("No module"), "The workers do not have this program"),
        (None, OSError("closed"), "The workers did not answer, or not all"),
    ],
)
def test_machines_that_cannot_do_it(scheduler, workers, said):
    connection.check_workers(FakeClient())
    with pytest.raises(ClusterError, match=said) as error:
        connection.check_workers(FakeClient(scheduler, workers))
    assert str(scheduler or workers) in error.value.details


class Changing:
    """A scheduler whose workers come and go."""

    def __init__(self, *states):
        self._states = iter(states)
        self.ended = threading.Event()

    def scheduler_info(self, n_workers):
        try:
            resources = next(self._states)
        except StopIteration:
            self.ended.set()
            raise OSError("closed") from None
        return {"workers": {number: {"resources": one} for number, one in enumerate(resources)}}


CARD, NONE, YET, GONE, CARDS = (
    {"GPU": 1}, None, "no workers yet", "no workers any more", "no workers with a graphics card any more",
)  # fmt: skip


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([[]], [YET]),
        ([[NONE]], []),
        ([[NONE, CARD], [CARD], [CARD, CARD]], []),
        ([[], [NONE], []], [YET, GONE]),
        ([[NONE], [], [NONE], []], [GONE, GONE]),
        ([[NONE, CARD], [NONE], []], [CARDS, GONE]),
        ([[CARD], [], [NONE], [NONE, CARD]], [GONE, CARDS]),
    ],
)
def test_work_that_waits_for_workers(states, told, monkeypatch):
    monkeypatch.setattr(connection, "WITHOUT", 0)
    client, said = Changing(*(state for state in states for _ in range(30))), []
    with connection.watched(client, said.append):
        client.ended.wait()
    assert [text.removeprefix("The scheduler has ").split(".")[0] for text in said] == told


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
def test_ctrl_c_while_a_scheduler_is_silent(listening, tmp_path):
    write_maps(tmp_path / "a.zarr", np.zeros((20, 20), np.float32), "YX")
    (tmp_path / "s.json").write_text(json.dumps({"address": address_of(listening)}))
    command = [sys.executable, "-m", "napari_unet.cli", "segment", "a.zarr", "-o", "b.zarr", "--scheduler", "s.json"]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    with listening.accept()[0]:
        running.send_signal(signal.SIGINT)
        said = running.communicate()[1]
    assert running.returncode == 130, said
    assert said.startswith("Stopped. ")
    assert not (tmp_path / "b.zarr").exists()


def test_waiting_for_workers_of_this_machine_ends(monkeypatch):
    """What is started nevertheless ends by itself."""
    import distributed

    token, go_on, closed = CancelToken(), threading.Event(), threading.Event()

    def cluster(**_):
        token.cancel()
        go_on.wait()
        return SimpleNamespace(close=closed.set)

    monkeypatch.setattr(distributed, "LocalCluster", cluster)
    with pytest.raises(Cancelled), connection.local_workers(cancel=token):
        pass
    go_on.set()
    closed.wait()


def _starting(process, folder):
    """Whether a worker is being started."""
    return any("spawn_main" in " ".join(child.cmdline()) for child in psutil.Process(process.pid).children())


def _working(process, folder):
    """Whether workers have begun."""
    return any(around(folder / "b.zarr").glob("*/tiles/*/*.npy"))


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
@pytest.mark.parametrize("when", [_starting, _working])
def test_ctrl_c_in_a_terminal(when, bright_model, tmp_path):
    """A terminal sends it to the workers, too, which are of the same group of processes."""
    write_maps(tmp_path / "a.zarr", np.zeros((4000, 4000), np.uint8), "YX")
    save_model_file(bright_model(), tmp_path / "m.safetensors")
    command = [sys.executable, "-m", "napari_unet.cli", "segment", "a.zarr", "-o", "b.zarr", "--scheduler", "local"]
    command += ["--model", "m.safetensors", "--tile", "32"]  # so small that it takes minutes
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while running.poll() is None and not when(running, tmp_path):
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGINT)
    said = running.communicate()[1].splitlines()
    assert running.returncode == 130, said
    assert said[-1].startswith("Stopped. "), said
    assert all(line.startswith(("[1/1] a.zarr: ", "The scheduler has no workers yet")) for line in said[:-1]), said
    assert is_begun(tmp_path / "b.zarr") == (when is _working)
    assert not (tmp_path / "b.zarr").exists()
