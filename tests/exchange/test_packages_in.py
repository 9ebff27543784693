"""Packages of the BioImage Model Zoo that come in: used if their own test image comes out; no code in them is run."""

from __future__ import annotations

import hashlib
import io
import zipfile

import numpy as np
import pytest
import torch
import yaml

import napari_unet as nu
from napari_unet.errors import ModelFileError
from napari_unet.exchange.importing import import_model
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def theirs(tmp_path, *, out=2, end="sigmoid", swap=False, padding="same", steps=None, old=False, **changes):
    """Write a package as another program would, whose source would leave a file behind if it were run."""
    torch.manual_seed(1)
    spec = UNetSpec(features=4, levels=2, out_channels=out, norm="none", padding=padding)
    net = UNet(spec).eval().requires_grad_(False)
    size = 60 if padding == "valid" else 32
    image = np.random.default_rng(0).integers(0, 200, (1, 1, size, size)).astype(np.float32)
    low, high = np.percentile(image, [2, 98])
    ready = {
        None: (image - low) / (high - low),
        "mean": (image - image.mean()) / image.std(),
        "linear": image / 50,
        "raw": image,
    }[steps]
    logits = net(torch.from_numpy(ready.astype(np.float32)))
    maps = {"sigmoid": logits.sigmoid(), "softmax": logits.softmax(1), "none": logits}[end].numpy()
    state = net.state_dict()
    if swap:
        for key in ("up.0.conv.0.weight", "up.1.conv.0.weight"):
            half = state[key].shape[1] // 2
            state[key] = torch.cat([state[key][:, half:], state[key][:, :half]], 1)
    weights = io.BytesIO()
    torch.save({f"net.{key}": value for key, value in state.items()}, weights)
    scale = {"min_percentile": 2, "max_percentile": 98, "axes": ["channel", "y", "x"]}
    known = {
        None: ("scale_range", scale),
        "mean": ("zero_mean_unit_variance", {"axes": "cyx"}),
        "linear": ("scale_linear", {"gain": 0.02, "offset": 0}),
        "raw": None,
    }[steps]
    key = "name" if old else "id"
    how = [] if known is None else [{key: known[0], "kwargs": known[1]}]
    axes = [{"type": "batch"}, {"type": "channel", "channel_names": ["foreground", "boundary"][:out]},
            {"type": "space", "id": "y"}, {"type": "space", "id": "x"}]  # fmt: skip
    about = {
        "type": "model", "name": "Their network", "license": "MIT",
        "inputs": [{"axes": "bcyx" if old else axes, "preprocessing": how, "test_tensor": {"source": "in.npy"}}],
        "outputs": [{"axes": "bcyx" if old else axes, "test_tensor": {"source": "out.npy"}}],
        "weights": {"pytorch_state_dict": {"source": "w.pt", "architecture": {"source": "net.py", "callable": "Net"}}},
    }  # fmt: skip
    if old:
        about |= {"test_inputs": ["in.npy"], "test_outputs": ["./out.npy"]}
    mark = tmp_path / "was run"
    files = {
        "rdf.yaml": yaml.safe_dump(about), "w.pt": weights.getvalue(), "in.npy": npy(image), "out.npy": npy(maps),
        "net.py": f"open({str(mark)!r}, 'w')",
    } | changes  # fmt: skip
    with zipfile.ZipFile(tmp_path / "theirs.zip", "w") as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(name, content)
    return tmp_path / "theirs.zip", image, maps, mark


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_what_no_shape_tells_is_told_by_the_test_tensors(tmp_path, old, swap, padding):
    path, image, maps, mark = theirs(tmp_path, old=old, swap=swap, padding=padding)
    model = nu.import_model(path, outputs=("foreground", "boundary") if old else None)
    assert model.info.outputs == ("foreground", "boundary")
    assert model.info.spec.padding == padding
    assert (model.info.name, model.info.licence) == ("Their network", "MIT")
    assert (model.info.normalization.low, model.info.normalization.high) == (2, 98)
    from napari_unet.models.normalize import measure

    ready = model.normalized(image[0][:, None], measure(image[0], model.info.normalization))
    found = model.net(torch.from_numpy(np.ascontiguousarray(ready))[None]).sigmoid().numpy()
    np.testing.assert_allclose(found, maps, atol=1e-5)
    assert not mark.exists()


