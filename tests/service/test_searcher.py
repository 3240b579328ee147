"""The bare search: words add up, several at once are as one by one, and a folder of one's own."""

import io
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from serving import COLORS, THINGS, picture_bytes, tiny_artefact

from mmfuse_utils import ladder, text, vision
from mmfuse_utils.data import load_emoji
from mmfuse_utils.data.pictures import load_images, on_white
from mmfuse_utils.fusion import ConSE
from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.service import own
from mmfuse_utils.service.artefact import load_artefact, save_artefact
from mmfuse_utils.service.build import RARE, word_table
from mmfuse_utils.service.eye import Eye
from mmfuse_utils.service.kept import emoji_artefact, own_artefact
from mmfuse_utils.service.lexicon import Lexicon
from mmfuse_utils.service.received import PictureError, media_type, open_picture
from mmfuse_utils.service.searcher import Searcher, place_pictures
from mmfuse_utils.service.store import ExactStore
from mmfuse_utils.word2vec import load_wide_vectors


@pytest.fixture(scope="module")
def tiny():
    return Searcher(tiny_artefact())


@pytest.fixture(scope="module")
def emoji():
    return Searcher(emoji_artefact())


def test_a_phrase_finds_what_it_names(tiny):
    for color in COLORS:
        for thing in THINGS:
            answer = tiny.by_phrase(f"A {color.upper()}, {thing}!", 3)
            best = answer.hits[0]
            assert (best.rank, best.id, best.title) == (1, f"{color}-{thing}", f"{color} {thing}")
            assert answer.query == {"kind": "phrase", "known": ("a", color, thing), "unknown": ()}
            scores = [hit.score for hit in answer.hits]
            assert scores == sorted(scores, reverse=True) and scores[0] <= 1


def test_unknown_words_are_named_and_have_no_part(tiny):
    plain, odd = tiny.by_phrase("red apple"), tiny.by_phrase("xyzzy red xyzzy apple qqq")
    assert odd.query["unknown"] == ("xyzzy", "qqq") and odd.hits == plain.hits
    for phrase in ("xyzzy", "?!", "7", "红苹果"):
        assert tiny.by_phrase(phrase).hits == ()
    assert tiny.by_phrase("xyzzy").query == {"kind": "phrase", "known": (), "unknown": ("xyzzy",)}


def test_a_score_is_the_sum_of_what_its_words_add(tiny):
    """The parts are made here by hand, word by word."""
    artefact, mean = tiny.artefact, tiny.artefact.text_mean
    said = ["red", "red", "apple", "the"]
    words = np.array([artefact.word_rows[artefact.words.index(word)] for word in said], float)
    length = np.linalg.norm(words.sum(axis=0))
    rest = np.linalg.norm(words.sum(axis=0) / length - mean)
    for hit in tiny.by_phrase(" ".join(said), 20).hits:
        item = artefact.vectors[artefact.rows[hit.id]].astype(float)
        parts = Counter()
        for word, row in zip(said, words, strict=True):
            parts[word] += row @ item / length / rest
        assert hit.score == pytest.approx(sum(parts.values()) - mean @ item / rest, abs=1e-4)
        gains = {word: part for word, part in parts.items() if part > 0}
        if hit.word is None:
            assert not gains
        else:
            assert hit.word["text"] == max(gains, key=gains.get)
            assert hit.word["share"] == pytest.approx(
                max(gains.values()) / sum(gains.values()), abs=2e-3)


def test_all_parts_together_are_the_cosine(emoji):
    phrases = ["a boat on the water", "happy happy face", "zzzz", "dog"]
    measured = emoji.lexicon.measure([emoji.lexicon.read(phrase) for phrase in phrases])
    items = np.broadcast_to(emoji.artefact.vectors[:50], (4, 50, 300))
    words, mean = measured.parts(items)
    cosines = measured.vectors @ emoji.artefact.vectors[:50].T
    np.testing.assert_allclose((words.sum(axis=2) + mean)[[0, 1, 3]], cosines[[0, 1, 3]], atol=1e-5)
    assert not cosines[2].any()


