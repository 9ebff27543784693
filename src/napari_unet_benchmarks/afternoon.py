"""From a folder of images to numbers: what an afternoon takes a person, and the computer, and what it reaches.

    napari-unet benchmark afternoon --data DATA [--case known|new] [--seeds 1]

DATA: see `recipes/README.md`. 20 phase-contrast images are cut from T98G fields, and a scripted person works on them
through the controller that the window's buttons call: opens the folder, tries *Which model?*, presses *Segment all*,
corrects the worst objects of image after image by gestures, lets the program learn, presses *Segment all* again, and
in the end measures and exports each image. Two cases, named before the first run:

- *known*: a shipped model has learned such cells, on other fields. 340 x 340 pixels of the fields 06, 23 and 37, which
  no shipped model was trained on. Those of 06 are corrected, those of 23 and 37 are reported on.
- *new*: none has. `cells` and `cells_phase` are left out, so the afternoon begins with `nuclei`. The four corners
  (384 x 384) of the fields 06 and 14 are corrected, those of 23, 28 and 37 are reported on. **The settings of learning
  were tuned on the middle of these fields** (512 x 512, which has a ninth of each corner in it).

Nothing was chosen on these images for this benchmark; it was written on the fields 01 and 12 (`--case try`).

Before each learning, which has the limit of `--seconds`, the person corrects two images, the largest error first, up to
40 errors each, and marks an image as reviewed where nothing is left to correct; up to four times, or until the images
reported on, of whose fields nothing is corrected, reach an AP of 0.7 at IoU 0.50. A model that the program advises
against is not used. Then the person goes on by hand, without learning: to the image with the most suspects, as N does,
until all 20 images as they leave, corrected or not, reach 0.7.

Gestures are clicks, keys and drags. Seconds of a person are those of `guidance.effort` (keystroke-level model); looking
on while the computer works is not counted. Seconds of computing are those that it took on the machine named, with how
many steps were made: on a busy one that is few. Intervals: 95 %, a bootstrap over images. *inside*: the same scores
without objects, true or found, that touch the border of an image.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch

from napari_unet.evaluation.metrics import evaluate
from napari_unet.guidance.effort import Effort
from napari_unet.models.store import DEFAULT_MODEL, HOME_VARIABLE
from napari_unet.progress import Stopwatch
from napari_unet.projects.project import Project
from napari_unet.training.config import StepReport
from napari_unet_benchmarks.afternoon_images import CASES, cut
from napari_unet_benchmarks.afternoon_person import Proofreader, Tally
from napari_unet_benchmarks.intervals import ap_interval
from napari_unet_benchmarks.object_errors import object_errors
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.layers.controller import Controller
    from napari_unet_benchmarks.afternoon_images import Case, Shown

GOAL = 0.7
"""AP at IoU 0.50: of images that nobody corrects, at which learning ends; of all images, at which the person ends."""
MAX_ROUNDS = 4
IMAGES_A_ROUND = 2
ERRORS_AN_IMAGE = 40


# -- scores ------------------------------------------------------------------------------------------------------------


def scores(truths: Sequence[NDArray[Any]], labels: Sequence[NDArray[Any]]) -> dict[str, Any]:
    """Return AP over images with its interval, and what is wrong in them."""
    pooled = evaluate(list(truths), list(labels), "instances")
    each = [evaluate([truth], [found], "instances") for truth, found in zip(truths, labels, strict=True)]
    errors = [error for truth, found in zip(truths, labels, strict=True) for error in object_errors(truth, found)]
    assert pooled.ap is not None
    return {
        "AP": round(pooled.ap["0.50"], 3), "95 %": ap_interval(each, "0.50"), "AP at 0.75": round(pooled.ap["0.75"], 3),
        "objects": pooled.n_truth, "errors": dict(Counter(error.kind.value for error in errors)),
    }  # fmt: skip


def inside(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels (Y, X) without the objects that touch the border of the image, which are cut off there."""
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return np.where(np.isin(labels, border), 0, labels)


# -- the afternoon -----------------------------------------------------------------------------------------------------


