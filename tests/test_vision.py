"""Features are what the whole network computes, in batches of any size."""

import dataclasses
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

from mmfuse_utils import vision
from mmfuse_utils.data import PictureTable, load_emoji, pictures
from mmfuse_utils.vision import (
    class_probabilities,
    extract_features,
    imagenet_labels,
    load_backbone,
    load_images,
    picture_features,
)


@pytest.fixture(scope="module")
def images():
    """Five noisy pictures of 64 by 64 pixels, each with a tint of its own."""
    rng = np.random.default_rng(0)
    return np.clip(rng.normal(rng.uniform(50, 200, (5, 1, 1, 3)), 40, (5, 64, 64, 3)),
                   0, 255).astype(np.uint8)


@pytest.fixture
def no_memory():
    """`load_backbone` forgets what it loaded, before and after."""
    load_backbone.cache_clear()
    yield
    load_backbone.cache_clear()


def whole_network(images: np.ndarray, name: str) -> np.ndarray:
    """Class probabilities by the package's own forward, with preprocessing by hand."""
    if name != "random":
        model = EfficientNet.from_name(name)
        model.load_state_dict(torch.load(vision.WEIGHTS[name].get_model_file_path()))
    else:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = EfficientNet.from_name("efficientnet-lite0")
    scaled = (images.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
    with torch.inference_mode():
        logits = model.eval()(torch.from_numpy(scaled)).numpy().astype(float)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "random"])
def test_body_and_head_make_the_whole_network(images, name):
    backbone = load_backbone(name)
    features = extract_features(images, backbone)
    assert features.shape == (5, backbone.dim) == (5, 1280) and features.dtype == np.float32
    probabilities = class_probabilities(features, backbone)
    np.testing.assert_allclose(probabilities, whole_network(images, name),
                               rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 64])
def test_features_do_not_depend_on_the_batch(images, monkeypatch, size):
    expected = np.concatenate([extract_features(images[[i]]) for i in range(5)])
    monkeypatch.setattr(vision, "BATCH_SIZE", size)
    np.testing.assert_allclose(extract_features(images), expected, rtol=1e-3, atol=1e-4)


def test_features_of_the_same_pictures_are_the_same(images):
    np.testing.assert_array_equal(extract_features(images), extract_features(images.copy()))
    load_backbone.cache_clear()
    np.testing.assert_array_equal(extract_features(images[:1], load_backbone("random")),
                                  extract_features(images[:1], load_backbone("random")))
    load_backbone.cache_clear()


def test_loading_the_control_leaves_torchs_randomness_alone(no_memory):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_backbone("random")
    assert torch.rand(1) == expected


def test_trained_and_untrained_are_different_networks(images):
    trained, control = load_backbone(), load_backbone("random")
    assert (trained.name, control.name) == ("efficientnet-lite0", "random")
    assert trained.weights != control.weights
    assert not np.allclose(extract_features(images, trained), extract_features(images, control))


@pytest.mark.parametrize("wrong", [
    np.zeros((2, 64, 64, 3), np.float32), np.zeros((64, 64, 3), np.uint8),
    np.zeros((2, 3, 64, 64), np.uint8), np.zeros((2, 64, 64, 4), np.uint8)])
def test_another_type_or_shape_is_refused(wrong):
    with pytest.raises(ValueError, match="uint8 of shape") as caught:
        extract_features(wrong)
    assert str(wrong.shape) in str(caught.value) and str(wrong.dtype) in str(caught.value)


def test_an_unknown_backbone_names_the_known_ones():
    with pytest.raises(ValueError, match="'vgg'.*efficientnet-lite0, .*random, resnet18, resnet50"):
        load_backbone("vgg")


OFFLINE = [URLError("no route"), HTTPError("address", 503, "busy", {}, None),
           ConnectionResetError("reset"), TimeoutError("slow")]