def test_several_phrases_at_once_are_answered_as_one_by_one(tiny):
    asked = [("red apple", 3, None), ("xyzzy", 5, None), ("the house", 20, "things"),
             ("apple apple blue of a the green", 100, "food"), ("car", 1, None),
             ("car", 7, "nowhere")]
    together = tiny.by_phrases(asked)
    for query, answer in zip(asked, together, strict=True):
        alone = tiny.by_phrase(*query)
        assert answer.query == alone.query
        assert [hit.id for hit in answer.hits] == [hit.id for hit in alone.hits]
        np.testing.assert_allclose([hit.score for hit in answer.hits],
                                   [hit.score for hit in alone.hits], atol=2e-4)
    assert [len(answer.hits) for answer in together] == [3, 0, 15, 5, 1, 0]
    assert {hit.group for hit in together[3].hits} == {"food"}
    assert tiny.by_phrases([]) == []


def test_pictures_at_once_are_answered_as_one_by_one(tiny):
    shown = [open_picture(picture_bytes(color, size), 10**6)
             for color, size in (("red", (64, 64)), ("blue", (90, 20)), ("white", (1, 1)))]
    together = tiny.by_pictures([(picture, k, None) for k, picture in enumerate(shown, 1)])
    for k, (picture, answer) in enumerate(zip(shown, together, strict=True), 1):
        alone = tiny.by_picture(picture, k)
        assert [hit.id for hit in answer.hits] == [hit.id for hit in alone.hits]
        assert len(answer.hits) == k
    assert together[1].query == {"kind": "picture", "width": 90, "height": 20}
    hit = tiny.by_picture(shown[0], 1).hits[0]
    own_words = {"the", "gyōza", *hit.title.split()}
    assert hit.word["text"] in own_words and -1 <= hit.word["cosine"] <= 1


def test_the_word_of_a_picture_is_the_nearest_of_the_hits_own(tiny):
    picture = open_picture(picture_bytes(), 10**6)
    query = tiny.embed_pictures([picture])[0]
    for hit in tiny.by_picture(picture, 20).hits:
        words = text.tokenize(f"{hit.title} the gyōza")
        cosines = dict(zip(words, tiny.lexicon.embed(words) @ query, strict=True))
        assert hit.word["text"] == max(cosines, key=cosines.get)
        assert hit.word["cosine"] == pytest.approx(max(cosines.values()), abs=1e-3)


def test_any_store_serves(tiny):
    artefact = tiny.artefact
    with ExactStore(16) as store:
        store.add([item["id"] for item in artefact.items][:3], artefact.vectors[:3], ["food"] * 3)
        assert len(Searcher(artefact, store).by_phrase("red apple", 10).hits) == 3


def test_the_mean_weighted_vector_is_that_of_the_package():
    """Oracle: `text.sentence_vectors` with the weights of the chapter on your own pictures."""
    vectors, table = load_wide_vectors(), word_table()
    counts = np.array([vectors.get_vecattr(word, "count") for word in vectors.index_to_key])
    weights = dict(zip(vectors.index_to_key, RARE / (RARE + counts / counts.sum()), strict=True))
    phrases = ["two dogs on a beach", "the the of", "zzzz", "Gyōza, boat; boat"]
    expected = text.sentence_vectors([text.tokenize(p) for p in phrases], vectors, weights)
    np.testing.assert_allclose(table.embed_plain(phrases), expected, atol=2e-3)
    mean = expected[0] / 3
    centered = Lexicon(table.words, table.rows, mean).embed(phrases[:2])
    np.testing.assert_allclose(centered, unit_rows(expected[:2] - mean), atol=3e-3)


def test_pictures_are_placed_as_the_estimators_have_it():
    artefact, rng = tiny_artefact(), np.random.default_rng(0)
    features, classes = rng.normal(size=(5, 1280)), rng.dirichlet(np.full(1000, 0.01), 5) + 1e-9
    conse = ConSE(1000, 4.0, center=True).fit(artefact.class_names, artefact.vectors, classes)
    conse.image_mean_ = artefact.names_mean
    named, mapped = conse.embed_image(classes), unit_rows(np.float32(features) @ artefact.coef)
    np.testing.assert_allclose(place_pictures(artefact, features, classes),
                               unit_rows((named + mapped) / 2), atol=1e-5)