@pytest.mark.parametrize("end", ["softmax", "none"])
@pytest.mark.parametrize("steps", ["linear", "raw"])
def test_classes(tmp_path, end, steps):
    path, image, maps, _ = theirs(tmp_path, out=3, end=end, steps=steps)
    model = import_model(path)
    assert model.info.task == "semantic"
    assert model.info.normalization.method == "none"
    found = model.net(torch.from_numpy(image)).numpy()
    np.testing.assert_array_equal(found.argmax(1), maps.argmax(1))


def test_mean_and_deviation(tmp_path):
    path, image, maps, _ = theirs(tmp_path, steps="mean")
    model = import_model(path)
    assert model.info.normalization.method == "mean_std"
    pixels = image[0, 0] * 3 + 70  # other units of intensity
    result = nu.segment(pixels, model, device="cpu", keep_maps=True)
    np.testing.assert_allclose(result.maps[:, 0, 0, 14:18, 14:18], maps[0, :, 14:18, 14:18], atol=0.02)


@pytest.mark.parametrize("end", ["sigmoid", "none"])
def test_one_map(tmp_path, end):
    path, image, maps, _ = theirs(tmp_path, out=1, end=end, steps="raw")
    model = import_model(path)
    assert model.info.classes == ("background", "foreground")
    found = model.net(torch.from_numpy(image)).numpy().argmax(1)
    np.testing.assert_array_equal(found[0], maps[0, 0] > (0.5 if end == "sigmoid" else 0))


def test_our_own_come_back(random_model, tmp_path):
    pytest.importorskip("onnx")
    for number, spec in enumerate(
        ({}, {"up": "interpolated"}, {"semantic": True}, {"ndim": 3, "pool_z": (False, True)})
    ):
        model = random_model(**spec)
        path = tmp_path / f"{number}.zip"
        nu.export_model(model, path, "bioimageio", authors=["Ada"], licence="MIT")
        back = import_model(path)
        assert back.info == model.info
        assert back.sha256() == model.sha256()
        with pytest.raises(ModelFileError, match="says itself what its maps are"):
            import_model(path, outputs=("a", "b"))