@pytest.mark.parametrize("error", OFFLINE, ids=lambda error: type(error).__name__)
def test_without_a_network_a_resnet_becomes_the_default(no_memory, monkeypatch, capsys, error):
    def get_model(*args, **settings):
        raise error

    monkeypatch.setattr(torchvision.models, "get_model", get_model)
    backbone = load_backbone("resnet18")
    assert backbone.name == "efficientnet-lite0"
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and "resnet18" in lines[0] and "efficientnet-lite0" in lines[0]


def test_a_resnet_is_cut_before_its_last_layer(no_memory, monkeypatch, images):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torchvision.models.resnet18(weights=None).eval()
    x = torch.from_numpy(images.transpose(0, 3, 1, 2) / np.float32(255))
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406),
                                                          (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        expected = model((x - mean) / std).softmax(1).numpy()
    monkeypatch.setattr(torchvision.models, "get_model", lambda name, weights: model)
    backbone = load_backbone("resnet18")
    features = extract_features(images, backbone)
    assert (backbone.name, features.shape) == ("resnet18", (5, 512))
    np.testing.assert_allclose(class_probabilities(features, backbone), expected, rtol=1e-3)


def test_labels_are_imagenets():
    labels = imagenet_labels()
    assert len(labels) == 1000
    assert [labels[i] for i in (0, 207, 281, 954, 999)] == [
        "tench", "golden retriever", "tabby", "banana", "toilet tissue"]


@pytest.mark.parametrize(("concept", "label"), [
    ("26EA", "church"), ("1F579", "joystick"), ("1F6E1", "shield"), ("1F9EE", "abacus")])
def test_the_network_knows_drawings_of_some_things(concept, label):
    """In most styles the right one of 1,000 names is among the first ten."""
    emoji = load_emoji()
    rows = np.flatnonzero(emoji.pictures.concept_row == emoji.ids.index(concept))
    probabilities = class_probabilities(extract_features(emoji.load_pictures(rows)))
    top = np.argsort(-probabilities, axis=1)[:, :10]
    assert np.mean([imagenet_labels().index(label) in row for row in top]) > 0.5


@pytest.fixture
def three_pictures(tmp_path, monkeypatch):
    """The emoji collection cut to three pictures, and an empty cache."""
    emoji = load_emoji()
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path))
    return dataclasses.replace(emoji, pictures=PictureTable(
        emoji.pictures.concept_row[:3], emoji.pictures.style[:3], emoji.pictures.path[:3]))


def test_picture_features_are_those_of_the_pictures_and_computed_once(three_pictures, monkeypatch):
    expected = extract_features(three_pictures.load_pictures(range(3)))
    monkeypatch.setattr(vision, "BATCH_SIZE", 2)
    found = picture_features(three_pictures)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    monkeypatch.setattr(vision, "extract_features", None)  # calling it would fail
    np.testing.assert_array_equal(picture_features(three_pictures), found)


def test_picture_features_of_another_network_or_other_pictures_are_others(three_pictures):
    trained, control = (picture_features(three_pictures, load_backbone(name))
                        for name in ("efficientnet-lite0", "random"))
    assert not np.allclose(trained, control)
    table = three_pictures.pictures
    turned = dataclasses.replace(three_pictures, pictures=PictureTable(
        table.concept_row[::-1], table.style[::-1], table.path[::-1]))
    np.testing.assert_allclose(picture_features(turned), trained[::-1], rtol=1e-3, atol=1e-4)