class Afternoon:
    """One person, one folder of images.

    Parameters
    ----------
    controller : Controller
        Of an empty window, or of none. Whatever it runs has ended when it returns (`InlineRunner`).
    shown : sequence of Shown
    folder : Path
        Where the images lie, as ``NAME.tif``.
    case : Case
    seconds : float
        Limit of a learning.
    rounds : int
        Learnings at most.
    seed : int
        Of the person's hand.
    """

    def __init__(
        self,
        controller: Controller,
        shown: Sequence[Shown],
        folder: Path,
        case: Case,
        seconds: float,
        rounds: int,
        seed: int,
    ) -> None:
        self._controller, self._folder, self._case, self._max_rounds = controller, folder, case, rounds
        self.tally, self.computing = Tally(Effort()), 0.0
        controller.workspace.learning_seconds = seconds
        self._steps = 0
        controller.workspace.stepped.connect(self._on_step)
        self._said: list[str] = []
        controller.workspace.said.connect(lambda message: self._said.append(message.text))
        self._by_name = {one.name: one for one in shown}
        self._seed = seed
        self.reviewed = 0
        self._corrected = set[int]()
        self.rounds: list[dict[str, Any]] = []

    def run(self, say: Callable[[str], None]) -> dict[str, Any]:
        """Work from the folder to the table, and return what it took."""
        self._open()
        chosen = self._choose_model()
        say(f"  Which model?: {chosen}")
        self._segment_all()
        self._note(0, say)
        self._learn_in_rounds(say)
        by_hand = self._go_on_by_hand(say)
        self._export()
        return {
            "which model": chosen, "rounds": self.rounds, "by hand": by_hand, "gestures": self.tally.gestures,
            "refused": self.tally.refused, "seconds of a person": round(self.tally.seconds),
            "seconds of computing": round(self.computing), "objects corrected": sum(self.tally.kinds.values()),
            "kinds": dict(self.tally.kinds), "exported": len(list((self._folder / "results").glob("*"))),
        }  # fmt: skip

    def _learn_in_rounds(self, say: Callable[[str], None]) -> None:
        """Correct a few images, learn, and segment all again, until the images that nobody corrects are good enough."""
        todo = [index for index, name in enumerate(self._names()) if not self._by_name[name].is_reported]
        for number in range(1, self._max_rounds + 1):
            now, todo = todo[:IMAGES_A_ROUND], todo[IMAGES_A_ROUND:]
            if not now or self.rounds[-1]["not corrected"]["AP"] >= GOAL:
                break
            for index in now:
                self._correct(index)
            self._learn()
            self._segment_all()
            self._note(number, say)

    def _go_on_by_hand(self, say: Callable[[str], None]) -> list[dict[str, Any]]:
        """Correct image after image, that with the most suspects first, until all as they leave are good enough.

        Returns
        -------
        list of dict
            After each image its name, what it took until then, and the scores of all images.
        """
        work_list, rows = self._controller.work_list, []
        left = [index for index in range(len(work_list.images)) if index not in self._corrected]
        left.sort(key=lambda index: work_list.states[index].suspects or 0, reverse=True)
        reached = self.rounds[-1]["all"]["AP"]
        for index in left:
            if reached >= GOAL:
                break
            self._correct(index)
            found = self._found()
            row = {"image": self._names()[index]} | self._taken() | {"all": self._scores(found)}
            reached = row["all"]["AP"]
            rows.append(row)
            say(f"  {row}")
        return rows

    def _names(self) -> list[str]:
        return [Path(image.name).stem for image in self._controller.work_list.images]

    def _open(self) -> None:
        self._click(3)  # Open, the folder, OK
        self._timed(lambda: self._controller.open(self._folder))

    def _choose_model(self) -> dict[str, Any]:
        """Try *Which model?*, and take the best guess, or the default model where none seems to fit."""
        gallery = self._controller.gallery
        self._click(2)
        self._timed(gallery.start)
        cards = [card for card in gallery.cards if card.name not in self._case.without]
        best = cards[0]
        fits = "does not" not in best.words
        name = best.name if fits else DEFAULT_MODEL
        gallery.use(name)
        tried = [(card.name, card.words, round(card.trial.score, 2)) for card in cards]
        return {"tried": tried, "chosen": name}

    def _segment_all(self) -> None:
        self._click(1)
        self._timed(self._controller.segment_all.start)

    def _correct(self, index: int) -> None:
        """Go to an image, and mend what is worst there."""
        self.tally.key()
        self._timed(lambda: self._controller.image_switch.go_to(index))
        one = self._by_name[self._names()[index]]
        person = Proofreader(self._controller, one.truth, self.tally, 1000 * self._seed + index)
        if person.mend(ERRORS_AN_IMAGE) < ERRORS_AN_IMAGE:  # nothing is left to mend
            self.tally.key()
            self.tally.seconds += self.tally.effort.review(one.truth.shape)
            self._controller.toggle_reviewed("slice")
            self.reviewed += 1
        self._controller.refresh_corrections(everything=True)
        self._corrected.add(index)

    def _learn(self) -> None:
        self._click(1)
        self._steps = 0
        self._said.clear()
        self._timed(self._controller.learn)

    def _export(self) -> None:
        """Export labels and measurements of each image."""
        from napari_unet.layers.measuring.exporter import Request
        from napari_unet.measuring.kinds import Kind

        self._click(4)  # the tab, what, the folder, Export
        for index in range(len(self._by_name)):
            if index:
                self.tally.key()
                self._click(1)
            self._timed(lambda index=index: self._controller.image_switch.go_to(index))  # type: ignore[misc]
            request = Request((Kind.measurements, Kind.ome_tiff), self._folder / "results")
            self._timed(lambda request=request: self._controller.exporter.export(request))  # type: ignore[misc]

    # -- counting ----------------------------------------------------------------------------------------------------

    def _note(self, number: int, say: Callable[[str], None]) -> None:
        """Take note of how good all images are."""
        found = self._found()
        row: dict[str, Any] = {"round": number} | self._taken() | {"steps": self._steps, "said": self._said[:]}
        for title, reported in (("not corrected", True), ("the others", False)):
            some = {name: labels for name, labels in found.items() if self._by_name[name].is_reported == reported}
            row[title] = self._scores(some)
            row[title]["inside"] = scores(
                [inside(self._by_name[n].truth) for n in some], [inside(x) for x in some.values()]
            )
        row["all"] = self._scores(found)
        self.rounds.append(row)
        say(f"  { ({key: value for key, value in row.items() if key != 'said'}) }")

    def _found(self) -> dict[str, NDArray[Any]]:
        """Return the labels (Y, X) of all images as they are now, by name."""
        self._timed(lambda: self._controller.image_switch.store(lambda: None))
        projects = [self._controller.work_list.project(index) for index in range(len(self._by_name))]
        return {
            name: np.asarray(Project.open(project).labels).reshape(self._by_name[name].truth.shape)
            for name, project in zip(self._names(), projects, strict=True)
        }

    def _scores(self, found: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        return scores([self._by_name[name].truth for name in found], list(found.values()))

    def _taken(self) -> dict[str, Any]:
        """Return what it has taken until now."""
        return {
            "gestures": self.tally.gestures, "seconds of a person": round(self.tally.seconds),
            "seconds of computing": round(self.computing), "objects corrected": sum(self.tally.kinds.values()),
            "kinds": dict(self.tally.kinds), "reviewed": self.reviewed,
        }  # fmt: skip

    def _timed(self, work: Callable[[], object]) -> None:
        watch = Stopwatch()
        work()
        self.computing += watch.seconds

    def _click(self, number: int) -> None:
        self.tally.decide()
        self.tally.click(number)

    def _on_step(self, event: object) -> None:
        if isinstance(event, StepReport):
            self._steps = event.step


def one_afternoon(
    data: Path, case: Case, seconds: float, rounds: int, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Cut the images into a folder, and work on them with a viewer that has no window."""
    from napari.components import ViewerModel

    from napari_unet.layers.controller import Controller
    from napari_unet.layers.jobs import InlineRunner

    shown = cut(data, case)
    with tempfile.TemporaryDirectory() as place:
        os.environ[HOME_VARIABLE] = str(Path(place) / "home")
        folder = Path(place) / "cells"
        folder.mkdir()
        for one in shown:
            tifffile.imwrite(folder / f"{one.name}.tif", one.image)
        controller = Controller(ViewerModel(), InlineRunner())
        controller.autosave.on = False
        try:
            return Afternoon(controller, shown, folder, case, seconds, rounds, seed).run(say)
        finally:
            controller.close()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--case", choices=CASES, nargs="+", default=["known", "new"])
    parser.add_argument("--seconds", type=float, default=60.0, help="limit of a learning (default 60)")
    parser.add_argument("--rounds", type=int, default=MAX_ROUNDS, help=f"learnings at most (default {MAX_ROUNDS})")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--name", default="afternoon", help="of the result file (default afternoon)")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    def say(text: str) -> None:
        print(text, flush=True)

    figures: dict[str, Any] = {}
    for name in arguments.case:
        case = CASES[name]
        for seed in range(arguments.seeds):
            say(f"\n{name}, seed {seed}")
            row = one_afternoon(arguments.data, case, arguments.seconds, arguments.rounds, seed, say)
            figures.setdefault(name, []).append(row)
            say(f"  { ({key: value for key, value in row.items() if key not in ('rounds', 'by hand')}) }")
    if "try" not in arguments.case:
        settings = {
            "seconds": arguments.seconds, "rounds": arguments.rounds,
            "errors an image": ERRORS_AN_IMAGE, "images a round": IMAGES_A_ROUND,
        }  # fmt: skip
        write_result(arguments.name, {"goal": GOAL, "settings": settings, "cases": figures})


if __name__ == "__main__":
    main()