def about(**changes):
    """Return a description with other entries."""
    base = {"type": "model", "inputs": [{"axes": "bcyx"}], "outputs": [{"axes": "bcyx"}],
            "weights": {"pytorch_state_dict": {"source": "w.pt"}}, "test_inputs": ["in.npy"],
            "test_outputs": ["out.npy"]}  # fmt: skip
    return yaml.safe_dump(base | changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"out.npy": npy(np.zeros((1, 2, 32, 32), np.float32))}, "does not come out"),
        ({"out.npy": npy(np.full((1, 2, 32, 32), np.nan, np.float32))}, "does not come out"),
        ({"in.npy": npy(np.zeros((1, 5, 32, 32), np.float32))}, "does not come out"),
        ({"in.npy": npy(np.zeros((1, 1, 31, 32), np.float32))}, "does not come out"),
        ({"in.npy": npy(np.zeros((32, 32), np.float32))}, "has the shape"),
        ({"out.npy": b"hello"}, "damaged"),
        ({"w.pt": b"hello"}, "damaged"),
        ({"w.pt": None}, "lacks the file w.pt"),
        ({"rdf.yaml": "a: [1"}, "damaged"),
        ({"rdf.yaml": "hello"}, "damaged"),
        ({"rdf.yaml": "!!python/object/apply:os.system ['true']"}, "damaged"),
        ({"rdf.yaml": about(weights={"tensorflow_js": {}, "onnx": {}})}, "it has onnx, tensorflow_js"),
        ({"rdf.yaml": about(weights={"pytorch_state_dict": {"source": "https://x.org/w.pt"}})}, "nothing is fetched"),
        ({"rdf.yaml": about(weights={"pytorch_state_dict": {"source": "../../w.pt"}})}, "lacks the file"),
        ({"rdf.yaml": about(inputs=[{"axes": "byxc"}])}, "axes"),
        ({"rdf.yaml": about(inputs=[{"axes": "bcyx"}] * 2)}, "several inputs"),
        (
            {"rdf.yaml": about(inputs=[{"axes": "bcyx", "preprocessing": [{"name": "binarize"}]}])},
            "not known here: binarize",
        ),
        ({"rdf.yaml": about(config={"napari_unet": {"name": "x"}})}, "is not valid"),
        ({"rdf.yaml": about(type="dataset")}, "of the type dataset"),
        ({"rdf.yaml": about(weights={"torchscript": {"source": "w.pt"}})}, "which is needed; it has torchscript"),
        (
            {"rdf.yaml": about(weights={"keras_hdf5": {"source": "w.h5"}, "pytorch_state_dict": None})},
            "it has keras_hdf5",
        ),
        (  # of StarDist
            {"rdf.yaml": about(weights={"tensorflow_saved_model_bundle": {}}, config={"stardist": {}})},
            "it has tensorflow_saved_model_bundle",
        ),
        ({"rdf.yaml": about(weights={})}, "it has no weights"),
        ({"rdf.yaml": about(weights=None)}, "damaged"),
        ({"rdf.yaml": about(weights={"pytorch_state_dict": {"source": "/etc/hostname"}})}, "lacks the file"),
        ({"rdf.yaml": about(weights={"pytorch_state_dict": {"source": r"C:\\w.pt"}})}, "lacks the file"),
        ({"rdf.yaml": about(weights={"pytorch_state_dict": {"source": "./../w.pt"}})}, "lacks the file"),
        (
            {"rdf.yaml": about(weights={"pytorch_state_dict": {"source": "w.pt", "sha256": "0" * 64}})},
            "is not the file that its description means",
        ),
        ({"rdf.yaml": about(outputs=[{"axes": "bcyx"}] * 2)}, "several inputs or outputs"),
        (
            {"rdf.yaml": about(outputs=[{"axes": "bcyx", "postprocessing": [{"name": "binarize"}]}])},
            "not known here: binarize",
        ),
        (
            {
                "rdf.yaml": about(
                    inputs=[
                        {
                            "axes": "bcyx",
                            "preprocessing": [
                                {
                                    "name": "zero_mean_unit_variance",
                                    "kwargs": {"mode": "fixed", "mean": 3.0, "std": 2.0},
                                }
                            ],
                        }
                    ]
                )
            },
            "not known here: fixed zero_mean_unit_variance",
        ),
        (
            {"rdf.yaml": about(inputs=[{"axes": "bcyx", "preprocessing": [{"id": "fixed_zero_mean_unit_variance"}]}])},
            "not known here: fixed_zero_mean_unit_variance",
        ),
    ],
)
def test_what_is_refused(tmp_path, change, said):
    path, *_, mark = theirs(tmp_path, **change)
    with pytest.raises(ModelFileError, match=said):
        import_model(path)
    assert not mark.exists()


def test_maps_of_which_nothing_is_known(tmp_path):
    path, *_ = theirs(tmp_path, out=3)
    with pytest.raises(ModelFileError, match="What the 3 maps"):
        import_model(path)


