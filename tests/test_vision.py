"""Features are what the whole network computes, in batches of any size."""

import dataclasses
import threading
from contextlib import nullcontext
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

from mmfuse_utils import vision
from mmfuse_utils.data import Collection, PictureTable, load_emoji
from mmfuse_utils.vision import (
    class_probabilities,
    extract_features,
    imagenet_labels,
    load_backbone,
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
    with torch.inference_mode():
        pixels = backbone.preprocess(torch.from_numpy(images).permute(0, 3, 1, 2))
        np.testing.assert_allclose(backbone.maps(pixels).mean((2, 3)), features, rtol=1e-3,
                                   atol=1e-5)


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
    np.zeros((2, 3, 64, 64), np.uint8), np.zeros((2, 64, 64, 4), np.uint8),
    np.zeros((2, 0, 64, 3), np.uint8)])
def test_another_type_or_shape_is_refused(wrong):
    with pytest.raises(ValueError, match="uint8 of shape") as caught:
        extract_features(wrong)
    assert str(wrong.shape) in str(caught.value) and str(wrong.dtype) in str(caught.value)


@pytest.mark.parametrize("view", [
    lambda x: x[:, :, ::-1], lambda x: x[::-1], lambda x: x[..., ::-1],
    lambda x: x[:, ::2, ::2], np.asfortranarray, list])
def test_pictures_may_be_any_view(images, view):
    pictures = view(images)
    np.testing.assert_array_equal(extract_features(pictures),
                                  extract_features(np.array(pictures, order="C")))


def test_features_of_no_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path))
    features = extract_features(np.empty((0, 64, 64, 3), np.uint8))
    assert features.shape == (0, 1280) and features.dtype == np.float32
    assert class_probabilities(features).shape == (0, 1000)
    empty = Collection((), {"en": ()}, {"en": ()}, (), (), PictureTable(
        np.array([], int), np.array([], str), ()))
    features = picture_features(empty)
    assert features.shape == (0, 1280) and features.dtype == np.float32


@pytest.mark.parametrize("change", [lambda x: x.astype(float), lambda x: x.astype(np.longdouble),
                                    lambda x: x.tolist(), lambda x: x[::-1][::-1].astype(">f4")])
def test_probabilities_of_features_of_any_type(images, change):
    features = extract_features(images[:2])
    np.testing.assert_array_equal(class_probabilities(change(features)),
                                  class_probabilities(features))
    np.testing.assert_allclose(class_probabilities(features[::-1]),
                               class_probabilities(features)[::-1], rtol=1e-5)


@pytest.mark.parametrize("shape", [(1280,), (2, 1279), (2, 1, 1280), ()])
def test_probabilities_need_features_of_the_same_network(shape):
    with pytest.raises(ValueError, match=r"efficientnet-lite0, \(n, 1280\); got"):
        class_probabilities(np.zeros(shape, np.float32))


@pytest.mark.parametrize("size", [0, 1.5, None])
def test_a_size_that_makes_no_sense_is_refused(photographs, size):
    for use in (picture_features, lambda c, **k: c.load_pictures([0], **k)):
        with pytest.raises(ValueError, match="^size must be a whole number"):
            use(photographs, size=size)


def test_an_unknown_backbone_names_the_known_ones():
    with pytest.raises(ValueError, match="'vgg'.*efficientnet-lite0, .*random, resnet18, resnet5"):
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
def photographs(tmp_path, monkeypatch):
    """A collection of three pictures of different sizes, and an empty cache."""
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path / "cache"))
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for color, path in enumerate(paths):
        noise(color, (40 + 9 * color, 70)).save(path)
    texts = {"en": (("one",), ("two",), ("three",))}
    return Collection(tuple("abc"), texts, texts, ("group",) * 3, ("group",) * 3, PictureTable(
        np.arange(3), np.array(["photograph"] * 3), tuple(map(str, paths))))


def noise(seed, size):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_features_are_kept_by_what_the_files_hold(photographs, monkeypatch):
    """Another picture under an old name is another picture; a new name changes nothing."""
    before, paths = picture_features(photographs), photographs.pictures.path
    np.testing.assert_array_equal(before, extract_features(photographs.load_pictures(range(3))))
    moved = Path(paths[0]).rename(Path(paths[0]).with_name("moved.png"))
    table = dataclasses.replace(photographs.pictures, path=(str(moved), *paths[1:]))
    with monkeypatch.context() as patch:
        patch.setattr(vision, "extract_features", None)     # calling it would fail
        renamed = picture_features(dataclasses.replace(photographs, pictures=table))
    np.testing.assert_array_equal(renamed, before)
    noise(1, (40, 70)).save(paths[0])
    noise(7, (50, 50)).save(paths[2])
    after = picture_features(photographs)
    assert not np.allclose(after[0], before[0]) and not np.allclose(after[2], before[2])
    np.testing.assert_allclose(after[1], before[1], rtol=1e-3, atol=1e-4)


def test_features_of_larger_pictures_are_others(photographs):
    large = picture_features(photographs, size=160)
    np.testing.assert_allclose(large, extract_features(photographs.load_pictures(range(3), 160)),
                               rtol=1e-3, atol=1e-4)
    assert not np.allclose(large, picture_features(photographs))


@pytest.mark.parametrize("damage", ["missing", "not a picture"])
def test_pictures_without_features_are_all_named(photographs, damage, monkeypatch):
    monkeypatch.setattr(vision, "BATCH_SIZE", 1)
    for path in photographs.pictures.path[1:]:
        Path(path).unlink()
        if damage == "not a picture":
            Path(path).write_text("text")
    with pytest.raises(ValueError, match=r"2 of 3 pictures cannot be used.*\n.*b.png.*\n.*c.png"):
        picture_features(photographs)


@pytest.mark.parametrize("wrong", [False, True])
def test_workers_have_one_thread_each_and_leave_pytorchs_as_they_were(wrong):
    before = torch.get_num_threads()
    together = threading.Barrier(2, timeout=30)

    def work(batch):
        together.wait()
        if wrong:
            raise ValueError("cannot read this one")
        return batch, torch.get_num_threads()

    torch.set_num_threads(2)
    try:
        with (pytest.raises(ValueError, match="cannot read") if wrong else nullcontext(),
              vision.workers() as pool):
            assert list(pool.map(work, "ab")) == [("a", 1), ("b", 1)]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
