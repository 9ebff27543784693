"""What the plugin works on: the viewer, the chosen image, its sessions, the model in use, and the user's settings.

The workspace knows none of the helpers that work on it (segmenter, learner, ...). It tells them by signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.layers.image import adapter
from napari_unet.layers.jobs import in_words
from napari_unet.layers.keys import Keys
from napari_unet.layers.known_diameters import KnownDiameters
from napari_unet.layers.model_history import ModelHistory
from napari_unet.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from napari_unet.axes import Image
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.models.model import Model

MAX_CHARACTERS = 110
"""Of a message with all that is filled in, as far as that can be chosen: the status line has two lines."""

Level = Literal["info", "done", "warning", "error"]
Scope = Literal["stack", "slice", "view"]
"""What is segmented: everything, the slice in view, or the part of it that the canvas shows."""


@dataclass(frozen=True, slots=True)
class Message:
    """What the status line says.

    Attributes
    ----------
    text : str
        What happened and what to do, in one line: about 100 characters.
    level : {"info", "done", "warning", "error"}
    details : str
        Numbers and reasons, which are shown on demand; empty: none.
    """

    text: str
    level: Level = "info"
    details: str = ""


def with_notes(text: str, notes: Sequence[str]) -> tuple[str, str]:
    """Return the text and the details of a message: notes are in the text if there is room, else in the details."""
    whole = " ".join((text, *notes))
    if not notes or len(whole) <= MAX_CHARACTERS:
        return whole, ""
    return f"{text} There is something to know: see Details.", "\n".join(notes)


class Workspace:
    """The state that the helpers share, and the signals by which they tell of what they do.

    Parameters
    ----------
    viewer : napari.Viewer

    Attributes
    ----------
    last_said : Message or None
        What the user was told last.
    device : str
        Where the network runs: "auto", "cpu", "cuda", "cuda:N" or "mps".
    scope : {"stack", "slice", "view"}
        How much is segmented.
    flips : bool
        Whether the network's maps are averaged over mirror images.
    learning_seconds : float
        How long a learning may take.
    history : ModelHistory
        Of the models; the model in use is one of it.
    diameters : KnownDiameters
        Of the objects in each image layer.
    keys : Keys
        Which key does what on the canvas: all sentences that name a key ask it.

    Notes
    -----
    napari hands plugins a proxy of the viewer, and each access to a layer through it makes a new proxy of that layer:
    layers are compared by ``==`` and kept by their `unique_id`, never by their identity.
    """

    said = Signal(Message)
    segmenting = Signal(bool)
    learning = Signal(bool)
    progressed = Signal(Progress)
    stepped = Signal(object)  # StepReport
    checked = Signal(object)  # Checked
    segmented = Signal(object, object, bool)  # a session, the task, and whether all of that is done
    layer_chosen = Signal()  # another image layer, or none
    image_changed = Signal()  # the chosen image, or what is known of it
    model_changed = Signal()  # another model is in use
    device_changed = Signal()
    corrected = Signal(object)  # Summary
    edited = Signal()  # the labels may have changed; call `refresh_corrections` when there is time
    relabelled = Signal(object)  # a session; its objects were read anew, or have other ids
    session_opened = Signal(object)  # the session, of the chosen image
    session_moved = Signal(object)  # the session; its image was placed elsewhere, or has other pixels
    session_closing = Signal(object)  # the session, which is closed afterwards

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.last_said: Message | None = None
        self.device = "auto"
        self.scope: Scope = "stack"
        self.flips = False
        self.learning_seconds = 60.0
        self.history = ModelHistory()
        self.diameters = KnownDiameters()
        self.keys = Keys()
        self._sessions: dict[Hashable, LayerSession] = {}
        self._axes: dict[Hashable, str] = {}
        self._channels: dict[Hashable, int] = {}
        self._layer: Any = None
        self.history.replaced.connect(self._on_replaced)

    def choose_device(self, name: str) -> None:
        """Compute on that device from now on."""
        if name != self.device:
            self.device = name
            self.device_changed.emit()

    def follow_viewer(self) -> None:
        """Choose the selected image from now on; to be called when all who have to be told are connected."""
        self.viewer.layers.events.removed.connect(self._on_removed)
        self.viewer.layers.selection.events.active.connect(self._on_active)
        self._on_active()

    def leave_viewer(self) -> None:
        """Follow the viewer no longer, and close all sessions; the layers stay."""
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.viewer.layers.selection.events.active.disconnect(self._on_active)
        while self._sessions:
            self.close_session(self._sessions.popitem()[1])

    def say(self, text: str, level: Level = "info", details: str = "") -> None:
        """Tell the user something; see `Message`."""
        self.last_said = Message(text, level, details)
        self.said.emit(self.last_said)

    def say_error(self, error: Exception) -> None:
        """Tell the user of an error."""
        text, details = in_words(error)
        self.say(text, "error", details)

    # -- the chosen image ------------------------------------------------------------------------------------------

    @property
    def layer(self) -> Any:
        """The image layer that is worked on, or None."""
        return self._layer

    def choose_layer(self, layer: Any) -> None:
        """Work on that image layer (None: on none)."""
        if layer is not None and not adapter.is_image_layer(layer):
            self.say(f"{getattr(layer, 'name', layer)!s:.40} is no image layer. Choose one.", "error")
            return
        if layer == self._layer:
            return
        self._layer = layer
        if layer is not None:
            for session in self.sessions:
                session.visibility.set_chosen(session.layer == layer)
        self.layer_chosen.emit()
        self.image_changed.emit()
        self.refresh_corrections(everything=True)

    @property
    def axes(self) -> str | None:
        """Axes of the chosen layer: as the user set them, else as they are guessed; None if it cannot be an image."""
        return None if self._layer is None else self._axes_of(self._layer)

    def set_axes(self, axes: str) -> bool:
        """Say what the chosen layer's axes mean; return whether they fit it: else it is told why not.

        A result made with other axes is let go of.
        """
        try:
            if self._layer is None:
                raise UNetError("There is no image to name the axes of. Open one first.")
            axes = adapter.checked_axes(self._layer, axes)
        except UNetError as error:
            self.say_error(error)
            return False
        if axes != self.axes:
            self._axes[self._layer.unique_id] = axes
            session = self.take_session()
            self.close_session(session)
            self.choose_channel(None)  # afterwards: a copy is kept of what is let go of, with its channel
            self.image_changed.emit()
            if session is not None:
                self.say(f"The axes are {axes} now. The result of before stays as a layer; Segment makes a new one.")
        return True

    @property
    def channel(self) -> int | None:
        """The channel of the chosen layer that is segmented; None: as the model takes them."""
        return None if self._layer is None else self.channel_of(self._layer)

    def channel_of(self, layer: Any) -> int | None:
        """Return which channel of a layer is segmented; None: as the model takes them."""
        return self._channels.get(layer.unique_id)

    def choose_channel(self, channel: int | None) -> None:
        """Segment that channel of the chosen layer from now on (None: as the model takes them)."""
        if self._layer is None:
            return
        self._channels.pop(self._layer.unique_id, None)
        if channel is not None:
            self._channels[self._layer.unique_id] = channel
        if self.session is not None:
            self.session.unwritten.models = True  # the channel is noted beside them

    def image(self) -> Image:
        """Return the chosen image, or raise `UNetError` saying why there is none."""
        if self._layer is None or self._layer not in self.viewer.layers:
            active = self.viewer.layers.selection.active
            if active is not None:
                adapter.layer_image(active)  # says what is wrong with it
            raise UNetError(
                "There is no image to segment. Open one (File > Open, or File > Open Sample) and select it."
            )
        return self.image_of(self._layer)

    def image_of(self, layer: Any) -> Image:
        """Return the image of a layer, with its axes and its object diameter as far as they are known.

        Raises
        ------
        ImageError
            If it is none that can be segmented.
        """
        return self.with_diameter(layer, adapter.layer_image(layer, self._axes_of(layer)))

    def with_diameter(self, layer: Any, image: Image) -> Image:
        """Return an image of a layer with the object diameter that is known of it."""
        return self.diameters.applied(layer, image, self.channel_of(layer), self.model)

    def _axes_of(self, layer: Any) -> str | None:
        chosen = self._axes.get(layer.unique_id)
        if chosen is not None and len(chosen) == adapter.level_zero(layer).ndim:
            return chosen
        try:
            return adapter.layer_axes(layer)
        except UNetError:
            return None

    # -- sessions --------------------------------------------------------------------------------------------------

    @property
    def session(self) -> LayerSession | None:
        """The session of the chosen image, once it was segmented."""
        return self._sessions.get(self._layer.unique_id) if self._layer is not None else None

    @property
    def sessions(self) -> list[LayerSession]:
        """Sessions of all images that were segmented and are still there."""
        return [session for session in self._sessions.values() if session.alive()]

    def adopt(self, session: LayerSession) -> LayerSession:
        """Work on a session of the chosen image from now on; return it."""
        session.edited.connect(self._on_edited)
        session.image_altered.connect(self._on_image_altered)
        self._sessions[session.layer.unique_id] = session
        self.session_opened.emit(session)
        self.viewer.layers.selection.active = session.labels_layer
        return session

    def take_session(self) -> LayerSession | None:
        """Return the session of the chosen image, which has none from then on; `close_session` has to be called."""
        return self._sessions.pop(self._layer.unique_id, None)

    def close_session(self, session: LayerSession | None) -> None:
        """Let go of a session that was taken out; its layers stay."""
        if session is not None:
            self.session_closing.emit(session)
            session.close()

    def annotated_crops(self, model: Model) -> list[AnnotatedCrop]:
        """Return copies of what there is to learn from now in all open images, each with its own channel.

        Raises
        ------
        UNetError
            If the labels of one do not fit its image any more.
        """
        channels = [(session, self.channel_of(session.layer)) for session in self.sessions]
        return [crop for session, channel in channels for crop in session.annotated_crops(model, channel)]

    def refresh_corrections(self, *, everything: bool = False) -> None:
        """Find new corrections in the plane in view (or in all) and tell of the sums."""
        session = self.session
        if session is not None and session.alive():
            try:
                self.corrected.emit(session.rescan(everything=everything))
            except UNetError as error:
                self.say_error(error)

    def count_corrections(self) -> None:
        """Tell of the sums after `edited`; they are counted anew only where something may have changed them."""
        session = self.session
        if session is None or session.uncounted:
            self.refresh_corrections()
        elif session.alive():
            self.corrected.emit(session.summary)

    # -- the model -------------------------------------------------------------------------------------------------

    @property
    def model(self) -> Model | None:
        """The model in use, or None before the first is loaded."""
        return self.history.model

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_active(self, event: Any = None) -> None:
        """Follow the selected layer: an image, or the image of a selected result."""
        active = self.viewer.layers.selection.active
        if active is not None and adapter.is_image_layer(active):
            self.choose_layer(active)
            return
        for session in self._sessions.values():
            if session.labels_layer == active:
                self.choose_layer(session.layer)
                return
        if self._layer is None:
            images = [layer for layer in self.viewer.layers if adapter.is_image_layer(layer)]
            if images:
                self.choose_layer(images[-1])

    def _on_removed(self, event: Any) -> None:
        before = self.session
        self.diameters.keep_only(self.viewer.layers)
        for key, session in list(self._sessions.items()):
            if not session.alive():
                self.close_session(self._sessions.pop(key))
        if self._layer is not None and self._layer not in self.viewer.layers:
            self._axes.pop(self._layer.unique_id, None)
            self._channels.pop(self._layer.unique_id, None)
            self._layer = None
            self._on_active()
            if self._layer is None:
                self.image_changed.emit()
        elif self.session is not before:
            self.image_changed.emit()

    def _on_replaced(self) -> None:
        self.model_changed.emit()

    def _on_edited(self) -> None:
        self.edited.emit()

    def _on_image_altered(self, session: LayerSession) -> None:
        """Have all that belongs to an image lie on it, and what is learned be of its pixels and its scale as of now."""
        if not session.alive():
            return
        try:
            image = self.image_of(session.layer)
        except UNetError:
            return  # it is told when the user asks for something
        if self._channels.get(session.layer.unique_id, 0) >= image.n_channels:
            del self._channels[session.layer.unique_id]
        if session.fits(image):
            session.image = image
            self.session_moved.emit(session)
        if session is self.session:
            self.image_changed.emit()
            self.corrected.emit(session.summary)
