"""*Segment all* with the workers of a scheduler: a client that the test drives stands in for them."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from hand_made import bright
from napari_unet.cluster import connection
from napari_unet.errors import ClusterError
from napari_unet.layers.jobs import InlineRunner
from napari_unet.projects import on_workers
from napari_unet.projects.on_workers import FOLDER, segment_sent
from napari_unet.projects.project import Project

pytest.importorskip("distributed")

IMAGES = 5


class Future:
    """A call that is made when the client is looked at next."""

    def __init__(self, call: Any, arguments: tuple[Any, ...]) -> None:
        self.call, self.arguments = call, arguments
        self.status = "pending"

    def run(self) -> None:
        try:
            self._result, self.status = self.call(*self.arguments), "finished"
        except Exception as error:  # noqa: BLE001
            self._error, self.status = error, "error"
        self._tell(self)

    def add_done_callback(self, tell: Any) -> None:
        self._tell = tell

    def result(self) -> Any:
        if self.status == "error":
            raise self._error
        return self._result

    def exception(self) -> Exception:
        return self._error


class FakeClient:
    """Stands in for a client: does one call whenever it is asked whether it runs.

    Attributes
    ----------
    before : dict of int to callable
        What happens before the call of that number, beginning with 0.
    names : list of str
        Images that were asked for.
    """

    def __init__(self) -> None:
        self.waiting: list[Future] = []
        self.before: dict[int, Any] = {}
        self.names: list[str] = []
        self.gone = False
        self.n_workers = 2

    @property
    def status(self) -> str:
        if self.waiting and not self.gone:
            number = len(self.names) - len(self.waiting)
            future = self.waiting.pop(0)
            self.before.pop(number, lambda: None)()
            future.run()
        return "closed" if self.gone else "running"

    def scheduler_info(self, n_workers: int = 5) -> dict[str, Any]:
        return {"workers": {str(one): {"nthreads": 1} for one in range(self.n_workers)}}

    def submit(self, call: Any, *arguments: Any, pure: bool, retries: int, resources: Any) -> Future:
        self.names.append(arguments[0].name)
        self.waiting.append(Future(call, arguments))
        return self.waiting[-1]

    def cancel(self, futures: list[Future], force: bool) -> None:
        self.waiting.clear()


@pytest.fixture
def client(monkeypatch):
    client = FakeClient()

    @contextmanager
    def connected(scheduler: str, *, patience: float, cancel: Any) -> Any:
        assert scheduler == "tcp://node1:8786"
        yield client

    monkeypatch.setattr(connection, "connected", connected)
    return client


@pytest.fixture
def controller(opened_list):
    controller = opened_list(IMAGES, InlineRunner())
    controller.segment_all.scheduler = "tcp://node1:8786"
    return controller


def labels_of(controller: Any, index: int) -> Any:
    return Project.open(controller.work_list.project(index)).labels


def kinds(controller: Any) -> list[str]:
    return [state.kind for state in controller.work_list.states]


def is_tidy(controller: Any) -> bool:
    return not (controller.work_list.folder / FOLDER).exists()


def test_the_workers_do_all_but_the_image_in_view(controller, client):
    said = []
    client.before[2] = lambda: said.append(controller.segment_all.in_words)
    controller.segment_all.start()
    assert client.names == ["c1", "c2", "c3", "c4"]
    assert said[0].startswith("Segmented 3 of 5 with 2 workers, about ")
    assert kinds(controller) == ["segmented"] * IMAGES
    assert controller.segment_all.in_words == "Segmented 5 of 5"
    assert controller.messages[-1].level == "done"
    assert [state.suspects for state in controller.work_list.states[1:]] == [0] * 4
    assert is_tidy(controller)


def test_labels_are_those_of_this_process(controller, client):
    controller.segment_all.start()
    with_workers = [labels_of(controller, index) for index in range(1, IMAGES)]
    controller.segment_all.scheduler = ""
    controller.use_model(bright("again", threshold=0.51))
    controller.segment_all.start()
    assert len(client.names) == 4
    here = [labels_of(controller, index) for index in range(1, IMAGES)]
    assert all(np.array_equal(a, b) and a.max() == 3 for a, b in zip(with_workers, here, strict=True))


def test_what_another_model_has_segmented_is_replaced(controller, client):
    controller.segment_all.start()
    controller.use_model(bright(threshold=0.2))
    controller.segment_all.start()
    assert client.names[4:] == ["c1", "c2", "c3", "c4"]
    assert [labels_of(controller, index).max() for index in range(1, IMAGES)] == [4] * 4
    assert controller.image_switch.go_to(2)
    assert controller.session.count() == 4
    assert is_tidy(controller)


def test_a_corrected_image_is_done_here(controller, client):
    controller.segment_all.start()
    controller.image_switch.go_to(3)
    controller.session.labels_layer.data_setitem((np.array([2, 2]), np.array([3, 4])), 9)
    controller.refresh_corrections(everything=True)
    controller.image_switch.go_to(0)
    controller.use_model(bright(threshold=0.2))
    controller.segment_all.start()
    assert sorted(client.names[4:]) == ["c1", "c2", "c4"]
    labels = labels_of(controller, 3)
    assert (labels[2, 3:5] == 9).all()
    assert len(np.unique(labels)) == 6, "four objects, and the user's"
    assert controller.segment_all.done == IMAGES


def test_an_image_that_is_gone_to_is_done_at_once(controller, client):
    client.before[1] = lambda: controller.image_switch.go_to(4)
    controller.segment_all.start()
    assert client.names == ["c1", "c2", "c3", "c4"]
    assert controller.work_list.in_view == 4
    assert controller.session.count() == 3
    assert controller.segment_all.done == controller.segment_all.total == IMAGES
    assert kinds(controller) == ["segmented"] * IMAGES
    assert is_tidy(controller)


def test_an_image_that_is_just_put_in_place_is_waited_for(controller, client, monkeypatch):
    put = on_workers.put_in_place

    def slowly(image: Any) -> None:
        if image.name == "c2":
            controller.image_switch.go_to(2)
            assert controller.work_list.in_view is None
        put(image)

    monkeypatch.setattr(on_workers, "put_in_place", slowly)
    controller.segment_all.start()
    assert controller.work_list.in_view == 2
    assert controller.session.count() == 3
    assert controller.segment_all.done == IMAGES


def test_after_a_stop_it_does_what_is_left(controller, client):
    client.before[2] = controller.segment_all.stop
    controller.segment_all.start()
    assert kinds(controller).count("segmented") == 3
    assert controller.messages[-1].text == "Stopped: 3 of 5 images are segmented. Segment all does the rest."
    assert is_tidy(controller)
    controller.segment_all.start()
    assert len(client.names) == 6
    assert kinds(controller) == ["segmented"] * IMAGES


def test_it_goes_on_with_a_new_model(controller, client):
    client.before[1] = lambda: controller.use_model(bright(threshold=0.2))
    controller.segment_all.start()
    new = controller.work_list.in_use
    assert sum(state.segmented_by == new for state in controller.work_list.states) == 3
    assert not controller.segment_all.busy


def test_a_scheduler_that_is_lost_is_told_and_the_rest_done_here(controller, client):
    def lose() -> None:
        client.gone = True

    client.before[1] = lose
    controller.segment_all.start()
    assert kinds(controller) == ["segmented"] * IMAGES
    last = controller.messages[-1]
    assert last.level == "warning"
    told = "Segmented 5 images. The scheduler could not do all of them; this computer did the rest: see Details."
    assert last.text == told
    assert last.details.startswith("Scheduler: The scheduler is gone.")
    assert is_tidy(controller)


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        ("node1", "A scheduler is local, tcp://HOST:PORT, or the file"),
        ("tcp://node1", "A scheduler is local, tcp://HOST:PORT, or the file"),
        ("~/nowhere/scheduler.json", "There is no file "),
        ("bad.json", "does not say where a scheduler is"),
        ("tcp://node1:8786", "pip install 'napari-unet-interactive[cluster]'"),
    ],
)
def test_a_scheduler_that_cannot_be_used(controller, scheduler, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text("{}")
    if "pip" in said:
        monkeypatch.setitem(sys.modules, "distributed", None)
    controller.segment_all.scheduler = scheduler
    controller.segment_all.start()
    assert kinds(controller) == ["segmented"] * IMAGES
    warned = [message for message in controller.messages if message.level == "warning"]
    assert warned[0].text == "The scheduler cannot do all of it: see Details. The rest is segmented on this computer."
    assert said in warned[0].details
    assert said in warned[-1].details


def test_an_image_that_fails_is_named(controller, client):
    path = controller.work_list.file(2)
    path.write_bytes(path.read_bytes()[:200])
    controller.segment_all.start()
    assert controller.messages[-1].text == "Segmented 4 of 5 images. c2 could not be: see Details."
    assert controller.work_list.states[2].kind == "failed"
    assert kinds(controller).count("segmented") == 4


def test_what_a_worker_does_not_see_is_done_here(controller, client, monkeypatch):
    def blind(image: Any) -> Any:
        if image.name in ("c1", "c3"):
            raise ClusterError("A worker does not see it.")
        return segment_sent(image)

    monkeypatch.setattr(on_workers, "segment_sent", blind)
    controller.segment_all.start()
    assert len(client.names) == 4, "none is sent twice"
    assert kinds(controller) == ["segmented"] * IMAGES
    assert controller.messages[-1].details == "Scheduler: A worker does not see it."


def test_without_workers_it_says_that_it_waits(controller, client):
    client.n_workers = 0
    controller.segment_all.start()
    text = "The scheduler has no workers yet. Segment all waits for them; press Stop to end that."
    assert text in [message.text for message in controller.messages]


def test_what_a_killed_window_left_behind_goes(controller, client):
    left = controller.work_list.folder / FOLDER / "old"
    left.mkdir(parents=True)
    (left / "0.wanted").touch()
    controller.segment_all.start()
    assert is_tidy(controller)
