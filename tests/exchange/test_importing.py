"""Weights of other programs' U-Nets: found by shape, refused by name."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import napari_unet as nu
from napari_unet.errors import ModelFileError, UNetError
from napari_unet.exchange.importing import import_model
from napari_unet.inference.in_memory import segment
from napari_unet.models.checkpoint import load_model_file, save_model_file


def double_conv(n_in, n_out, bias=False, norms_last=False):
    convs = [nn.Conv2d(n_in, n_out, 3, padding=1, bias=bias), nn.Conv2d(n_out, n_out, 3, padding=1, bias=bias)]
    norms = [nn.BatchNorm2d(n_out), nn.BatchNorm2d(n_out)]
    if norms_last:  # defined in another order than they are used in
        return nn.ModuleDict({"conv1": convs[0], "conv2": convs[1], "bn1": norms[0], "bn2": norms[1]})
    return nn.Sequential(convs[0], norms[0], nn.ReLU(), convs[1], norms[1], nn.ReLU())


class Foreign(nn.Module):
    """A U-Net with other names, another order of definition, and perhaps another order of joining."""

    def __init__(self, features=4, levels=2, n_in=1, n_out=2, up_first=False, bias=False, norms_last=False):
        super().__init__()
        self.up_first, self.norms_last = up_first, norms_last
        widths = [features * 2**level for level in range(levels + 1)]
        kind = {"bias": bias, "norms_last": norms_last}
        self.final = nn.Conv2d(features, n_out, 1)  # the last layer is defined first
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(2 * n, n, 2, stride=2) for n in widths[:-1])
        self.decoder = nn.ModuleList(double_conv(2 * n, n, **kind) for n in widths[:-1])
        self.encoder = nn.ModuleList(double_conv(a, b, **kind) for a, b in zip([n_in, *widths], widths, strict=False))

    def block(self, block, x):
        if not self.norms_last:
            return block(x)
        x = torch.relu(block["bn1"](block["conv1"](x)))
        return torch.relu(block["bn2"](block["conv2"](x)))

    def forward(self, x):
        skips = []
        for level, block in enumerate(self.encoder):
            x = self.block(block, x if level == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for level in reversed(range(len(self.enlarge))):
            x = self.enlarge[level](x)
            joined = [x, skips[level]] if self.up_first else [skips[level], x]
            x = self.block(self.decoder[level], torch.cat(joined, 1))
        return self.final(x)


def foreign(**kind):
    torch.manual_seed(0)
    net = Foreign(**kind).eval()
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if "running" in name or name.endswith("bias"):
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    return net


KINDS = {
    "as here": {},
    "deeper": {"levels": 4, "features": 8},
    "colours": {"n_in": 3},
    "as many channels as features": {"n_in": 4},
    "twice as many channels": {"n_in": 8, "up_first": False},
    "biases before norms": {"bias": True},
    "norms defined last": {"norms_last": True, "bias": True},
    "enlarged map first": {"up_first": True},
}


def save(net, path):
    """Write weights as they are, in the order of the network or, in safetensors, in none."""
    (save_file if path.suffix == ".safetensors" else torch.save)(net.state_dict(), path)
    return path


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_the_same_maps(tmp_path, kind, ending):
    net = foreign(**kind)
    if kind.get("n_in") == 8:  # the shapes of the first blocks on either way are equal: then the first is the first
        net.encoder, net.decoder = net.encoder, net._modules.pop("decoder")
    theirs = save(net, tmp_path / f"theirs{ending}")
    join = "up-skip" if kind.get("up_first") else "skip-up"
    if kind.get("n_in") == 8 and ending == ".safetensors":
        with pytest.raises(ModelFileError) as refused:
            nu.import_model(theirs)
        assert "alike" in refused.value.details
        return
    model = nu.import_model(theirs, outputs=("foreground", "boundary"), join=join)
    x = torch.rand((1, kind.get("n_in", 1), 48, 32))
    with torch.inference_mode():
        torch.testing.assert_close(model.net(x), net(x), atol=1e-5, rtol=1e-4)
    save_model_file(model, tmp_path / "ours.safetensors")
    again = load_model_file(tmp_path / "ours.safetensors")
    assert again.info == model.info
    assert again.info.decoding.seeds == "boundary"


def test_a_foreground_alone_makes_objects(tmp_path):
    torch.save(foreign(n_out=1).state_dict(), tmp_path / "theirs.pth")
    model = import_model(tmp_path / "theirs.pth", outputs=("foreground",))
    assert model.info.decoding.seeds == "shape"
    assert model.info.finds_objects
    assert not import_model(tmp_path / "theirs.pth").info.finds_objects
    result = segment(np.random.default_rng(0).random((40, 40)).astype(np.float32), model, axes="YX", device="cpu")
    assert result.labels.shape == (40, 40)


def test_the_order_of_joining_matters(tmp_path):
    net = foreign(up_first=True)
    torch.save(net.state_dict(), tmp_path / "theirs.pth")
    x = torch.rand((1, 1, 32, 32))
    with torch.inference_mode():
        assert not torch.allclose(import_model(tmp_path / "theirs.pth").net(x), net(x), atol=1e-2)


@pytest.mark.parametrize("spec", [{}, {"norm": "none"}, {"ndim": 3, "pool_z": (False, True)}, {"padding": "valid"}])
def test_weights_of_our_own_networks(random_model, tmp_path, spec):
    model = random_model(**spec)
    for name in ("a.pt", "a.safetensors"):
        theirs = save(model.net, tmp_path / name)
        back = import_model(theirs, outputs=model.info.outputs, padding=spec.get("padding", "same"))
        assert back.info.spec == model.info.spec
        assert back.sha256() == model.sha256()


def by_name(state):
    return {name: state[name] for name in sorted(state)}


def test_weights_sorted_by_name_are_right_or_refused(tmp_path):
    """As some programs save them: biases stand before weights, and norms perhaps before their convolutions."""
    net, x = foreign(bias=True), torch.rand((1, 1, 32, 32))
    torch.save(by_name(net.state_dict()), tmp_path / "sorted.pth")
    with torch.inference_mode():
        torch.testing.assert_close(import_model(tmp_path / "sorted.pth").net(x), net(x), atol=1e-5, rtol=1e-4)
    net = foreign(norms_last=True, bias=True)
    torch.save(by_name(net.state_dict()), tmp_path / "norms.pth")
    with torch.inference_mode():
        torch.testing.assert_close(import_model(tmp_path / "norms.pth").net(x), net(x), atol=1e-5, rtol=1e-4)


def test_alike_blocks_are_not_told_apart_by_names(tmp_path):
    """The first block and the last one have equal shapes where the image has twice as many channels as features."""
    torch.save(by_name(foreign(n_in=8, bias=True).state_dict()), tmp_path / "sorted.pth")
    with pytest.raises(ModelFileError) as refused:
        import_model(tmp_path / "sorted.pth")
    assert "alike" in refused.value.details


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_norms_that_are_not_named_as_their_convolutions_are_refused(tmp_path, ending):
    """The norm of the first convolution comes last by name; taken in that order, the maps would be others."""
    names = {"bn1": "inner_z", "bn2": "inner_a"}
    state = foreign(norms_last=True, bias=True).state_dict()
    for old, new in names.items():
        state = {name.replace(old, new): tensor for name, tensor in state.items()}
    path = tmp_path / f"theirs{ending}"
    if ending == ".pth":
        torch.save(by_name(state), path)
    else:
        save_file(state, path)
    with pytest.raises(ModelFileError, match=r"have no order.*torch\.save"):
        import_model(path)


@pytest.mark.parametrize("wrong", [{"join": "quick"}, {"padding": "mirrored"}])
def test_words_that_mean_nothing_are_refused(tmp_path, wrong):
    torch.save(foreign().state_dict(), tmp_path / "theirs.pth")
    with pytest.raises(UNetError, match="it must be"):
        import_model(tmp_path / "theirs.pth", **wrong)


class Flat(nn.Module):
    """All layers have one parent, and more than nine of a kind."""

    def __init__(self, norms):
        super().__init__()
        widths = [(1, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16), (16, 8), (8, 8), (8, 4), (4, 4)]
        for number, (a, b) in enumerate(widths, start=1):
            self.add_module(f"conv{number}", nn.Conv2d(a, b, 3, padding=1))
            if norms:
                self.add_module(f"bn{number}", nn.BatchNorm2d(b))
        self.norms = norms
        self.up1, self.up2, self.last = (
            nn.ConvTranspose2d(16, 8, 2, 2),
            nn.ConvTranspose2d(8, 4, 2, 2),
            nn.Conv2d(4, 2, 1),
        )

    def double(self, first, x):
        for number in (first, first + 1):
            x = getattr(self, f"conv{number}")(x)
            x = torch.relu(getattr(self, f"bn{number}")(x) if self.norms else x)
        return x

    def forward(self, x):
        one = self.double(1, x)
        two = self.double(3, nn.functional.max_pool2d(one, 2))
        deep = self.double(5, nn.functional.max_pool2d(two, 2))
        two = self.double(7, torch.cat([two, self.up1(deep)], 1))
        return self.last(self.double(9, torch.cat([one, self.up2(two)], 1)))


@pytest.mark.parametrize("norms", [True, False])
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_layers_numbered_under_one_parent(tmp_path, norms, ending):
    torch.manual_seed(0)
    net, x = Flat(norms).eval(), torch.rand((1, 1, 32, 32))
    model = import_model(save(net, tmp_path / f"flat{ending}"), outputs=("foreground", "boundary"))
    with torch.inference_mode():
        torch.testing.assert_close(model.net(x), net(x), atol=1e-5, rtol=1e-4)


def test_one_map_becomes_two_classes(tmp_path):
    net = foreign(n_out=1)
    torch.save({"epoch": 3, "state_dict": net.state_dict()}, tmp_path / "checkpoint.pth")
    model = import_model(tmp_path / "checkpoint.pth", divide_by=255)
    assert model.info.task == "semantic"
    assert model.info.classes == ("background", "foreground")
    x = torch.rand((1, 1, 32, 32)) * 255
    with torch.inference_mode():
        torch.testing.assert_close(model.net(x).softmax(1)[:, 1:], net(x / 255).sigmoid(), atol=1e-5, rtol=1e-4)
    labels = nu.segment(np.random.default_rng(0).random((40, 50)), model, device="cpu").labels
    assert labels.shape == (40, 50)
    assert set(np.unique(labels)) <= {0, 1}


def without(state, part):
    return OrderedDict((name, tensor) for name, tensor in state.items() if part not in name)


def wider(state):
    return state | {"extra.weight": torch.zeros(4, 4, 5, 5)}


def group_norms(state):
    return without(without(state, "running"), "num_batches")


def nan(state):
    return state | {"final.bias": torch.full((2,), torch.nan)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (wider, r"extra \(4, 4, 5, 5\)"),
        (group_norms, "a norm without running statistics"),
        (lambda state: without(state, "enlarge.0"), "up-convolution: levels of"),
        (lambda state: without(state, "final"), "0 convolutions of 1x1"),
        (lambda state: without(state, "encoder.2"), "on the way down|levels of"),
        (lambda state: without(state, "decoder.0.3"), "not followed by a second convolution"),
        (lambda state: without(state, "decoder.0.1"), "1 batch norms"),
        (nan, "values that are not numbers"),
        (lambda state: {"fc.weight": torch.zeros(3, 4)}, r"fc \(3, 4\)"),
        (lambda state: state | {"attention.gate": torch.zeros(3)}, "attention.gate"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_listed(tmp_path, change, said):
    torch.save(change(foreign().state_dict()), tmp_path / "theirs.pth")
    with pytest.raises(ModelFileError, match="not those of a U-Net as it is used here") as caught:
        import_model(tmp_path / "theirs.pth")
    import re

    assert re.search(said, caught.value.details), caught.value.details


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_is_never_run(tmp_path):
    mark = tmp_path / "was run"
    torch.save({"state_dict": foreign().state_dict(), "more": Harmful(mark)}, tmp_path / "bad.pth")
    with (tmp_path / "bad2.pth").open("wb") as file:
        pickle.dump(Harmful(mark), file)
    torch.save(foreign(), tmp_path / "module.pth")
    for name in ("bad.pth", "bad2.pth", "module.pth"):
        with pytest.raises(ModelFileError, match="holds more than weights") as caught:
            import_model(tmp_path / name)
        assert "weights_only" not in caught.value.with_details  # nobody is told how to run it all the same
    assert not mark.exists()


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"hello", b"\x80\x02}q\x00."], ids=["empty", "cut", "text", "no weights"]
)
def test_files_that_hold_no_weights(tmp_path, content):
    for name in ("a.pth", "a.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelFileError, match="damaged|no weights"):
            import_model(tmp_path / name)


@pytest.mark.parametrize("name", ["a.onnx", "a.H5", "a.keras"])
def test_files_of_other_libraries(tmp_path, name):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(ModelFileError, match="weights of PyTorch can be imported"):
        import_model(tmp_path / name)


def test_truncated_and_missing(tmp_path):
    torch.save(foreign().state_dict(), tmp_path / "a.pth")
    whole = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFileError, match="damaged"):
        import_model(tmp_path / "cut.pth")
    with pytest.raises(ModelFileError, match="no file"):
        import_model(tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"outputs": ("foreground",)}, "1 outputs are named, but the network has 2"),
        ({"outputs": ("foreground", "something")}, "boundary"),
        ({"divide_by": 0.0}, "above 0"),
        ({"diameter": -3.0}, "greater than"),
        ({"pixel_size": (1.0,)}, "pixel size"),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, said):
    torch.save(foreign().state_dict(), tmp_path / "a.pth")
    with pytest.raises(ModelFileError, match=said):
        import_model(tmp_path / "a.pth", **options)
