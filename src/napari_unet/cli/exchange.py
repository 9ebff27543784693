"""`napari-unet export`, `import` and `export-data`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_unet.cli.app import app
from napari_unet.cli.checks import check_model_name, describe_model, open_model
from napari_unet.cli.messages import fail, print_json, say
from napari_unet.cli.options import MAX_INTEGER, Json, complete_model, number, path_of, pixel_size_of
from napari_unet.errors import UNetError
from napari_unet.limits import DIAMETER

if TYPE_CHECKING:
    from napari_unet.models.normalize import Normalization


class ModelFormat(StrEnum):
    """What a model can be written as."""

    onnx = "onnx"
    bioimageio = "bioimageio"


class DataFormat(StrEnum):
    """Programs that training data can be written for."""

    cellpose = "cellpose"
    stardist = "stardist"
    nnunet = "nnunet"


class JoinOrder(StrEnum):
    """In which order a network joins skip connections."""

    skip_up = "skip-up"
    up_skip = "up-skip"


class PaddingKind(StrEnum):
    """Whether convolutions are padded."""

    same = "same"
    valid = "valid"


class NormalizationKind(StrEnum):
    """How images were normalised."""

    percentile = "percentile"
    mean_std = "mean_std"
    none = "none"


class LabelKind(StrEnum):
    """What labels are."""

    instances = "instances"
    semantic = "semantic"


@app.command(name="export", epilog="Example: napari-unet export nuclei --to onnx -o nuclei.onnx")
def export_command(
    model: Annotated[str, typer.Argument(help="Name or file of a model.", autocompletion=complete_model)],
    out: Annotated[
        Path, typer.Option("-o", "--out", parser=path_of, metavar="PATH", help="File to write: .onnx or .zip.")
    ],
    to: Annotated[ModelFormat, typer.Option(help="Format.")] = ModelFormat.onnx,
    image: Annotated[
        Path | None,
        typer.Option(parser=path_of, metavar="PATH", help="bioimageio: an image that it suits. Default: a sample."),
    ] = None,
    author: Annotated[
        list[str] | None, typer.Option(help="bioimageio: who made it; may be given several times.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="bioimageio: licence of the weights, for example CC-BY-4.0.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Write a model for other programs."""
    from napari_unet.io.atomic import Protected, check_free

    source = describe_model(model)[0]
    try:
        Protected([source, *([] if image is None else [image])]).check(out)
        check_free(out, overwrite=overwrite)
        from napari_unet.exchange.export import check_format, export_model

        check_format(out, to.value)
        from napari_unet.io.readers import read_image

        shown = None if image is None else read_image(image)
        done = export_model(
            open_model(model), out, to.value, image=shown, authors=author or [], licence=licence, overwrite=overwrite
        )
    except UNetError as error:
        fail(error, 1)
    if image is None and to is ModelFormat.bioimageio:
        say("Its picture shows a sample of nuclei; give an image that suits the model by --image.")
    say(f"Written to {out}, {done['bytes'] / 1e6:.1f} MB. {_compared(done['difference'])}")
    if as_json:
        print_json(done)


def _compared(difference: float | None) -> str:
    if difference is None:
        return "Not compared with torch, because onnxruntime is not installed."
    return f"Its maps differ from those of torch by at most {difference:.1g}."