def test_the_index_of_the_emoji_is_what_a_query_by_picture_sees(emoji):
    collection = load_emoji()
    rows = np.flatnonzero(np.isin(collection.pictures.concept_row, [3, 400]))
    drawn = emoji.embed_pictures(collection.load_pictures(rows))
    for concept in (3, 400):
        mean = drawn[collection.pictures.concept_row[rows] == concept].mean(axis=0)
        np.testing.assert_allclose(mean / np.linalg.norm(mean), emoji.artefact.vectors[concept],
                                   atol=2e-3)
    small = Image.open(io.BytesIO(emoji.artefact.picture(collection.ids[400])))
    hit = emoji.by_picture(on_white(small.convert("RGBA")), 1).hits[0]
    assert hit.id == collection.ids[400] and hit.score > 0.7


def test_three_networks_speak_as_in_the_ladder(monkeypatch):
    """Oracle: `ladder.three_networks`, here on a collection of two pictures."""
    collection = load_emoji()
    paths = [collection.pictures.path[row] for row in (0, 3000)]
    images, eye = load_images(paths), Eye({"networks": ladder.NETWORKS, "size": 128})
    monkeypatch.setattr(vision, "picture_features",
                        lambda few, backbone: vision.extract_features(images, backbone))
    features, classes = ladder.three_networks(collection)
    seen = eye.look(list(images))
    np.testing.assert_allclose(seen[0], features, atol=1e-4)
    np.testing.assert_allclose(seen[1], classes, atol=1e-5)


def test_most_emoji_are_found_by_their_names(emoji):
    """The map has learned from these names, so this is no measure, only a sign of life."""
    answers = emoji.by_phrases([(item["title"], 10, None) for item in emoji.artefact.items])
    found = [item["id"] in {hit.id for hit in answer.hits}
             for item, answer in zip(emoji.artefact.items, answers, strict=True)]
    assert np.mean(found) > 0.6


# A folder of one's own

