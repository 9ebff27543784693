"""Learning as the window sees it: what comes of a verdict, the history, what changed in view, pausing and joining."""

from __future__ import annotations

from typing import Any

import numpy as np

from hand_made import GAIN, bright, squares
from napari_unet.layers.learning import learner as module
from napari_unet.layers.learning.model_diff import FieldSegmented
from napari_unet.learning.comparison import Comparison
from napari_unet.learning.gate import Verdict
from napari_unet.learning.interactive import Checked
from napari_unet.learning.one_class import OneClass
from napari_unet.learning.preview import Preview
from napari_unet.objects.differences import ADDED, GONE
from napari_unet.training.config import StepReport

WORSE = Comparison(0.5, 0.4, -0.2, -0.01, 12)


def corrected(viewer: Any, controller: Any) -> Any:
    """Segment four squares, of which the dark one is missed, and erase another."""
    viewer.add_image(squares(), name="image")
    controller.segment()
    labels = viewer.layers["image objects"]
    labels.data_setitem(np.nonzero(labels.data == labels.data[45, 45]), 0)
    return labels


def with_one_correction(viewer: Any, later: Any) -> Any:
    """Segment four squares and paint one pixel; return the runner, which waits to be told."""
    viewer.add_image(squares(), name="image")
    later.segment()
    later.runner.finish()
    viewer.layers["image objects"].data[0, 0] = 9
    return later.runner


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_a_better_model_is_used_at_once(viewer, controller, taught):
    labels = corrected(viewer, controller)
    assert controller.learn()
    assert controller.model.name == "bright, corrected"
    assert labels.data[15, 15] > 0, "what it finds is there"
    assert labels.data[45, 45] == 0, "and what was erased is not"
    assert [str(generation) for generation in controller.history.generations] == ["bright", "learned, 50% → 80%"]
    assert controller.messages[-1].text.startswith("Better: 80% right in what you reviewed, 50% before.")
    assert "50% right before, 80% now" in controller.messages[-1].details
    assert controller.history.waiting is None


def test_a_model_is_in_a_file_before_anybody_is_told_of_it(viewer, controller, taught):
    corrected(viewer, controller)
    files = []

    def told() -> None:
        files.extend((one.file, one.file is not None and one.file.exists()) for one in history.generations[1:])

    history = controller.history
    history.changed.connect(told)
    assert controller.learn()
    assert files
    assert all(there for _, there in files), files


def test_one_that_is_surely_worse_waits(viewer, controller, taught):
    labels = corrected(viewer, controller)
    taught.verdict = Verdict(WORSE)
    controller.learn()
    assert controller.model.name == "bright"
    assert controller.history.waiting is not None
    assert controller.messages[-1].text.startswith("Worse in what you reviewed, so not in use yet.")
    assert labels.data[15, 15] == 0
    shown = viewer.layers["what changes"]
    assert np.asarray(shown.data)[15, 15] == ADDED
    assert np.asarray(shown.data)[45, 45] == 0, "what was corrected does not change"
    assert viewer.layers.selection.active != shown

    controller.switch.use()
    assert controller.model.name == "bright, corrected"
    assert labels.data[15, 15] > 0
    assert "what changes" not in names(viewer)
    assert controller.history.waiting is None


def test_one_that_may_be_worse_is_used_and_told_of_as_a_doubt(viewer, controller, taught):
    corrected(viewer, controller)
    taught.verdict = Verdict(Comparison(0.64, 0.52, -0.3, 0.1, 20))
    controller.learn()
    assert controller.messages[-1].text.startswith("In use, but maybe worse: 52% right in what you reviewed, 64% ")
    assert controller.messages[-1].level == "warning"


def test_marks_of_one_class_are_told_of(viewer, controller, taught):
    corrected(viewer, controller)
    taught.events = [OneClass("axon")]
    controller.learn()
    assert ("warning", str(OneClass("axon"))) in [(one.level, one.text) for one in controller.messages]


def test_it_can_be_dropped(viewer, controller, taught):
    labels = corrected(viewer, controller)
    taught.verdict = Verdict(None, Comparison(0.8, 0.7, -0.2, -0.01, 30))
    controller.learn()
    assert controller.messages[-1].text.startswith("Worse on the images that the first model was made for")
    controller.switch.drop()
    assert controller.model.name == "bright"
    assert "what changes" not in names(viewer)
    assert labels.data[15, 15] == 0
    controller.switch.use()
    assert controller.model.name == "bright"


def test_every_model_of_the_history_can_be_used_again(viewer, controller, taught):
    labels = corrected(viewer, controller)
    controller.learn()
    taught.threshold = 0.9
    controller.learn()
    assert controller.history.current == 2
    controller.revert()
    assert controller.history.current == 1
    assert controller.can_revert
    assert len(controller.history.generations) == 3
    controller.switch.go_to(0)
    assert controller.model.name == "bright"
    assert not controller.can_revert
    controller.switch.go_to(2)
    assert controller.history.current == 2
    controller.switch.go_to(0)
    controller.learn()
    assert len(controller.history.generations) == 4, "those that came after the one that it began with are still there"
    assert controller.history.current == 3
    controller.revert()
    assert controller.history.current == 0, "back to the one that the last was learned from"
    assert labels.data[45, 45] == 0


