"""A paragraph for the methods of a paper, from the records of results."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_unet._version import __version__
from napari_unet.measuring.record import PROGRAM
from napari_unet.objects.redecoding import Sliders
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.measuring.record import Origin, Segmentation

REFERENCES = {
    "U-Net": "Ronneberger O, Fischer P, Brox T (2015). U-Net: convolutional networks for biomedical image "
    "segmentation. MICCAI 2015, LNCS 9351: 234-241. doi:10.1007/978-3-319-24574-4_28",
    "napari": "napari contributors (2019). napari: a multi-dimensional image viewer for Python. "
    "doi:10.5281/zenodo.3555620",
    "scikit-image": "van der Walt S, Schönberger JL, Nunez-Iglesias J, et al. (2014). scikit-image: image processing "
    "in Python. PeerJ 2: e453. doi:10.7717/peerj.453",
}


def methods(origins: Sequence[Origin], n_objects: int | None = None, *, measured: bool = False) -> str:
    """Return a paragraph that says how labels and measurements were made, and the references that it cites.

    Parameters
    ----------
    origins : sequence of Origin
        Of the label images.
    n_objects : int, optional
        How many objects were measured; None: not known.
    measured : bool
        Whether any were.
    """
    images = counted(len(origins), "image")
    all_made = [one for origin in origins for one in origin.segmentations]
    alike: dict[Segmentation, list[float]] = {}  # the width of objects is found on each image by itself
    for one in all_made:
        alike.setdefault(replace(one, found_diameter=None), []).extend(filter(None, [one.found_diameter]))
    parts = [
        f"Objects in {images} were segmented with {PROGRAM} version {__version__}, which uses U-Nets (Ronneberger et "
        "al. 2015), in napari (napari contributors 2019)."
    ]
    parts += [_model(one, found) for one, found in alike.items()] or ["The model is not on record."]
    parts.append(_by_hand(origins))
    measured = measured or n_objects is not None
    if measured:
        objects = "objects" if n_objects is None else counted(n_objects, "object")
        parts.append(
            f"Size, shape, position and intensity of {objects} were measured with the same program, by the "
            "definitions of scikit-image (van der Walt et al. 2014)."
        )
    cited = [text for name, text in REFERENCES.items() if measured or name != "scikit-image"]
    program = f"{PROGRAM} {__version__}. https://pypi.org/project/{PROGRAM}/"
    return " ".join(part for part in parts if part) + "\n\nReferences\n" + "\n".join([*cited, program]) + "\n"


def _model(one: Segmentation, found: Sequence[float]) -> str:
    """Return a sentence about a model, and how it was used."""
    digest = f", SHA-256 of the weights {one.sha256}" if one.sha256 else ""
    parent = f", fine-tuned from {one.parent}" if one.parent else ""
    name = repr(one.model) if one.model else "one whose name is not on record"
    said = [f"The model was {name}{parent}{digest}"]
    if one.diameter is not None:
        said.append(f"objects were taken to be {one.diameter:.4g} pixels wide")
    elif found:
        widths = sorted({f"{width:.3g}" for width in (min(found), max(found))}, key=float)
        said.append(f"objects were found to be {' to '.join(widths)} pixels wide")
    if one.pixel_size is not None:
        said.append(f"pixels were {' x '.join(f'{size:g}' for size in one.pixel_size)} µm")
    if one.channel is not None:
        said.append(f"channel {one.channel} (counted from 0) was segmented")
    if one.decoding is not None:
        sliders = Sliders.of(one.decoding)
        said.append(
            f"sensitivity was set to {sliders.sensitivity:.2f}, separation to {sliders.separation:.2f}, and objects of "
            f"fewer than {sliders.smallest} pixels of the network were left out"
        )
    if one.flips:
        said.append("maps were averaged over mirror images")
    if not one.whole:
        said.append("a part of an image was segmented with it")
    return "; ".join(said) + "."


def _by_hand(origins: Sequence[Origin]) -> str:
    """Return a sentence about what was corrected; empty where that is not known."""
    known = [origin.by_hand for origin in origins if origin.by_hand is not None]
    if not known:
        return ""
    corrected = sum(one.corrected_objects for one in known)
    reviewed = sum(one.reviewed_share for one in known) / len(known)
    if not corrected and not reviewed:
        return "Labels were not corrected."
    checked = f"; {reviewed:.0%} of the pixels were marked as reviewed" if reviewed else ""
    return f"{counted(corrected, 'object')} {'was' if corrected == 1 else 'were'} corrected by hand{checked}."