@app.command(
    name="import", epilog="Example: napari-unet import unet.pth --outputs foreground,boundary -o theirs.safetensors"
)
def import_command(
    file: Annotated[
        Path,
        typer.Argument(
            parser=path_of, metavar="FILE", help="A state_dict (.pt, .pth, .safetensors) or a package (.zip)."
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", parser=path_of, metavar="PATH", help="Model file to write (.safetensors).")
    ],
    outputs: Annotated[
        str | None,
        typer.Option(
            help="What the maps are: foreground; foreground,boundary; or foreground,distance. Default: classes."
        ),
    ] = None,
    join: Annotated[
        JoinOrder, typer.Option(help="How it joins skip connections: torch.cat([skip, up]), or up first.")
    ] = JoinOrder.skip_up,
    padding: Annotated[PaddingKind, typer.Option(help="Whether its convolutions are padded.")] = PaddingKind.same,
    normalization: Annotated[
        NormalizationKind,
        typer.Option(help="How images are normalised: percentiles 1 and 99.8 to 0 and 1; mean and deviation; or none."),
    ] = NormalizationKind.percentile,
    divide_by: Annotated[
        float, number(float, 1e-9, MAX_INTEGER, "What its intensities were divided by, for example 255.")
    ] = 1.0,
    pixel_size: Annotated[
        str | None, typer.Option(help="Micrometres of a pixel of its images: one number, or Z,Y,X.")
    ] = None,
    diameter: Annotated[float | None, number(float, *DIAMETER, "Width of its objects, in pixels.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, for example MIT.")] = "unknown",
    overwrite: Annotated[bool, typer.Option(help="Replace an existing model file.")] = False,
    as_json: Json = False,
) -> None:
    """Make a model of the weights of another program's U-Net; nothing in the file is run."""
    check_model_name(out)
    sizes = pixel_size_of(pixel_size)
    try:
        from napari_unet.io.atomic import Protected, check_free

        Protected([file]).check(out)
        check_free(out, overwrite=overwrite)
        from napari_unet.exchange.importing import import_model
        from napari_unet.exchange.package_import import is_package
        from napari_unet.models.checkpoint import save_model_file
        from napari_unet.nets.geometry import receptive_field

        model = import_model(
            file,
            name=out.stem[:120],
            outputs=None if outputs is None else tuple(part.strip() for part in outputs.split(",")),
            join=join.value,
            padding=padding.value,
            normalization=_normalization(normalization),
            divide_by=divide_by,
            diameter=diameter,
            licence=licence,
            pixel_size=None if sizes is None else [v for v in (sizes.z, sizes.y, sizes.x) if v is not None],
        )
        save_model_file(model, out)
    except UNetError as error:
        fail(error, 1)
    spec = model.info.spec
    said = (
        "Its own test image comes out as it says."
        if is_package(file)
        else "Look at a first result: if it makes no sense, --join, --padding, --normalization or --divide-by is wrong."
    )
    say(f"A {spec.ndim}D U-Net of {spec.levels} levels and {spec.features} features; written to {out}. {said}")
    if as_json:
        print_json({"output": str(out), "spec": spec.model_dump(), "outputs": list(model.info.outputs)} | {
            "receptive_field": list(receptive_field(spec))
        })  # fmt: skip


def _normalization(kind: NormalizationKind) -> Normalization:
    from napari_unet.models.normalize import Normalization

    if kind is NormalizationKind.mean_std:  # values are not cut off
        return Normalization(method="mean_std", clip=(-1e6, 1e6))
    return Normalization(method=kind.value)


@app.command(epilog="Example: napari-unet export-data --project monday.unetproj --to cellpose -o for_cellpose")
def export_data(
    out: Annotated[Path, typer.Option("-o", "--out", parser=path_of, metavar="PATH", help="Folder to make.")],
    to: Annotated[DataFormat, typer.Option(help="Program that will learn from it.")],
    project: Annotated[
        list[Path] | None, typer.Option(parser=path_of, metavar="PATH", help="Project; may be given several times.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(parser=path_of, metavar="PATH", help="Image, or folder of images.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(parser=path_of, metavar="PATH", help="Their labels.")] = None,
    task: Annotated[LabelKind, typer.Option(help="What labels of files are.")] = LabelKind.instances,
    as_json: Json = False,
) -> None:
    """Write images and labels as a folder that cellpose, StarDist or nnU-Net trains on."""
    if (images is None) != (labels is None):
        fail("--images and --labels belong together.", 2)
    if images is None and not project:
        fail("Give --project, or --images and --labels.", 2)
    try:
        from napari_unet.exchange.training_data import export_training_data
        from napari_unet.io.pairs import match_by_stem
        from napari_unet.projects.project import Project

        sources: list[Any] = [Project.open(path) for path in project or []]
        sources += match_by_stem(images, labels) if images is not None and labels is not None else []
        done = export_training_data(sources, out, to.value, task=task.value)
    except UNetError as error:
        fail(error, 1)
    known = f"{done['supervised']:.0%} of the pixels are known to be right"
    say(f"{done['n_images']} images and their labels written to {out}; {known}.")
    if as_json:
        print_json(done)