def test_what_changed_can_be_taken_back(viewer, controller, taught):
    labels = corrected(viewer, controller)
    controller.learn()
    changes = controller.diff
    assert changes.any
    assert "what changes" not in names(viewer), "it is seen when the user wants to"
    changes.visible = True
    assert np.asarray(viewer.layers["what changes"].data)[15, 15] == ADDED
    controller.switch.refuse_changes()
    assert labels.data[15, 15] == 0
    assert controller.session.summary.corrected_pixels >= 200, "a correction of the user, as if erased by hand"
    controller.segment()
    assert labels.data[15, 15] == 0
    labels.undo()
    assert not changes.any
    controller.switch.refuse_changes()
    assert controller.messages[-1].text == "Nothing has changed in view."


def test_what_changed_can_be_kept(viewer, controller, taught):
    labels = corrected(viewer, controller)
    controller.learn()
    controller.switch.keep_changes()
    assert controller.session.corrections.reviewed[0, 0, 15, 15]
    assert not controller.session.corrections.reviewed[0, 0, 0, 0]
    controller.revert()
    assert labels.data[15, 15] > 0, "an older model does not take it away"


def test_a_model_that_changes_nothing_shows_nothing(viewer, controller, taught):
    corrected(viewer, controller)
    taught.verdict, taught.threshold = Verdict(WORSE), 0.5
    controller.learn()
    assert controller.history.waiting is not None
    assert "what changes" not in names(viewer)
    controller.diff.visible = True
    assert "what changes" not in names(viewer)


def test_what_is_gone_is_shown_too(viewer, controller, taught):
    labels = corrected(viewer, controller)
    taught.verdict, taught.threshold = Verdict(WORSE), 3.0
    controller.learn()
    assert np.asarray(viewer.layers["what changes"].data)[45, 15] == GONE
    assert labels.data[45, 15] > 0


def test_the_preview_is_seen_while_it_learns_and_gone_afterwards(viewer, later, taught):
    runner = with_one_correction(viewer, later)
    later.learner.preview = True
    taught.events = [Preview(bright(threshold=0.2))]
    later.learn()
    runner.step()
    assert taught.options["preview_wanted"]()
    event = next(runner.jobs[-1].events)
    assert isinstance(event, FieldSegmented)
    runner.jobs[-1].tell(event)
    assert np.asarray(viewer.layers["what changes"].data)[15, 15] == ADDED
    index = len(runner.jobs) - 1
    runner.finish(index)
    assert "what changes" not in names(viewer)


def test_scores_are_told_on(viewer, controller, taught):
    corrected(viewer, controller)
    seen = []
    controller.workspace.checked.connect(seen.append)
    taught.events = [Checked(1, GAIN, 3.0)]
    controller.learn()
    assert [checked.comparison for checked in seen] == [GAIN]


def test_pausing(viewer, later, taught):
    runner = with_one_correction(viewer, later)
    later.learner.hold(True)
    assert not later.learner.pause.paused, "nothing to pause"
    later.learn()
    later.learner.hold(True)
    assert taught.options == {} or later.learner.pause.paused
    later.learner.hold(False)
    assert not later.learner.pause.paused
    later.learner.hold(True)
    later.stop_learning()
    runner.finish()


def test_corrections_made_while_it_learns_join(viewer, later, taught, monkeypatch):
    monkeypatch.setattr(module, "MIN_JOIN_INTERVAL", 0.0)
    runner = later.runner
    viewer.add_image(squares(), name="image")
    later.segment()
    runner.finish()
    labels = viewer.layers["image objects"]
    labels.data_setitem((np.array([0]), np.array([0])), 9)
    later.learn()
    runner.step()
    labels.data_setitem((np.array([60]), np.array([60])), 9)
    later.refresh_corrections()
    runner.finish(2)
    (joined,) = taught.joined
    assert joined.part.mask("supervised")[0, 60, 60]
    assert not taught.material[0].part.mask("supervised")[0, 60, 60]


def told(controller: Any, taught: Any, seconds: float, each: float) -> list[str]:
    """Return what is said while it learns for a time, with steps of so many seconds."""
    controller.workspace.learning_seconds = seconds
    taught.events = [StepReport(step, 200, 0.5, step * each) for step in (2, 3, 4)]
    assert controller.learn()
    return [message.text for message in controller.messages if "computer" in message.text]


def test_a_time_that_is_short_for_the_computer_is_told_of_once(viewer, controller, taught):
    corrected(viewer, controller)
    said = "15 s is short on this computer. 1 min 15 s or more teaches it better."
    assert told(controller, taught, 15, 1.5) == [said]


def test_a_time_that_is_enough_is_not(viewer, controller, taught):
    corrected(viewer, controller)
    assert told(controller, taught, 60, 1.0) == []
