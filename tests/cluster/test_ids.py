"""Ids of objects that were found block by block, without workers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.cluster.ids import JoinedFaces, Linking, NumberedObjects
from napari_unet.cluster.run_folder import RunFolder
from napari_unet.cluster.work import Joined
from napari_unet.objects.blocks import BlockGrid
from napari_unet.objects.stitch import Matcher, numbered_on


@st.composite
def faces(draw):
    """Return a grid of blocks, objects of each, and pairs that are one object, as workers tell of them."""
    blocks = BlockGrid((draw(st.integers(1, 25)), draw(st.integers(1, 25))), (10, 10), 2)
    counts = draw(st.lists(st.integers(0, 4), min_size=len(blocks), max_size=len(blocks)))
    found = {}
    for number in range(len(blocks)):
        pairs = {}
        for axis in range(2):
            if blocks[number].region[axis].start:
                before = counts[blocks.number_before(blocks[number], axis)]
                ids = st.tuples(st.integers(1, max(1, before)), st.integers(1, max(1, counts[number])))
                most = 3 if before and counts[number] else 0
                pairs[axis] = np.array(draw(st.lists(ids, max_size=most)), np.int32).reshape(-1, 2)
        found[0, number] = Joined(counts[number], pairs)
    return blocks, found


@settings(max_examples=30, deadline=None)
@given(found=faces(), order=st.randoms(use_true_random=False))
def test_sets_are_numbered_by_their_first_member(found, order, tmp_path_factory):
    blocks, joined = found
    folder = RunFolder.new(tmp_path_factory.mktemp("ids") / "a.zarr")
    faces = JoinedFaces(1, blocks)
    for place in order.sample(sorted(joined), len(joined)):  # they are done in any order
        faces.add(place, joined[place])
    objects = NumberedObjects(folder, faces)
    Linking(objects, [], len(blocks))
    members = [(block, one) for block in range(len(blocks)) for one in range(1, joined[0, block].count + 1)]
    sets = {member: {member} for member in members}
    for (_, block), one in joined.items():
        for axis, pairs in one.pairs.items():
            before = blocks.number_before(blocks[block], axis)
            for a, b in pairs.tolist():
                union = sets[before, a] | sets[block, b]
                sets.update(dict.fromkeys(union, union))
    firsts = sorted({min(one) for one in sets.values()})
    expected = [1 + firsts.index(min(sets[member])) for member in members]
    assert np.load(folder.ids("final", 0)).tolist() == expected
    assert objects.last == len(firsts)
    for block in range(len(blocks)):
        assert objects.first(0, block) == sum(joined[0, before].count for before in range(block))


def test_planes_are_linked_as_soon_as_it_can_be(tmp_path):
    blocks = BlockGrid((20, 10), (10, 10), 2)
    labels = np.array([[1, 1, 2], [1, 2, 2], [2, 2, 1]])  # of the first block of each plane; the second has none
    faces = JoinedFaces(3, blocks)
    for plane in range(3):
        faces.add((plane, 0), Joined(2, {}))
        faces.add((plane, 1), Joined(0, {0: np.zeros((0, 2), np.int32)}))
    folder = RunFolder.new(tmp_path / "a.zarr")
    objects = NumberedObjects(folder, faces)
    linking = Linking(objects, [1, 2], 2)
    assert objects.numbered == 1

    def counted(plane):
        matcher = Matcher()
        matcher.add(labels[plane - 1], labels[plane])
        return matcher

    linking.add((2, 0), counted(2))
    linking.add((2, 1), Matcher())
    linking.add((1, 1), Matcher())
    assert objects.numbered == 1
    linking.add((1, 0), counted(1))
    assert objects.complete
    ids = [np.load(folder.ids("final", plane)).tolist() for plane in range(3)]
    assert ids == [[1, 2], [1, 2], [2, 1]]
    assert objects.last == 2


@given(
    count=st.integers(0, 20),
    known=st.dictionaries(st.integers(1, 25), st.integers(1, 99)),
    last=st.integers(0, 99),
)
def test_objects_are_numbered_on(count, known, last):
    ids, after = numbered_on(count, known, last)
    expected, number = [0], iter(range(last + 1, 999))
    expected += [known.get(label) or next(number) for label in range(1, count + 1)]
    assert ids.tolist() == expected
    assert after == next(number) - 1
    assert ids.dtype == np.int32