@pytest.fixture
def drawing():
    """A picture of 40 by 60 pixels, red on the left, gray-blue on the right."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30], pixels[:, 30:] = (250, 20, 20), (90, 100, 160)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "P", "PA", "RGBA", "1", "CMYK", "YCbCr"])
def test_files_of_any_mode_become_red_green_blue(drawing, tmp_path, mode):
    extension = "jpg" if mode in ("CMYK", "YCbCr") else "tif" if mode == "PA" else "png"
    path = tmp_path / f"picture.{extension}"
    drawing.convert("L" if mode == "1" else "RGB").convert(mode).save(path)
    loaded = load_images([path], size=20)
    assert loaded.shape == (1, 20, 20, 3) and loaded.dtype == np.uint8
    left, right = loaded[0, 5:15, 2:7].mean((0, 1)), loaded[0, 5:15, 13:18].mean((0, 1))
    if mode in ("L", "LA", "1"):    # ITU-R BT.601; black and white dots stand for gray
        np.testing.assert_allclose(left, 3 * [88.8], atol=20 if mode == "1" else 2)
        np.testing.assert_allclose(right, 3 * [103.9], atol=20 if mode == "1" else 2)
    else:                           # a palette of 216 colors has steps of 51
        np.testing.assert_allclose(left, (250, 20, 20), atol=26 if "P" in mode else 4)
        np.testing.assert_allclose(right, (90, 100, 160), atol=26 if "P" in mode else 4)


def test_transparent_parts_become_white(tmp_path):
    Image.new("RGBA", (30, 30), (200, 0, 0, 0)).save(tmp_path / "nothing.png")
    palette = Image.new("P", (30, 30), 0)
    palette.putpalette([200, 0, 0])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert (load_images([tmp_path / "nothing.png", tmp_path / "palette.png"]) == 255).all()


def test_sixteen_bits_keep_their_brightness(tmp_path):
    gray = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(gray).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(load_images([tmp_path / "deep.png"], size=8)[0, :, :, 0],
                                  gray // 257)


def test_a_rotation_mark_is_obeyed(drawing, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6                                # "turn me a quarter clockwise"
    deep = Image.fromarray(np.asarray(drawing)[:, :, 0].astype(np.uint16) * 257)
    for name, picture in (("turned.png", drawing), ("deep.png", deep)):
        picture.save(tmp_path / name, exif=exif)
        red = load_images([tmp_path / name], size=20)[0, :, :, 0] > 200
        assert red[:8].all() and not red[12:].any()


def test_all_files_that_cannot_be_used_are_named(drawing, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 5000)
    good, cut, text, empty, large, real, whole, missing = paths = [
        tmp_path / name for name in ("good.png", "cut.jpg", "text.png", "empty.png", "large.png",
                                     "real.tif", "whole.tif", "missing.png")]
    drawing.save(good)
    drawing.save(cut)
    cut.write_bytes(cut.read_bytes()[:400])
    text.write_text("not a picture")
    empty.write_bytes(b"")
    drawing.resize((90, 60)).save(large)
    Image.fromarray(np.ones((9, 9), np.float32)).save(real)
    Image.fromarray(np.full((9, 9), 100_000, np.int32)).save(whole)
    with pytest.raises(ValueError, match="7 of 8 pictures cannot be used") as caught:
        load_images(paths)
    message = str(caught.value)
    assert all(str(path) in message for path in (cut, text, empty, large, real, whole, missing))
    assert str(good) not in message and "90 by 60 pixels are more than 5,000" in message


@pytest.mark.parametrize("share", np.linspace(0, 0.95, 20))
@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_a_file_cut_anywhere_is_refused(tmp_path, extension, share):
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    path = tmp_path / f"cut.{extension}"
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:int(share * len(whole))])
    with pytest.raises(ValueError, match=r"1 of 1 pictures cannot be used"):
        load_images([path])


def test_batches_are_loaded_one_ahead_and_in_order():
    loaded = []

    def load(batch):
        loaded.append(batch)
        return np.array(batch)

    batches = [[0, 1], [2], [3, 4]]
    coming = vision.load_ahead(load, batches)
    np.testing.assert_array_equal(next(coming), [0, 1])
    assert loaded[0] == [0, 1] and [3, 4] not in loaded
    assert [batch.tolist() for batch in coming] == batches[1:]
    assert list(vision.load_ahead(load, [])) == []


def test_what_goes_wrong_while_loading_ahead_is_raised():
    def load(batch):
        raise ValueError(f"cannot read {batch}")

    with pytest.raises(ValueError, match="cannot read 7"):
        list(vision.load_ahead(load, [7, 8]))
