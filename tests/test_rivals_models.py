"""The big models' interface, on small untrained networks; and what is said without a network."""

import json
import urllib.error

import numpy as np
import pytest
import rivals as study
import torch
import torchvision
from torch.nn import functional

from mmfuse_utils import rivals
from mmfuse_utils.data import load_emoji
from mmfuse_utils.metrics import chance_hit_at_k
from mmfuse_utils.rivals import CrossEncoder, DualEncoder, WeightsMissing, tiny_rival
from mmfuse_utils.vision import class_probabilities, extract_features

TEXTS = ["a dog", "a red car on a long street", "cat", "the wheel of a very old ship"]
KINDS = ["clip", "align", "vilt"]


@pytest.fixture(scope="module")
def pictures():
    """Five noisy pictures of 48 by 40 pixels, each with a tint of its own."""
    rng = np.random.default_rng(0)
    return rng.normal(rng.uniform(50, 200, (5, 1, 1, 3)), 40, (5, 48, 40, 3)).clip(
        0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_batches_change_nothing(kind, batch_size, pictures):
    model = tiny_rival(kind, batch_size=batch_size)
    together = model.similarity(TEXTS, pictures)
    alone = [[model.similarity([text], pictures[i:i + 1])[0, 0] for i in range(len(pictures))]
             for text in TEXTS]
    assert together.shape == (4, 5)
    assert np.allclose(together, alone, atol=1e-5)
    assert together.std(axis=0).min() > 1e-3 and together.std(axis=1).min() > 1e-3


@pytest.mark.parametrize("kind", ["clip", "align"])
def test_dual_encoders_meet_in_cosines_of_unit_rows(kind, pictures):
    model = tiny_rival(kind)
    text, image = model.embed_text(TEXTS), model.embed_image(pictures)
    assert isinstance(model, DualEncoder)
    assert text.shape == (4, 16) and image.shape == (5, 16)
    assert text.dtype == image.dtype == np.float32
    for rows in (text, image):
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert np.allclose(model.similarity(TEXTS, pictures), text @ image.T, atol=1e-6)


@pytest.mark.parametrize("kind", ["clip", "align"])
def test_a_dual_encoder_is_the_library_s_own_forward(kind, pictures):
    model = tiny_rival(kind)
    words = model.tokenizer(TEXTS, padding=True, return_tensors="pt")
    pixels = model.image_processor(list(pictures), return_tensors="pt")
    with torch.inference_mode():
        made = model.model(input_ids=words["input_ids"], attention_mask=words["attention_mask"],
                           pixel_values=pixels["pixel_values"])
    cosines = functional.cosine_similarity(made.text_embeds[:, None], made.image_embeds, dim=2)
    assert np.allclose(model.similarity(TEXTS, pictures), cosines, atol=1e-5)


def test_a_cross_encoder_reads_pairs_and_keeps_no_vectors(pictures):
    model = tiny_rival("vilt")
    assert isinstance(model, CrossEncoder)
    assert not hasattr(model, "embed_text") and not hasattr(model, "embed_image")
    words = model.tokenizer(TEXTS[1:2], return_tensors="pt")
    pixels = model.image_processor([pictures[2]], return_tensors="pt")
    with torch.inference_mode():
        logit = model.model(input_ids=words["input_ids"], attention_mask=words["attention_mask"],
                            **pixels).logits
    assert np.isclose(model.similarity(TEXTS, pictures)[1, 2], logit[0, 0], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_texts_and_pictures_is_kept(kind, pictures):
    model = tiny_rival(kind, batch_size=2)
    turned = model.similarity(TEXTS[::-1], pictures[::-1])
    assert np.allclose(turned, model.similarity(TEXTS, pictures)[::-1, ::-1], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_make_networks_and_leave_torch_s_own_state(kind, pictures):
    torch.manual_seed(5)
    first = tiny_rival(kind, seed=1).similarity(TEXTS, pictures)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
    assert np.array_equal(first, tiny_rival(kind, seed=1).similarity(TEXTS, pictures))
    assert not np.allclose(first, tiny_rival(kind, seed=2).similarity(TEXTS, pictures))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("texts", "shape", "type_", "words"), [
    ([], (1, 9, 9, 3), np.uint8, "list of texts"),
    (np.zeros((2, 100)), (1, 9, 9, 3), np.uint8, "list of texts"),
    (["a dog"], (2, 1280), np.float32, "pictures as uint8"),
    (["a dog"], (0, 9, 9, 3), np.uint8, "at least one")])
def test_vectors_in_place_of_texts_and_pictures_are_refused(kind, texts, shape, type_, words):
    with pytest.raises(ValueError, match=words):
        tiny_rival(kind).similarity(texts, np.zeros(shape, type_))


def test_unknown_kinds_and_batches_of_nothing_are_refused():
    with pytest.raises(ValueError, match="clip, align, vilt"):
        tiny_rival("bert")
    with pytest.raises(ValueError, match="batch_size"):
        tiny_rival("clip", batch_size=0)


@pytest.fixture
def offline(monkeypatch):
    """No network, and no weights from an earlier time; what tries to load is noted."""
    tries = []

    def missing(name, *_, local_files_only):
        tries.append(local_files_only)
        raise OSError("We couldn't connect to the hub.\nCheck your internet connection.")

    monkeypatch.setattr(rivals, "_load", missing)
    monkeypatch.setattr(rivals, "is_online", lambda: False)
    return tries


@pytest.mark.parametrize("name", rivals.RIVALS)
def test_without_a_network_one_line_says_what_was_wanted_and_what_to_do(name, offline):
    with pytest.raises(WeightsMissing) as error:
        rivals.load_rival(name)
    message = str(error.value)
    assert name in message and "online" in message
    assert "\n" not in message and len(message) < 80 and "http" not in message
    assert offline == [True], "an attempt to download, which is slow to give up"


def test_with_a_network_the_hub_is_asked_and_its_no_is_passed_on(offline, monkeypatch):
    monkeypatch.setattr(rivals, "is_online", lambda: True)
    with pytest.raises(WeightsMissing, match="no/such cannot be fetched: We couldn't connect"):
        rivals.load_rival("no/such")
    assert offline == [True, False]


def test_what_is_on_this_machine_needs_no_network(tmp_path, monkeypatch, pictures):
    made = {}
    for kind in KINDS:
        model, made[kind] = tiny_rival(kind), tmp_path / kind
        for part in (model.model, model.tokenizer, model.image_processor):
            part.save_pretrained(made[kind])
    monkeypatch.setattr(rivals, "is_online", lambda: pytest.fail("asked for a network"))
    for kind, folder in made.items():
        model = rivals.load_rival(str(folder))
        assert type(model) is type(tiny_rival(kind))
        assert np.allclose(model.similarity(TEXTS, pictures),
                           tiny_rival(kind).similarity(TEXTS, pictures), atol=1e-5)


def test_a_model_of_another_kind_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="of the kind 'bert'"):
        rivals.load_rival(str(tmp_path))


def test_is_online_obeys_the_environment(monkeypatch):
    monkeypatch.setattr(rivals, "getproxies", dict)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not rivals.is_online()
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")         # nobody listens there
    assert not rivals.is_online()
    monkeypatch.setattr(rivals, "getproxies", lambda: {"https": "http://proxy"})
    assert rivals.is_online()


def small_vit(name, weights):
    torch.manual_seed(0)
    return torchvision.models.VisionTransformer(224, 32, 1, 2, 16, 32, num_classes=1000)


def test_a_vision_transformer_is_a_backbone_like_the_others(monkeypatch, pictures):
    monkeypatch.setattr(torchvision.models, "get_model", small_vit)
    backbone = rivals.load_vit("vit_b_32")
    features = extract_features(pictures, backbone)
    assert features.shape == (5, 16) == (5, backbone.dim)
    with torch.inference_mode():
        pixels = backbone.preprocess(torch.from_numpy(pictures).permute(0, 3, 1, 2))
        whole = small_vit("", None).eval()
        whole.heads = torch.nn.Sequential(backbone.head)
        expected = whole(pixels).softmax(dim=1).numpy()
    assert pixels.shape == (5, 3, 224, 224)
    assert np.allclose(class_probabilities(features, backbone), expected, atol=1e-5)


def test_a_vision_transformer_that_cannot_be_had_says_so_in_one_line(monkeypatch, capsys):
    def refuse(name, weights):
        print("Downloading to /somewhere")
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(torchvision.models, "get_model", refuse)
    with pytest.raises(WeightsMissing) as error:
        rivals.load_vit("vit_b_16")
    assert str(error.value) == "No network to fetch vit_b_16; run this again online."
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="vit_b_16, vit_b_32, vit_l_16"):
        rivals.load_vit("vit_b_8")


