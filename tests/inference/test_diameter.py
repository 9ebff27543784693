"""The diameter of objects, found on the image: right at any size, whatever the tiles, and only where it is wanted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.axes import Image, PixelSize
from napari_unet.errors import Cancelled, ImageError, ModelMismatchError
from napari_unet.inference import diameter
from napari_unet.inference.diameter import find_diameter, with_diameter
from napari_unet.inference.in_memory import segment
from napari_unet.inference.policy import RescalingPolicy
from napari_unet.inference.scale import magnification
from napari_unet.inference.task import as_image, make_task
from napari_unet.objects.size import typical_diameter
from napari_unet.progress import CancelToken
from napari_unet.tiling.scaled import resized


@pytest.fixture
def sized_model(bright_model):
    """Return a model that finds what is bright, and takes 10 pixels for the best diameter of it."""
    return bright_model(info={"diameter": 10.0})


def discs(radius, n=400, every=3.0):
    """Return an image of bright discs on a grid."""
    step = int(every * radius)
    y, x = np.indices((n, n)) % step - step // 2
    return (y**2 + x**2 < radius**2).astype(np.float32)


@pytest.mark.parametrize("factor", [0.5, 1, 3, 4])
def test_nuclei_are_measured_at_any_size(nuclei, nuclei_crop, factor):
    true = typical_diameter([segment(nuclei_crop, nuclei, diameter=32, device="cpu").labels])
    image = resized(nuclei_crop[None].astype(np.float32), [round(n * factor) for n in nuclei_crop.shape])[0]
    found = find_diameter(Image(image, "YX"), nuclei, device="cpu")
    assert found == pytest.approx(factor * true, rel=0.3)


def test_an_image_of_wide_objects_is_made_smaller_by_itself(nuclei, nuclei_crop):
    plain = segment(nuclei_crop, nuclei, device="cpu")
    assert plain.task.zoom == (1.0, 1.0)
    wide = resized(nuclei_crop[None].astype(np.float32), [4 * n for n in nuclei_crop.shape])[0]
    found = segment(wide, nuclei, device="cpu")
    assert found.task.image.found_diameter * found.task.zoom[0] == pytest.approx(32)
    as_it_is = segment(wide, nuclei, device="cpu", diameter=32)
    wrong = abs(as_it_is.n_objects - plain.n_objects)
    assert abs(found.n_objects - plain.n_objects) <= 0.15 * plain.n_objects < wrong


def test_it_does_not_depend_on_tiles(sized_model):
    image = discs(20)
    whole = segment(image, sized_model, device="cpu", keep_maps=True)
    tiled = segment(image, sized_model, device="cpu", keep_maps=True, tile=32)
    assert whole.task.zoom == tiled.task.zoom != (1.0, 1.0)
    assert tiled.task.n_tiles > 4
    assert np.abs(whole.maps - tiled.maps).max() < 1e-4
    part = make_task(tiled.task.image, sized_model, field=(slice(0, 50), slice(0, 50)))
    assert part.zoom == whole.task.zoom, "what is in view has the same scale"


def test_it_goes_by_what_is_known_best(sized_model, bright_model):
    image, wide = discs(20), pytest.approx(40, rel=0.1)
    assert with_diameter(as_image(image), sized_model, device="cpu")[0].found_diameter == wide
    for known in (as_image(image, diameter=12.0), replace(as_image(image), found_diameter=7.0)):
        assert with_diameter(known, sized_model, device="cpu")[0] is known
    learned = bright_model(info={"diameter": 10.0, "image_diameter": 30.0})
    assert segment(image, learned, device="cpu").task.zoom == pytest.approx((1 / 3, 1 / 3))
    physical = bright_model(info={"diameter": 10.0, "pixel_size": (1.0, 1.0)})
    assert segment(image, physical, device="cpu", pixel_size=[0.5]).task.zoom == (0.5, 0.5)
    assert segment(image, physical, device="cpu").task.image.found_diameter == wide
    for model, how in ((learned, {}), (physical, {"pixel_size": [0.5]})):
        asked = segment(image, model, device="cpu", diameter="auto", **how)
        assert asked.task.image.found_diameter == wide
        assert asked.task.zoom == pytest.approx((0.25, 0.25), rel=0.1)


def test_a_model_used_to_one_size_sees_when_an_image_has_another(bright_model):
    """What it has learned of large cells does not shrink the nuclei that it knew before; but it has to be sure."""
    image, used_to = as_image(discs(20)), bright_model(info={"diameter": 10.0, "image_diameter": 160.0})

    def seen_with(max_disagreement):
        policy = RescalingPolicy(max_disagreement=max_disagreement)
        return make_task(*with_diameter(image, used_to, device="cpu", policy=policy))

    seen = seen_with(1.0)
    assert seen.image.found_diameter == pytest.approx(40, rel=0.1)
    assert seen.zoom == pytest.approx((0.25, 0.25), rel=0.1)
    assert with_diameter(seen.image, used_to, device="cpu")[0] is seen.image, "once is enough"
    since = bright_model(info={"diameter": 10.0, "image_diameter": 120.0})
    assert make_task(seen.image, since).zoom == pytest.approx((1 / 12, 1 / 12)), "learned from objects of this image"
    unsure = seen_with(0.0)
    assert (unsure.image.found_diameter, unsure.zoom) == (None, (1 / 16, 1 / 16))


def test_it_sticks_to_that_size_unless_the_network_is_surer_of_another(bright_model, monkeypatch):
    """A network may agree with itself on parts of the objects that it has learned, too."""
    image, used_to = as_image(discs(20)), bright_model(info={"diameter": 10.0, "image_diameter": 80.0})
    trials = {0.5: (0.14, 16.0), 1.0: (0.12, 15.0), 0.25: (0.15, 18.0), 2.0: (0.09, 15.0), 0.125: (0.11, 80.0)}
    monkeypatch.setattr(diameter._ScaleTrials, "_run", lambda self, block, scale: diameter._ScaleTrial(*trials[scale]))
    assert find_diameter(image, used_to, device="cpu") is None
    trials[0.125] = (0.13, 80.0)
    assert find_diameter(image, used_to, device="cpu") == 15
    trials[1.0] = (0.12, 60.0)
    assert find_diameter(image, used_to, device="cpu") is None, "as wide as usual"


def test_who_cannot_tell_is_not_asked(bright_model):
    image = as_image(discs(20))
    painted = {"diameter": 10.0, "recipe": {"method": "from scratch", "steps": 5}}
    classes = {"task": "semantic", "outputs": ("class_0", "class_1")}
    cases = [(image, bright_model()), (image, bright_model(info=painted)), (image, bright_model(info=classes))]
    for one, model in cases:
        assert with_diameter(one, model, device="cpu")[0] is one
        with pytest.raises(ModelMismatchError, match="cannot find out how wide"):
            segment(one, model, diameter="auto", device="cpu")
    with pytest.raises(ImageError, match="a number of pixels, or 'auto'; got 'big'"):
        segment(image, cases[0][1], diameter="big", device="cpu")


def balls(radius, depth=1.0):
    """Return a volume of bright balls on a grid, `depth` times as many slices deep as pixels wide."""
    step, deep = 3 * radius, max(1, round(3 * radius * depth))
    z, y, x = np.indices((3 * deep, 4 * step, 4 * step))
    z, y, x = (z % deep - deep // 2) / depth, y % step - step // 2, x % step - step // 2
    return (z**2 + y**2 + x**2 < radius**2).astype(np.float32)


@pytest.mark.parametrize("radius", [3, 8])
def test_in_a_volume_it_is_found_where_somebody_asks(bright_model, radius):
    model = bright_model(ndim=3, info={"diameter": 5.0})
    volume = as_image(balls(radius), "ZYX")
    assert with_diameter(volume, model, device="cpu")[0] is volume, "not by itself"
    found = segment(volume, model, diameter="auto", device="cpu")
    assert found.task.image.found_diameter == pytest.approx(2 * radius, rel=0.15)
    zoom = 1.0 if radius == 3 else 5 / found.task.image.found_diameter
    assert found.task.zoom == pytest.approx((zoom,) * 3)


def test_slices_that_lie_apart_are_kept_where_a_volume_is_made_smaller(bright_model):
    model = bright_model(ndim=3, info={"diameter": 5.0})
    volume = Image(balls(8, depth=0.4), "ZYX", pixel_size=PixelSize(z=2.5, y=1.0, x=1.0))
    found = segment(volume, model, diameter="auto", device="cpu").task
    in_plane = 5 / found.image.found_diameter
    assert found.zoom == pytest.approx((min(1.0, 2.5 * in_plane), in_plane, in_plane))


@pytest.mark.parametrize("image", [np.zeros((40, 50), np.uint8), discs(20)[:45, :45], np.full((1, 1), 7, np.uint8)])
def test_too_few_objects_tell_nothing(sized_model, image):
    assert find_diameter(as_image(image), sized_model, device="cpu") is None
    assert segment(image, sized_model, device="cpu").task.zoom == (1.0, 1.0)


@settings(max_examples=200, deadline=None)
@given(st.floats(0.5, 300), st.floats(5, 50), st.integers(1, 6000))
def test_an_image_is_made_larger_with_restraint(nuclei, found, best, size):
    info = nuclei.info.model_copy(update={"diameter": best})
    image = Image(np.broadcast_to(np.uint8(0), (size, size)), "YX", found_diameter=found)
    zoom = magnification(image, info)[-1]
    seen = found * zoom
    assert zoom <= (2 if size <= 4096 else 1)
    if found > best:
        assert best / 1.5 < seen <= best * 1.501
    elif zoom < 2 and size <= 4096:
        assert seen >= best / 2 / 1.501
    assert zoom == 1 or not best / 2 <= found <= best


def test_of_a_large_stack_little_is_read(nuclei, nuclei_crop):
    read = []

    class Reading:
        """A stack of nine large planes, which notes what is read of it."""

        shape, dtype, ndim = (9, 9000, 8000), nuclei_crop.dtype, 3

        def __getitem__(self, index):
            read.append(index)
            space = [range(n)[part] for n, part in zip(self.shape, index, strict=True)]
            z, y, x = (list(part) if isinstance(part, range) else [part] for part in space)
            plane = nuclei_crop[np.ix_([i % 200 for i in y], [i % 260 for i in x])]
            return np.stack([plane if i == 4 else 0 * plane for i in z])

    found = find_diameter(Image(Reading(), "ZYX"), nuclei, device="cpu")
    assert found == pytest.approx(find_diameter(Image(nuclei_crop, "YX"), nuclei, device="cpu"), rel=0.3)
    assert len(read) == 3 * 9
    assert {index[0].start for index in read} == {1, 4, 7}
    assert all(part.stop - part.start <= 1024 for index in read for part in index[1:])


def test_it_can_be_stopped(sized_model):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        find_diameter(as_image(discs(20)), sized_model, device="cpu", cancel=cancel)


def test_an_image_that_is_seen_as_well_as_it_is_stays_so(sized_model, monkeypatch):
    image, trials = as_image(discs(20)), {0.5: (0.10, 40.0), 1.0: (0.11, 15.0), 0.25: (0.10, 41.0), 2.0: (0.05, 40.0)}
    scales = []

    def run(self, block, scale):
        scales.append(scale)
        return diameter._ScaleTrial(*trials[scale])

    monkeypatch.setattr(diameter._ScaleTrials, "_run", run)
    assert find_diameter(image, sized_model, device="cpu") is None
    trials[1.0] = (0.13, 15.0)
    assert find_diameter(image, sized_model, device="cpu") == 40
    trials[0.5] = (0.10, 9.0)
    scales.clear()
    assert find_diameter(image, sized_model, device="cpu") == 9
    assert scales == [0.5], "what is plain is looked at once"
    trials[0.5], trials[1.0] = (0.2, 4.0), (0.10, 3.0)
    assert find_diameter(image, sized_model, device="cpu") == 3, "made larger"
    trials[2.0] = (0.09, 3.0)
    assert find_diameter(image, sized_model, device="cpu") is None