@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Thirty drawings, some in a subfolder, with a caption each."""
    collection, root = load_emoji(), tmp_path_factory.mktemp("secret-place")
    (root / "zoo").mkdir()
    lines = ["image,caption"]
    for number, concept in enumerate(range(0, 900, 30)):
        row = int(np.flatnonzero(collection.pictures.concept_row == concept)[0])
        name = f"{'zoo/' * (number % 2)}p{number}.png"
        (root / name).write_bytes(open(collection.pictures.path[row], "rb").read())
        lines.append(f"{name},a drawing of {collection.names['en'][concept][0].replace(',', '')}")
    (root / "captions.csv").write_text("\n".join(lines), "utf8")
    return root


def test_a_folder_with_captions(folder, tmp_path):
    artefact = own_artefact(folder)
    facts = artefact.facts
    assert facts["counts"]["captions"] == 30 and facts["groups"] == ["zoo"]
    assert facts["settings"]["names_weight"] in own.WEIGHTS
    assert {item["group"] for item in artefact.items} == {"", "zoo"}
    assert all(item["title"].startswith("a drawing of") for item in artefact.items)
    found = Searcher(artefact).by_phrase(artefact.items[0]["title"], 10)
    assert len(found.hits) == 10
    again = load_artefact(save_artefact(artefact, tmp_path / "moved"))
    everything = json.dumps([again.facts, again.items]) + (tmp_path / "moved/CARD.md").read_text()
    assert "secret-place" not in everything and str(folder) not in everything


def test_a_folder_without_captions_learns_nothing(folder, tmp_path):
    few = [folder / f"p{number}.png" for number in (0, 2, 4)]
    for path in few:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    artefact = own_artefact(tmp_path)
    assert artefact.facts["settings"]["names_weight"] == 1 and artefact.facts["method"] == own.NAMED
    assert [item["title"] for item in artefact.items] == ["p0", "p2", "p4"]
    searcher = Searcher(artefact)
    assert len(searcher.by_phrase("a smiling face").hits) == 3
    shown = load_images([str(few[1])], 224)[0]
    assert searcher.by_picture(shown, 1).hits[0].title == "p2"


def test_a_folder_is_built_again_only_where_it_has_changed(folder, monkeypatch):
    own_artefact(folder)

    def fail(*parts):
        raise AssertionError("built again")

    monkeypatch.setattr(own, "build_own", fail)
    own_artefact(folder)
    captions = (folder / "captions.csv").read_text("utf8")
    (folder / "captions.csv").write_text(captions + "\np0.png,another", "utf8")
    with pytest.raises(AssertionError, match="built again"):
        own_artefact(folder)
    (folder / "captions.csv").write_text(captions, "utf8")


def test_all_faults_of_a_folder_are_named_at_once(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "odd.jpg").write_bytes(b"no picture")
    (tmp_path / "captions.csv").write_text("image,caption\ngone.png,a thing\n", "utf8")
    with pytest.raises(ValueError) as caught:
        own_artefact(tmp_path)
    for name in ("empty.png", "odd.jpg", "gone.png"):
        assert name in str(caught.value)


def test_one_picture_is_a_folder_too(tmp_path):
    (tmp_path / "one.png").write_bytes(picture_bytes())
    assert Searcher(own_artefact(tmp_path)).by_phrase("red").hits[0].title == "one"


def test_the_names_alone_are_kept_where_captions_teach_nothing(folder):
    """With captions that belong to other pictures, no map does better in what is held back."""
    from mmfuse_utils.data import load_folder

    collection = load_folder(folder)
    rng, n = np.random.default_rng(0), len(collection)
    labels = unit_rows(rng.normal(size=(1000, 20)))
    truth = unit_rows(rng.normal(size=(n, 20)))
    said = collection.caption_table()
    classes = np.exp(20 * truth @ labels.T)
    classes /= classes.sum(axis=1, keepdims=True)
    noise = rng.normal(size=(n, 1280))
    weight, _ = own.choose(collection, said, truth, noise, classes, labels)
    assert weight == 1
    learnable = truth @ rng.normal(size=(20, 1280))
    weight, _ = own.choose(collection, said, truth, learnable, np.full((n, 1000), 0.001)
                           + 1e-6 * rng.random((n, 1000)), labels)
    assert weight < 1


# Pictures that come in

def test_pictures_are_opened_as_the_package_opens_them(tmp_path):
    """Rotation marks, transparency, palettes, gray, CMYK, animations: as `load_images` does."""
    rng = np.random.default_rng(0)
    base = Image.fromarray(rng.integers(0, 256, (24, 36, 4), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6        # lies on its side
    saved = {"a.png": (base, {}), "b.jpg": (base.convert("RGB"), {"exif": exif}),
             "c.gif": (base.convert("P"), {}), "d.jpg": (base.convert("CMYK"), {}),
             "e.tiff": (Image.fromarray(rng.integers(0, 65536, (24, 36), np.uint16)), {}),
             "f.webp": (base, {"save_all": True, "append_images": [base.rotate(90)]}),
             "g.bmp": (base.convert("L"), {}), "h.gif": (base.convert("P"), {
                 "save_all": True, "append_images": [base.rotate(180).convert("P")]})}
    for name, (picture, options) in saved.items():
        picture.save(tmp_path / name, **options)
        opened = open_picture((tmp_path / name).read_bytes(), 10**6)
        assert opened.shape == ((36, 24, 3) if name == "b.jpg" else (24, 36, 3)), name
        fitted = Eye({"networks": [], "size": 16}).fit(opened)
        np.testing.assert_array_equal(fitted, load_images([tmp_path / name], 16)[0], name)


@pytest.mark.parametrize(("data", "status"), [
    (b"", 415), (b"%PDF-1.7 hello", 415), (b"<svg/>", 415), (b"GIF89a", 422),
    (b"\x89PNG\r\n\x1a\n", 422), (picture_bytes()[:60], 422), (b"RIFF1234WEBPVP8 ", 422),
    (picture_bytes(size=(400, 300), kind="JPEG")[:700], 422), (b"BM" + bytes(40), 422),
    (b"II*\0" + bytes(20), 422), (picture_bytes(size=(501, 400), kind="GIF"), 413)])
def test_what_is_no_picture_is_refused(data, status):
    with pytest.raises(PictureError) as caught:
        open_picture(data, 200_000)
    assert caught.value.status == status
    assert "/" not in str(caught.value) and "PIL" not in str(caught.value)


def test_types_are_told_by_bytes():
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        assert media_type(picture_bytes(kind=kind)) == f"image/{kind.lower()}"