# The script that adds a row

class Knows:
    """A rival that knows each concept's picture, if it is asked by name and keywords."""

    def __init__(self):
        self.model = torch.nn.Linear(2, 2)
        self.model.config = None

    def similarity(self, texts, images):
        told = [":" in text for text in texts]
        return np.eye(len(texts)) * np.array(told)[:, None] + 1e-3 * np.arange(len(texts))


def test_a_row_keeps_hits_form_and_versions():
    row = study.make_row(Knows(), "a/b", [0], most=30)
    split, = row["splits"]
    assert split["form"] == "name and keywords" and split["validation"]["name"] < 0.2
    assert split["t2i"] == "1" * 30
    dealt = np.mean([hit == "1" for hit in split["t2i.random"]])
    assert dealt <= chance_hit_at_k(30, 10)
    assert {"date", "torch", "transformers", "python", "revision"} < set(row)


def test_a_new_row_replaces_the_model_s_old_one_alone():
    content = {"rows": [{"model": "b", "date": 1}, {"model": "a", "date": 1}]}
    rows = study.with_row(content, {"model": "b", "date": 2})["rows"]
    assert rows == [{"model": "a", "date": 1}, {"model": "b", "date": 2}]


def test_the_script_says_in_one_line_that_weights_are_missing(offline, capsys):
    before = study.OUTPUT.read_bytes()
    assert study.main(["--model", "openai/clip-vit-base-patch32"]) == 1
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 1
    assert "openai/clip-vit-base-patch32" in told.err
    assert study.OUTPUT.read_bytes() == before


@pytest.mark.parametrize("kind", ["clip", "vilt"])
def test_the_script_can_be_tried_without_weights(kind, capsys):
    before = study.OUTPUT.read_bytes()
    assert study.main(["--tiny", kind]) == 0
    assert capsys.readouterr().out.startswith("salt 0: hit@10")
    assert study.OUTPUT.read_bytes() == before


def test_recorded_rows_are_whole():
    rows = json.loads(study.OUTPUT.read_text("utf8"))["rows"]
    assert [row["model"] for row in rows] == sorted({row["model"] for row in rows})
    for row in rows:
        assert {"date", "torch", "transformers", "revision", "splits"} <= set(row)
        for split in row["splits"]:
            assert {len(split[name]) for name in ("t2i", "i2t", "t2i.random")} == {200}
