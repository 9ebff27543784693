"""The sliders: how objects are read out of the maps of the model in use, live in view and then everywhere else.

Moving a slider is no correction. It changes what the program predicts, and never what somebody has corrected or
reviewed; `DecodingSliders.reset` goes back to what the model came with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from psygnal import Signal

from napari_unet.errors import EditError, UNetError
from napari_unet.inference.scale import magnification
from napari_unet.layers.inference.decoding_again import DecodedPiece, PartDecoded, PartToDecode, decoding_steps
from napari_unet.layers.inference.maps_in_view import middle_of
from napari_unet.layers.jobs import PresentJob, Runner
from napari_unet.objects.boxes import relative
from napari_unet.objects.redecoding import Sliders, redecoded
from napari_unet.objects.size import diameter_of, pixels_of
from napari_unet.progress import Stopwatch
from napari_unet.projects.segmented_by import SegmentedBy

if TYPE_CHECKING:
    from napari_unet.layers.image.geometry import Region
    from napari_unet.layers.inference.maps_in_view import MapsInView
    from napari_unet.layers.inference.segmenter import Segmenter
    from napari_unet.layers.session.kept_maps import KeptPart
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.session.slice_joining import Renaming
    from napari_unet.layers.workspace import Level, Workspace
    from napari_unet.models.model import Model
    from napari_unet.objects.decode import Decoding

Slider = Literal["sensitivity", "separation", "smallest"]

LIVE_SECONDS = 0.04
"""Seconds that reading objects anew may take while a slider moves: with counting and painting them it is then less than
a tenth of a second, which a hand feels as at once. Where the view is too large for that, its middle is done."""

FIRST_PACE = 2.0e6
"""Pixels per second that are assumed before it was measured: those of flows, the slower way, on one core."""

MARGIN = 64
"""Pixels around what is in view that are read anew with it: objects that reach out of that stay as they are."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Where the sliders stand.

    Attributes
    ----------
    sensitivity, separation : float
        From 0 to 1; see `objects.redecoding.Sliders`.
    smallest : float
        Width of the smallest object in pixels of the image: of a disc, or of a ball, of so many pixels.
    """

    sensitivity: float
    separation: float
    smallest: float


class DecodingSliders:
    """Sets how objects are read out of maps.

    Parameters
    ----------
    workspace : Workspace
    segmenter : Segmenter
        While it segments, what is beyond the view waits.
    maps_in_view : MapsInView
        Makes maps where there are none.
    runner : Runner
        Where what is beyond the view is done,.
    """

    changed = Signal()  # where they stand, or whether they can be moved

    def __init__(self, workspace: Workspace, segmenter: Segmenter, maps_in_view: MapsInView, runner: Runner) -> None:
        self._workspace, self._segmenter, self._maps_in_view = workspace, segmenter, maps_in_view
        self._wanted: Decoding | None = None  # while they move
        self._lead = self._details = ""
        self._pace = FIRST_PACE
        self._job = PresentJob(runner)
        self._to_join: list[LayerSession] = []  # read anew in part at least since their slices were joined
        workspace.model_changed.connect(self._on_model)
        workspace.history.changed.connect(self._tell)
        workspace.image_changed.connect(self._tell)
        workspace.session_opened.connect(self._tell)
        workspace.session_closing.connect(self._on_closing)
        workspace.segmenting.connect(self._on_segmenting)
        maps_in_view.made.connect(self._on_maps)

    # -- where they stand ------------------------------------------------------------------------------------------

    @property
    def apply(self) -> bool:
        """Whether there is something to set: the model in use finds objects, and has learned."""
        model = self._workspace.model
        return model is not None and model.info.finds_objects and not model.info.is_untrained

    @property
    def positions(self) -> Positions | None:
        """Where they stand; None where there is nothing to set."""
        model = self._workspace.model
        return self.positions_of(self._wanted or model.info.decoding) if self.apply and model is not None else None

    @property
    def can_reset(self) -> bool:
        """Whether they stand elsewhere than the model came with."""
        model = self._workspace.model
        return self.apply and model is not None and (
            self._wanted is not None or model.info.original_decoding is not None
        )  # fmt: skip

    @property
    def busy(self) -> bool:
        """Whether something is read anew beyond the view."""
        return self._job.busy

    # -- moved -----------------------------------------------------------------------------------------------------

    def move(self, slider: Slider, value: float) -> None:
        """Move a slider: what is in view follows at once. Call `rest` when it stays there."""
        model = self._workspace.model
        if not self.apply or model is None:
            return
        self._job.stop()
        now = self._wanted or model.info.decoding
        self._wanted = self._moved(now, slider, value)
        self._lead, self._details = f"{named(slider, value)}:", ""
        session = self._workspace.session
        if session is not None and session.alive():
            self._tell_in_view(session, self._wanted)
        self.changed.emit()

    def rest(self) -> None:
        """Take over where the sliders stand: for all that is done with the model from now on, and everywhere else."""
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self._workspace.history.adjust(wanted)
            session = self._workspace.session
            if session is not None and session.alive():
                session.offer_id()  # the ids of what was found are taken
            self._catch_up()
            self.changed.emit()

    def reset(self) -> None:
        """Put the sliders back to what the model came with."""
        model = self._workspace.model
        if model is not None and self.can_reset:
            self.set(model.info.original_decoding or model.info.decoding, "Back to the model's own settings:")

    def close(self) -> None:
        """Stop, and tell of nothing any more."""
        self._job.stop()
        self._wanted = None
        self._to_join.clear()

    def set(self, decoding: Decoding, lead: str, details: str = "") -> None:
        """Set all of them at once; say the lead before how many objects there are."""
        self._job.stop()
        self._wanted, self._lead, self._details = decoding, lead, details
        session = self._workspace.session
        if session is not None and session.alive():
            self._tell_in_view(session, decoding)
        self.rest()

    def _moved(self, now: Decoding, slider: Slider, value: float) -> Decoding:
        sliders = Sliders.of(now)
        values = {"sensitivity": sliders.sensitivity, "separation": sliders.separation, "smallest": sliders.smallest}
        values[slider] = value if slider != "smallest" else self._pixels(value)
        return Sliders(values["sensitivity"], values["separation"], round(values["smallest"])).applied(now)

    def positions_of(self, decoding: Decoding) -> Positions:
        """Return where they stand for other settings of the model in use."""
        sliders = Sliders.of(decoding)
        width = diameter_of(sliders.smallest / math.prod(self._zoom), len(self._zoom))
        return Positions(sliders.sensitivity, sliders.separation, width)

    def _pixels(self, width: float) -> int:
        """Return how many pixels of the network an object has that is so many pixels of the image wide."""
        return round(pixels_of(width, len(self._zoom)) * math.prod(self._zoom))

    @property
    def _zoom(self) -> tuple[float, ...]:
        """How many pixels of the network one of the chosen image is, along each axis."""
        model, session = self._workspace.model, self._workspace.session
        assert model is not None
        if session is None or (model.info.spec.ndim == 3 and not session.image.is_volume):
            return (1.0,) * model.info.spec.ndim
        return magnification(session.image, model.info)

    # -- in view ---------------------------------------------------------------------------------------------------

    def _tell_in_view(self, session: LayerSession, decoding: Decoding) -> None:
        """Show what is in view, and say how much it is."""
        workspace = self._workspace
        try:
            shown = self._show(session, decoding)
        except UNetError as error:
            workspace.say_error(error)
            return
        if shown == "view":
            workspace.say(f"{self._lead} {session.in_words(session.count(in_view=True))} in view.")
            return
        if shown == "middle":
            workspace.say(f"{self._lead} shown in the middle of the view; the rest follows when you let go.")
            return
        workspace.say(f"{self._lead} looking at the image again; the objects follow in a moment.")
        if not self._maps_in_view.make(session):
            workspace.say(f"{self._lead} press Segment to see what it changes.")

    def _show(self, session: LayerSession, decoding: Decoding) -> Literal["view", "middle", ""]:
        """Read the objects anew in the view, or in as much of its middle as can be in an instant; empty: no maps."""
        found = self._window(session)
        if found is None:
            return ""
        part, region, shown = found
        watch, frame = Stopwatch(), session.plane[0]
        new_id = session.free_id()  # may give the layer another array: asked for before that is read
        labels = session.labels
        maps = part.maps.within(relative(region, part.region))
        protected = session.corrections.protected_in(labels, frame, region)
        volume, box = labels[frame], region
        try:
            if part.volume:
                edit = redecoded(volume, maps, decoding, new_id, region=box, protected=protected)
            else:
                plane = volume[region[0].start]
                edit = redecoded(
                    plane, maps.plane(0), decoding, new_id, region=region[1:], protected=protected[0]
                ).in_slice(region[0].start)
        except EditError:  # nothing changes
            return shown
        finally:
            pixels = math.prod(s.stop - s.start for s in region)
            self._pace = 0.5 * self._pace + 0.5 * pixels / max(watch.seconds, 1e-4)
        changed = edit.box[0], edit.box[1], edit.box[2]
        session.write_again(frame, changed, volume[changed].copy(), edit.labels)
        part.decoding = decoding if region == part.region else part.decoding
        return shown

    def _window(self, session: LayerSession) -> tuple[KeptPart, Region, Literal["view", "middle"]] | None:
        """Return the newest maps in the middle of the view, what is read anew (Z, Y, X), and how much that is.

        None where there are no maps.
        """
        (frame, z), field, _ = session.in_view("see what the sliders do")
        middle = [(part.start + part.stop - 1) // 2 for part in field]
        part = session.maps.part_at(frame, (z, middle[0], middle[1]))
        if part is None:
            return None
        slices = part.region[0] if part.volume else slice(z, z + 1)
        rows, columns = (
            slice(max(r.start, f.start - MARGIN), min(r.stop, f.stop + MARGIN))
            for f, r in zip(field, part.region[1:], strict=True)
        )
        most = max(1, int(LIVE_SECONDS * self._pace) // (slices.stop - slices.start))
        window = middle_of((rows, columns), most)
        whole = all(w.start <= f.start and f.stop <= w.stop for w, f in zip(window, field, strict=True))
        return part, (slices, *window), "view" if whole else "middle"

    # -- everywhere else -------------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Read the objects anew wherever they are as earlier settings found them, that of the chosen image first."""
        workspace, model = self._workspace, self._workspace.model
        if model is None or self._wanted is not None or self._segmenter.busy:
            return
        self._job.stop()
        chosen = workspace.session
        try:
            parts = [
                PartToDecode(session, part, session.labels)
                for session in sorted(workspace.sessions, key=lambda one: one is not chosen)
                for part in session.maps.nearest_first(session.plane)
                if part.decoding != model.info.decoding
            ]
        except UNetError as error:  # the labels do not fit the image any more
            workspace.say_error(error)
            return
        if not parts:
            self._note_decoded()
            self._join_slices()
            return
        decoding = model.info.decoding
        job = self._job.begin("Read objects anew")
        self._job.run(
            job,
            partial(decoding_steps, parts, decoding, job.cancel),
            partial(self._on_done, parts),
            workspace.say_error,
            partial(self._on_event, decoding),
        )

    def _on_event(self, decoding: Decoding, event: DecodedPiece | PartDecoded) -> None:
        model = self._workspace.model
        if model is None:
            return
        try:
            if isinstance(event, PartDecoded):
                one = event.to_decode
                one.part.decoding = decoding
                if one.session.alive():
                    one.session.attention.take(event.uncertainty, model.net)
                    self._note_to_join(one.session, model)
            elif event.session.alive():
                event.write()
        except UNetError as error:
            self._job.stop()
            self._workspace.say_error(error)

    def _on_done(self, parts: list[PartToDecode], count: int) -> None:
        for session in {id(one.session): one.session for one in parts}.values():
            if session.alive():
                session.show_thumbnail()
                session.offer_id()
                self._workspace.relabelled.emit(session)
        self._note_decoded()
        session = parts[0].session
        if session is self._workspace.session and session.alive():
            all_kept = session.maps.pixels >= math.prod(session.corrections.shape)
            rest = "" if all_kept else " Segment does the rest of the image."
            level: Level = "done" if count else "warning"
            self._workspace.say(f"{self._lead} {session.in_words(count)}.{rest}", level, self._details)
        self._workspace.refresh_corrections()
        self._join_slices()

    def _note_decoded(self) -> None:
        """Note by what each image is segmented, now that all maps that are kept were read as the sliders stand."""
        now = self._workspace.history.segments_by
        for session in self._workspace.sessions:
            by, pixels = session.segmented_by, session.maps.pixels
            if pixels and by.sha256 == now.sha256 and by != now:
                session.segmented_by = now if pixels >= math.prod(session.corrections.shape) else SegmentedBy()
                session.suspects = session.doubt = None
                self._workspace.relabelled.emit(session)

    def _note_to_join(self, session: LayerSession, model: Model) -> None:
        """Note that objects of a session may have another id in each slice."""
        if model.info.spec.ndim == 2 and session.joins_slices and session not in self._to_join:
            self._to_join.append(session)

    def _join_slices(self) -> None:
        """Give objects that are new one id from slice to slice, in one image after the other."""
        self._to_join = [session for session in self._to_join if session.alive()]
        if not self._to_join:
            return
        session = self._to_join[0]

        def joined(ids: dict[int, int] | None) -> None:
            self._to_join = [one for one in self._to_join if one is not session]
            if ids and session.alive():
                session.rename(ids)
            self._join_slices()

        def rename_in(part: Renaming) -> None:
            if session.alive():
                session.rename_in(part)

        job = self._job.begin("Join slices")
        self._job.run(job, session.steps_to_join(), joined, lambda _: joined(None), rename_in)

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_model(self) -> None:
        """Let go of what is under way: it is about another model's maps."""
        self._job.stop()
        self._wanted = None
        self._to_join.clear()
        self._tell()

    def _on_closing(self, session: LayerSession) -> None:
        self._to_join = [one for one in self._to_join if one is not session]
        self._tell()

    def _on_segmenting(self, running: bool) -> None:
        if running:
            self._job.stop()
        else:
            self._catch_up()

    def _on_maps(self, session: LayerSession) -> None:
        """Show what sliders do that were moved while there were no maps."""
        if session is self._workspace.session and self._wanted is not None:
            self._tell_in_view(session, self._wanted)
        self._catch_up()

    def _tell(self, _: Any = None) -> None:
        self.changed.emit()


def named(slider: Slider, value: float) -> str:
    """Return a slider and where it stands in words."""
    return f"Smallest object {value:.0f} pixels wide" if slider == "smallest" else f"{slider.capitalize()} {value:.2f}"
