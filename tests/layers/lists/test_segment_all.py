"""*Segment all* while somebody goes on working: the order of things is the test's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from hand_made import LaterRunner, bright
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.progress import CancelToken, drive
from napari_unet.projects.project import Project
from napari_unet.projects.segmented_by import SegmentedBy
from napari_unet.projects.segmenting import new_project, segment_project_steps
from napari_unet.projects.work_list import state_of


class HalfRunner(InlineRunner):
    """Runs all at once but *Segment all*, which the test drives."""

    def __init__(self) -> None:
        self.later = LaterRunner()

    def start(self, job: Any, *arguments: Any) -> None:
        (self.later if job.title == "Segment all" else super()).start(job, *arguments)


@pytest.fixture
def controller(opened_list):
    controller = opened_list(7, HalfRunner())
    controller.image_switch.go_to(3)
    return controller


@pytest.fixture
def worker(controller):
    return controller.runner.later


def done(controller):
    return [index for index, state in enumerate(controller.work_list.states) if state.kind != "to do"]


def until(controller, worker, number):
    """Let the worker go on until so many images are done."""
    while len(done(controller)) < number:
        worker.step()


def test_the_image_in_view_comes_first_then_its_neighbours(controller, worker):
    controller.segment_all.start()
    order = [done(controller)]
    assert order == [[3]]
    for number in range(2, 8):
        until(controller, worker, number)
        order.append(done(controller))
    assert order[1:] == [[3, 4], [2, 3, 4], [2, 3, 4, 5], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6], list(range(7))]
    assert controller.segment_all.in_words == "Segmented 7 of 7"
    worker.finish()
    assert not controller.segment_all.busy
    assert controller.messages[-1].level == "done"


def test_it_says_how_far_it_is(controller, worker):
    controller.segment_all.start()
    until(controller, worker, 4)
    assert controller.segment_all.in_words.startswith("Segmented 4 of 7, about ")
    assert controller.segment_all.fraction == pytest.approx(4 / 7)


def test_after_a_stop_it_does_what_is_left(controller, worker):
    controller.segment_all.start()
    until(controller, worker, 3)
    worker.step()  # the next is under way
    controller.segment_all.stop()
    assert controller.messages[-1].text == "Stopped: 3 of 7 images are segmented. Segment all does the rest."
    worker.finish()
    assert len(done(controller)) == 3, "the one under way was not saved"
    before = {index: controller.work_list.project(index).stat().st_ino for index in done(controller)}
    controller.segment_all.start()
    assert controller.segment_all.total == 4
    worker.finish()
    assert len(done(controller)) == 7
    assert all(controller.work_list.project(index).stat().st_ino == inode for index, inode in before.items())


def test_begun_again_before_the_worker_has_ended(controller, worker):
    controller.segment_all.start()
    until(controller, worker, 2)
    worker.step()
    controller.segment_all.stop()
    controller.segment_all.start()
    assert len(worker.jobs) == 1, "no second one works beside the first"
    worker.finish()
    worker.finish()
    assert len(done(controller)) == 7
    assert not controller.segment_all.busy


def test_the_image_under_way_can_be_gone_to(controller, worker):
    controller.segment_all.start()
    until(controller, worker, 1)
    worker.step()  # image 4 is under way
    assert controller.image_switch.go_to(4)
    assert controller.work_list.in_view is None, "it waits for the worker to let go of it"
    while controller.image_switch.busy:
        worker.step()
    assert controller.work_list.in_view == 4
    assert controller.work_list.states[4].kind == "segmented", "done at once, for it is in view"
    assert controller.session.count() == 3
    worker.finish()
    assert len(done(controller)) == 7
    assert controller.segment_all.done == controller.segment_all.total == 7


def test_the_image_that_is_gone_to_comes_before_others(controller, worker):
    controller.segment_all.start()
    until(controller, worker, 2)
    controller.image_switch.go_to(0)
    assert 0 in done(controller)
    until(controller, worker, 4)
    assert 1 in done(controller), "and then what is near it"


def test_it_goes_on_with_a_new_model(controller, worker):
    controller.segment_all.start()
    until(controller, worker, 3)
    worker.step()
    controller.use_model(bright(threshold=0.2))
    worker.finish()
    worker.finish()
    new = controller.work_list.in_use
    assert sum(state.segmented_by == new for state in controller.work_list.states) == 4
    assert [state.out_of_date(new) for state in controller.work_list.states].count(True) == 3
    assert not controller.segment_all.busy
    controller.segment_all.start()
    assert controller.segment_all.total == 3
    worker.finish()
    assert not any(state.out_of_date(new) for state in controller.work_list.states)


def test_it_goes_on_as_the_sliders_stand(controller, worker):
    controller.segment_all.start()
    until(controller, worker, 3)
    worker.step()
    controller.sliders.move("sensitivity", 0.7)
    controller.sliders.rest()
    worker.finish()
    worker.finish()
    now = controller.work_list.in_use
    assert now.decoding is not None
    made = [state.segmented_by for state in controller.work_list.states]
    assert sum(by == now for by in made) >= 3
    assert {by.sha256 for by in made} == {now.sha256}
    assert not controller.segment_all.busy
    controller.segment_all.start()
    worker.finish()
    assert {state.segmented_by for state in controller.work_list.states} == {now}


def test_it_waits_while_something_is_learned(controller, worker):
    controller.segment_all.start()
    controller.workspace.learning.emit(True)
    assert controller.segment_all._pause.paused
    controller.workspace.learning.emit(False)
    assert not controller.segment_all._pause.paused


def test_a_list_is_not_saved_elsewhere_meanwhile(controller, worker, tmp_path):
    controller.segment_all.start()
    worker.step()
    assert not controller.list_keeper.save(tmp_path / "a")
    assert controller.messages[-1].text == "Segment all is under way. Press Stop first."
    controller.segment_all.stop()
    assert not controller.list_keeper.save(tmp_path / "a"), "the worker has not ended"
    worker.finish()
    assert controller.list_keeper.save(tmp_path / "a")
    assert controller.work_list.saved_as == tmp_path / "a.unetlist"


def test_the_window_closes_in_the_middle(controller, worker):
    controller.segment_all.start()
    until(controller, worker, 2)
    worker.step()
    project = controller.work_list.project(2)
    controller.close()
    worker.finish()
    assert not project.exists()


def test_a_file_that_is_damaged_is_named_at_the_end(controller, worker):
    path = controller.work_list.file(5)
    path.write_bytes(path.read_bytes()[:200])
    controller.segment_all.start()
    worker.finish()
    assert controller.messages[-1].text == "Segmented 6 of 7 images. c5 could not be: see Details."
    assert controller.messages[-1].details.startswith("c5: ")
    assert controller.work_list.states[5].kind == "failed"
    assert not controller.segment_all.start(), "it is not tried again and again"


def test_nothing_to_do_is_said(controller, worker):
    other = Controller(ViewerModel(), InlineRunner())
    said = []
    other.workspace.said.connect(said.append)
    assert not other.segment_all.start()
    assert said[-1].text == "There is no list of images yet. Open a folder, or drop one on the panel."
    controller.segment_all.start()
    assert not controller.segment_all.start()
    assert controller.messages[-1].level == "error"


def test_labels_are_those_of_the_window(controller, worker):
    controller.segment_all.start()
    worker.finish()
    saved = Project.open(controller.work_list.project(1))
    controller.image_switch.go_to(1)
    labels = controller.session.labels.copy()
    assert np.array_equal(saved.image.canonical_labels(saved.labels), labels)
    controller.session.segmented_by = SegmentedBy()
    controller.segment()
    assert np.array_equal(controller.session.labels, labels)


@pytest.fixture
def fits(monkeypatch):
    """Says of which images the results are taken for credible."""
    names: set[str] = set()

    def seems_right(task: Any, done: Any) -> bool | None:
        return task.image.name in names if done.labels.any() else None

    for module in ("projects.segmenting", "layers.inference.segmenting_words"):
        monkeypatch.setattr(f"napari_unet.{module}.subimage_seems_right", seems_right)
    return names


def test_where_the_model_does_not_fit_is_no_success(controller, worker, fits):
    fits.update(f"c{number}" for number in (0, 2, 3, 4, 6))
    controller.segment_all.start()
    worker.finish()
    message = controller.messages[-1]
    assert message.level == "warning"
    assert (
        message.text == "Segmented 7 images, but bright does not seem to fit 2 of them: see Details. Try Which model?"
    )
    assert message.details.splitlines()[1:] == ["c1: may not fit", "c5: may not fit"]
    states = controller.work_list.states
    assert [index for index, state in enumerate(states) if state.is_doubtful] == [1, 5]
    work_list = controller.work_list
    saved = [state_of(image, work_list.folder) for image in work_list.images[1:]]
    assert saved == states[1:], "opened another day, the list says the same"
    controller.image_switch.go_to(5)
    message = controller.messages[-1]
    assert (message.level, message.text) == ("warning", "bright does not seem to fit c5. Try Which model?")
    assert states[5].is_doubtful, "it is still known when the image was opened"
    controller.session.labels_layer.data_setitem((np.array([2]), np.array([3])), 9)
    controller.refresh_corrections(everything=True)
    assert states[5].kind == "corrected"
    assert not states[5].is_doubtful
    work_list.note_suspects(5, 0)  # its walk has ended
    controller.image_switch.go_to(6)
    assert controller.messages[-1].level == "done"
    left = state_of(work_list.images[5], work_list.folder)
    assert (left.suspects, left.doubt) == (0, "may not fit"), "what was found stays known when it was left"


def test_where_the_model_fits_no_image(controller, worker, fits):
    controller.segment_all.start()
    worker.finish()
    message = controller.messages[-1]
    assert message.level == "warning"
    assert message.text == "Segmented 7 images, but bright does not seem to fit them. Try Which model?"
    assert all(state.is_doubtful for state in controller.work_list.states), "the one in view, too"
    fits.update(f"c{number}" for number in range(7))
    controller.use_model(bright("other", threshold=0.3))
    controller.segment_all.start()
    worker.finish()
    assert controller.messages[-1].level == "done"
    assert not any(state.is_doubtful for state in controller.work_list.states), "it was about another model"


def test_an_image_in_which_nothing_is_found(controller, worker):
    tifffile.imwrite(controller.work_list.file(6), np.zeros((70, 64), np.uint8))
    controller.segment_all.start()
    worker.finish()
    message = controller.messages[-1]
    assert (
        message.text == "Segmented 7 images, but bright does not seem to fit 1 of them: see Details. Try Which model?"
    )
    assert message.details.splitlines()[1:] == ["c6: nothing found"]
    controller.image_switch.go_to(6)
    message = controller.messages[-1]
    assert message.level == "warning"
    assert message.text == "c6: nothing was found. Try Which model?, or paint some and Learn."


def test_a_stack_is_judged_by_the_planes_that_hold_most(tmp_path, monkeypatch):
    stack = np.zeros((3, 64, 64), np.uint8)
    stack[:2, 5:10, 5:10] = 200
    stack[2, 10:50, 10:50] = 200
    tifffile.imwrite(tmp_path / "s.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    doubts = []
    for right in ({0, 1}, {2}, set()):
        monkeypatch.setattr(
            "napari_unet.projects.segmenting.subimage_seems_right",
            lambda _, done, right=right: done.subimage.z in right,
        )
        project = new_project(tmp_path / "s.tif")
        steps = segment_project_steps(project, bright(), tmp_path / f"{len(doubts)}.unetproj", cancel=CancelToken())
        drive(steps, lambda _: None)
        doubts.append(project.doubt)
    assert doubts == ["may not fit", "", "may not fit"]
