"""The walk from image to image: where it leads, and what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from hand_made import bright
from napari_unet.layers.image.geometry import camera_of
from napari_unet.progress import CancelToken, drive
from napari_unet.projects.segmenting import new_project, segment_project_steps

if TYPE_CHECKING:
    from pathlib import Path


def field(wide: int) -> Any:
    """Return an image with twenty squares, and some that are far larger: these are suspects."""
    image = np.zeros((160, 160), np.uint8)
    for number in range(20):
        y, x = 4 + 16 * (number // 8), 4 + 18 * (number % 8)
        image[y : y + 8, x : x + 8] = 200
    for number in range(wide):
        y, x = 64 + 28 * (number // 5), 4 + 30 * (number % 5)
        image[y : y + 24, x : x + 24] = 200
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    where = tmp_path / "pictures"
    where.mkdir()
    for number, wide in enumerate((0, 2, 9, 4)):
        tifffile.imwrite(where / f"cells{number}.tif", field(wide))
    return where


@pytest.fixture
def listed(controller: Any, folder: Path) -> Any:
    controller.open(folder)
    return controller


def last(controller: Any) -> str:
    return str(controller.messages[-1].text)


def walk_to_the_end(controller: Any) -> int:
    """Press N until nothing is left in this image; return how many objects were shown."""
    here, shown = controller.work_list.in_view, 0
    while controller.list_walk.onward is None:
        controller.list_walk.next()
        assert controller.work_list.in_view == here
        if not controller.walk.shows_stop:
            break
        shown += 1
        assert shown < 50
    return shown


def test_suspects_are_counted_when_an_image_is_segmented(folder: Path, tmp_path: Path) -> None:
    counted = []
    for number in range(4):
        project = new_project(folder / f"cells{number}.tif")
        where = tmp_path / f"{number}.unetproj"
        drive(segment_project_steps(project, bright(), where, cancel=CancelToken()), lambda _: None)
        counted.append(project.suspects)
    assert counted[0] == 0
    assert 0 < counted[1] < counted[3] < counted[2]


def test_what_was_looked_at_is_not_counted(folder: Path, tmp_path: Path) -> None:
    project, where = new_project(folder / "cells2.tif"), tmp_path / "a.unetproj"
    drive(segment_project_steps(project, bright(), where, cancel=CancelToken()), lambda _: None)
    assert project.suspects > 0
    project.corrections.review(0, slice(0, 1), slice(60, 160), slice(0, 160))
    drive(segment_project_steps(project, bright(), where, cancel=CancelToken()), lambda _: None)
    assert project.suspects == 0


def test_the_end_of_a_walk_leads_to_the_image_with_the_most_left(listed: Any) -> None:
    listed.segment_all.start()
    assert [state.suspects for state in listed.work_list.states][2] > 4
    walk_to_the_end(listed)
    assert listed.list_walk.onward == 2
    assert last(listed).startswith("No suspect is left. N goes on to cells2 (")
    listed.list_walk.next()
    assert listed.work_list.in_view == 2
    assert listed.walk.shows_stop, "the walk goes on there at once"
    assert walk_to_the_end(listed) > 0
    assert listed.work_list.states[2].suspects == 0
    assert listed.list_walk.onward == 3
    listed.list_walk.next()
    walk_to_the_end(listed)
    listed.list_walk.next()
    assert listed.work_list.in_view == 1
    walk_to_the_end(listed)
    assert listed.list_walk.onward is None
    assert last(listed) == "No suspect is left in any image of the list that is segmented."


def test_the_list_counts_what_the_walk_has_not_shown(listed: Any) -> None:
    listed.segment_all.start()
    walk_to_the_end(listed)
    listed.list_walk.next()
    left = []
    for _ in range(3):
        progress = listed.walk.progress
        left.append((progress.total - progress.number + 1, listed.work_list.states[2].suspects))
        listed.list_walk.next()
    assert [noted for expected, noted in left] == [expected for expected, noted in left]
    seen = listed.work_list.states[2].suspects
    assert seen == left[0][0] - 3
    listed.image_switch.go_to(3)
    assert listed.work_list.states[2].suspects == seen, "it stays for when somebody comes back"
    listed.walk.next(everything=True)
    assert listed.work_list.states[2].suspects == seen


def test_where_nothing_is_known_the_next_is_gone_to(listed: Any) -> None:
    listed.segment()
    walk_to_the_end(listed)
    assert listed.list_walk.onward == 1
    listed.list_walk.next()
    assert last(listed) == "cells1 is not segmented yet: press Segment."
    listed.segment()
    walk_to_the_end(listed)
    assert listed.list_walk.onward == 2


def test_images_that_are_done_are_left_out(listed: Any) -> None:
    listed.segment_all.start()
    listed.work_list.set_done(2, done=True)
    walk_to_the_end(listed)
    assert listed.list_walk.onward == 3


def test_images_that_the_model_does_not_fit_come_last(listed: Any) -> None:
    listed.segment_all.start()
    states = listed.work_list.states
    for index in (2, 3):
        states[index] = states[index].model_copy(update={"doubt": "may not fit"})
    walk_to_the_end(listed)
    assert listed.list_walk.onward == 1, "the others have more suspects, but need another model first"
    states[1] = states[1].model_copy(update={"suspects": 0})
    assert listed.list_walk.onward == 2


def test_all_other_objects_of_this_image_stay_within_reach(listed: Any) -> None:
    listed.segment_all.start()
    walk_to_the_end(listed)
    assert listed.list_walk.onward is not None
    listed.walk.next(everything=True)
    assert listed.walk.shows_stop
    assert listed.list_walk.onward is None
    assert listed.work_list.states[0].suspects == 0, "these are no suspects"
    assert listed.work_list.in_view == 0


def test_going_elsewhere_ends_it(listed: Any) -> None:
    listed.segment_all.start()
    walk_to_the_end(listed)
    listed.image_switch.go_to(3)
    assert listed.list_walk.onward is None


def test_without_a_list_nothing_is_different(controller: Any, viewer: Any) -> None:
    viewer.add_image(field(3))
    controller.segment()
    for _ in range(12):
        controller.list_walk.next()
    assert controller.list_walk.onward is None
    assert any(message.text.startswith("No suspect is left. Shift+N") for message in controller.messages)


def test_the_same_part_is_in_view_where_images_are_of_one_size(listed: Any, folder: Path) -> None:
    camera = camera_of(listed.viewer)
    camera.zoom = 7.0
    listed.image_switch.next()
    assert camera.zoom == 7.0
    tifffile.imwrite(folder / "cells2.tif", np.zeros((300, 400), np.uint8))
    listed.image_switch.next()
    assert camera.zoom != 7.0
    assert camera.center[-2:] == pytest.approx((149.5, 199.5))