def test_names_that_lead_out_of_the_package_write_nothing(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    outside = {"../../evil.txt": b"x", "/tmp/napari-unet-evil.txt": b"x", "..\\evil.txt": b"x"}
    path, *_ = theirs(inner, **outside)
    import_model(path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["inner", "theirs.zip"]


def test_a_folder_that_was_zipped_as_a_whole(tmp_path):
    path, *_ = theirs(tmp_path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "folder.zip", "w") as archive:
        for name, content in (files | {"../__MACOSX/rdf.yaml": b""}).items():
            archive.writestr(f"their model/{name}".replace("their model/../", ""), content)
    assert import_model(tmp_path / "folder.zip").info.name == "Their network"


def described(path):
    """Return the description and the other files of a package."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return yaml.safe_load(files["rdf.yaml"]), files


def test_a_checksum_that_is_right_or_lies(tmp_path):
    path, *_ = theirs(tmp_path)
    said, files = described(path)
    for right in (True, False):
        for entry, name in (
            (said["weights"]["pytorch_state_dict"], "w.pt"),
            (said["inputs"][0]["test_tensor"], "in.npy"),
        ):
            entry["sha256"] = hashlib.sha256(files[name] + (b"" if right or name == "w.pt" else b"x")).hexdigest()
        theirs(tmp_path, **{"rdf.yaml": yaml.safe_dump(said)})
        if right:
            import_model(path)
        else:
            with pytest.raises(ModelFileError, match=r"in\.npy in theirs\.zip is not the file"):
                import_model(path)


def test_our_own_with_weights_of_another_network(random_model, tmp_path):
    pytest.importorskip("onnx")
    for number, features in enumerate((4, 8)):
        nu.export_model(
            random_model(features=features), tmp_path / f"{number}.zip", "bioimageio", authors=["A"], licence="MIT"
        )
    said, files = described(tmp_path / "0.zip")
    files["weights.pt"] = described(tmp_path / "1.zip")[1]["weights.pt"]
    said["weights"]["pytorch_state_dict"]["sha256"] = hashlib.sha256(files["weights.pt"]).hexdigest()
    with zipfile.ZipFile(tmp_path / "mixed.zip", "w") as archive:
        for name, content in (files | {"rdf.yaml": yaml.safe_dump(said)}).items():
            archive.writestr(name, content)
    with pytest.raises(ModelFileError, match="not those of the network that it describes"):
        import_model(tmp_path / "mixed.zip")


def test_torchscript_in_the_place_of_a_state_dict(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("net/data.pkl", "net/constants.pkl", "net/code/__torch__.py"):
            archive.writestr(name, b"")
    path, *_ = theirs(tmp_path, **{"w.pt": buffer.getvalue()})
    with pytest.raises(ModelFileError, match="TorchScript, which is a program"):
        import_model(path)


def test_what_is_no_package(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "rdf.yaml").write_text(about())
    with zipfile.ZipFile(tmp_path / "stardist.zip", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("weights_best.h5", b"x")
    for name, said in (
        ("model", "is a folder"), ("rdf.yaml", "only describes a model"), ("stardist.zip", "neither a package"),
    ):  # fmt: skip
        with pytest.raises(ModelFileError, match=said):
            import_model(tmp_path / name)


def test_a_package_of_bioimageios_own(tmp_path, monkeypatch):
    spec = pytest.importorskip("bioimageio.spec")
    from bioimageio.spec.model import v0_5

    path, *_ = theirs(tmp_path, steps="mean")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "files")
    monkeypatch.chdir(tmp_path / "files")
    for name, content in {"doc.md": b"# Their network", "c.npy": npy(np.zeros((2, 2)))}.items():
        (tmp_path / "files" / name).write_bytes(content)
    size = v0_5.ParameterizedSize(min=8, step=4)
    like = {name: v0_5.SizeReference(tensor_id="raw", axis_id=name) for name in "yx"}
    first = [v0_5.BatchAxis(), v0_5.ChannelAxis(channel_names=["a"])]
    last = [v0_5.BatchAxis(), v0_5.ChannelAxis(channel_names=["foreground", "boundary"])]
    norm = v0_5.ZeroMeanUnitVarianceDescr(kwargs=v0_5.ZeroMeanUnitVarianceKwargs(axes=["channel", "y", "x"]))
    made = v0_5.ModelDescr(
        name="Theirs", description="A U-Net", authors=[v0_5.Author(name="Ada")], license="MIT",
        cite=[v0_5.CiteEntry(text="a", url="https://example.org")], documentation=v0_5.FileDescr(source="doc.md"),
        inputs=[v0_5.InputTensorDescr(
            id="raw", axes=[*first, *(v0_5.SpaceInputAxis(id=name, size=size) for name in "yx")],
            test_tensor=v0_5.FileDescr(source="in.npy"), preprocessing=[norm])],
        outputs=[v0_5.OutputTensorDescr(
            id="maps", axes=[*last, *(v0_5.SpaceOutputAxis(id=name, size=like[name]) for name in "yx")],
            test_tensor=v0_5.FileDescr(source="out.npy"), postprocessing=[v0_5.SigmoidDescr()])],
        weights=v0_5.WeightsDescr(pytorch_state_dict=v0_5.PytorchStateDictWeightsDescr(
            source="w.pt", pytorch_version="2.4.0",
            architecture=v0_5.ArchitectureFromFileDescr(source="net.py", callable="Net"))),
    )  # fmt: skip
    spec.save_bioimageio_package(made, output_path=tmp_path / "made.zip", allow_invalid=True)
    model = import_model(tmp_path / "made.zip")
    assert model.info.outputs == ("foreground", "boundary")
    assert model.info.normalization.method == "mean_std"
    assert not (tmp_path / "was run").exists()
