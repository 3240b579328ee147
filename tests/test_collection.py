"""Splits that do not leak, galleries that do not move, near-duplicates found by brute force."""

import dataclasses
import functools
import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmfuse_utils.data import Collection, PictureTable, load_emoji
from mmfuse_utils.data.collection import (
    N_TEST,
    N_VALIDATION,
    STOP_WORDS,
    near_duplicates,
    split_concepts,
)
from mmfuse_utils.data.pictures import load_images

SALTS = (0, 1, 7)


@pytest.fixture(scope="module")
def emoji():
    return load_emoji()


def make(names: list[str], keywords: list[tuple[str, ...]] | None = None) -> Collection:
    """A collection of texts alone, one group, no pictures."""
    n = len(names)
    return Collection(tuple(f"id{i}" for i in range(n)), {"en": tuple((name,) for name in names)},
                      {"en": tuple(keywords or [()] * n)}, ("g",) * n, ("s",) * n,
                      PictureTable(np.arange(0), np.arange(0), ()))


ODD_TEXTS = {"a text": ("cat", "dog"), "a list that is missing": (("cat",), None),
             "a text that is missing": (("cat",), (None,)), "bytes": (("cat",), (b"dog",)),
             "not a number": (("cat",), (float("nan"),))}


@pytest.mark.parametrize("texts", ODD_TEXTS.values(), ids=ODD_TEXTS)
@pytest.mark.parametrize("field", ["names", "keywords"])
def test_texts_that_are_none_are_refused(field, texts):
    given = {"names": {"en": ((), ())}, "keywords": {"en": ((), ())}} | {field: {"de": texts}}
    with pytest.raises(TypeError, match=rf"{field}\['de'\]\[[01]\] should be a tuple of texts"):
        Collection(("1", "2"), groups=("g",) * 2, subgroups=("s",) * 2,
                   pictures=PictureTable(np.arange(0), np.arange(0), ()), **given)


@pytest.mark.parametrize("field", ["names", "keywords", "groups", "subgroups"])
def test_every_concept_has_its_entry(field):
    good = make(["cat", "dog"])
    short = {"en": (("cat",),)} if field in ("names", "keywords") else ("g",)
    with pytest.raises(ValueError, match=f"{field}.* each of the 2 concepts"):
        dataclasses.replace(good, **{field: short})


@functools.cache
def words(text: str) -> frozenset[str]:
    return frozenset(w for w in re.split(r"[^\w]+", text.lower()) if w and w not in STOP_WORDS)


def is_near(collection: Collection, a: int, b: int) -> bool:
    """The definition, on plain sets and whole numbers: Jaccard 2/5 is 5 shared >= 2 union."""
    name_a, name_b = (words(" ".join(collection.names["en"][i])) for i in (a, b))
    all_a, all_b = (words(" ".join(collection.names["en"][i] + collection.keywords["en"][i]))
                    for i in (a, b))
    union = len(all_a | all_b)
    return bool(name_a & name_b) or (union > 0 and 5 * len(all_a & all_b) >= 2 * union) or a == b


@pytest.fixture(scope="module")
def near_by_brute_force(emoji):
    table = np.eye(len(emoji), dtype=bool)
    for a, b in itertools.combinations(range(len(emoji)), 2):
        table[a, b] = table[b, a] = is_near(emoji, a, b)
    return table


def test_near_duplicates_agree_with_brute_force(emoji, near_by_brute_force):
    near = near_duplicates(emoji)
    np.testing.assert_array_equal(near, near_by_brute_force)
    np.testing.assert_array_equal(near, near.T)
    assert near.diagonal().all() and near.dtype == bool


WORDS = st.lists(st.sampled_from("cat dog red the big face tree".split()), max_size=4)


@settings(deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6))
def test_near_duplicates_on_any_texts(texts):
    collection = make([" ".join(name) for name, _ in texts], [tuple(w) for _, w in texts])
    expected = [[is_near(collection, a, b) for b in range(len(texts))] for a in range(len(texts))]
    np.testing.assert_array_equal(near_duplicates(collection), expected)


@pytest.mark.parametrize(("a", "b", "expected"), [
    (("tiger", ()), ("tiger face", ()), True),              # a shared content word
    (("sad face", ()), ("happy face", ()), False),          # a shared stop word
    (("one", ("a1", "b1", "c1")), ("two", ("a1", "b1", "c1")), True),        # 3 of 5
    (("one", ("a1", "b1", "c1")), ("two", ("a1", "b1", "d1")), False),       # 2 of 6
    (("one", ("a1", "b1", "c1", "e1")), ("two", ("a1", "b1", "two")), False),  # 2 of 6
    (("one", ("a1", "b1", "c1")), ("two", ("a1", "b1")), True),              # 2 of 5, the limit
    (("the", ()), ("of", ()), False),                       # nothing left to compare
])
def test_near_by_hand(a, b, expected):
    near = near_duplicates(make([a[0], b[0]], [a[1], b[1]]))
    assert near[0, 1] == near[1, 0] == expected


@pytest.mark.parametrize("salt", SALTS)
def test_the_strict_split_drops_just_the_near_duplicates(emoji, near_by_brute_force, salt):
    near = near_by_brute_force
    strict, plain = emoji.split(salt), emoji.split(salt, strict=False)
    held_out = {*plain.test.tolist(), *plain.validation.tolist()}
    for part, others in ((strict.train, held_out), (strict.validation, plain.test.tolist())):
        assert not any(near[a, b] for a in part for b in others)
    assert strict.train.tolist() == [a for a in plain.train
                                     if not any(near[a, b] for b in held_out)]
    assert strict.validation.tolist() == [a for a in plain.validation
                                          if not any(near[a, b] for b in plain.test)]


@pytest.mark.parametrize("salt", SALTS)
def test_plain_and_strict_share_the_test_concepts(emoji, salt):
    strict, plain = emoji.split(salt), emoji.split(salt, strict=False)
    assert strict.test.tolist() == plain.test.tolist()
    assert set(strict.train) < set(plain.train)
    parts = [part.tolist() for part in (plain.train, plain.validation, plain.test)]
    assert sorted(sum(parts, [])) == list(range(len(emoji)))
    assert (len(plain.validation), len(plain.test)) == (100, 200) == (N_VALIDATION, N_TEST)
    assert len(strict.train) > 300 and len(strict.validation) > 50


@pytest.mark.parametrize("salt", range(5))
def test_the_strict_split_under_any_nearness(salt):
    ids = [f"id{i}" for i in range(400)]
    near = np.random.default_rng(salt).random((400, 400)) < 0.003
    near |= near.T
    plain, strict = (split_concepts(ids, near, salt, strict) for strict in (False, True))
    held_out = [*plain.test, *plain.validation]
    assert strict.test.tolist() == plain.test.tolist()
    assert strict.validation.tolist() == [a for a in plain.validation
                                          if not any(near[a, b] for b in plain.test)]
    assert strict.train.tolist() == [a for a in plain.train
                                     if not any(near[a, b] for b in held_out)]


def test_another_salt_is_another_split(emoji):
    overlap = len(set(emoji.split(0).test) & set(emoji.split(1).test))
    assert 10 < overlap < 100  # 42 are expected by chance


@settings(deadline=None, max_examples=25)
@given(st.integers(301, 330), st.integers(0, 99), st.text(min_size=1), st.data())
def test_adding_a_concept_changes_the_test_set_by_at_most_one(n, salt, new, data):
    ids = [f"id{i}" for i in range(n)]
    place = data.draw(st.integers(0, n))
    more = [*ids[:place], new, *ids[place:]]
    for strict in (False, True):
        before, after = (
            {names[i] for i in split_concepts(names, np.eye(len(names), dtype=bool), salt,
                                              strict).test} for names in (ids, more))
        assert len(before - after) == len(after - before) <= 1
        assert after - before <= {new}


def test_a_split_does_not_depend_on_the_order_of_concepts(emoji):
    ids, order = emoji.ids[:400], np.random.default_rng(0).permutation(400)
    shuffled = [ids[i] for i in order]
    near = near_duplicates(emoji)[:400, :400]
    one = split_concepts(ids, near, 3, True)
    other = split_concepts(shuffled, near[np.ix_(order, order)], 3, True)
    for part in ("train", "validation", "test"):
        assert [ids[i] for i in getattr(one, part)] == [shuffled[i] for i in getattr(other, part)]


def test_a_split_needs_concepts_to_train_on():
    names = [f"w{i}" for i in range(300)]
    with pytest.raises(ValueError, match="more than 300 concepts.*there are 300"):
        make(names).split()
    assert len(make([*names, "w300"]).split().train) == 1


def test_a_gallery_shows_each_concept_once_in_all_styles(emoji):
    concepts = emoji.split().test
    rows = emoji.gallery(concepts)
    np.testing.assert_array_equal(emoji.pictures.concept_row[rows], concepts)
    assert set(emoji.pictures.style[rows]) == set(emoji.pictures.style)
    share = np.unique(emoji.pictures.style[rows], return_counts=True)[1] / len(rows)
    assert share.max() < 0.3  # of seven styles; no style dominates
    assert (emoji.gallery(concepts, salt=1) != rows).mean() > 0.5


def test_a_gallery_does_not_depend_on_the_other_concepts(emoji):
    concepts = emoji.split().test[:40]
    rows = emoji.gallery(concepts)
    assert [emoji.gallery([concept])[0] for concept in concepts] == rows.tolist()
    order = np.random.default_rng(0).permutation(len(emoji.pictures))
    pictures = emoji.pictures
    shuffled = dataclasses.replace(emoji, pictures=PictureTable(
        pictures.concept_row[order], pictures.style[order],
        tuple(pictures.path[i] for i in order)))
    assert ([shuffled.pictures.path[row] for row in shuffled.gallery(concepts)]
            == [pictures.path[row] for row in rows])
    keep = np.isin(pictures.concept_row, concepts)
    few = make(["any"] * len(concepts))
    fewer = dataclasses.replace(
        few, ids=tuple(emoji.ids[c] for c in sorted(concepts)), pictures=PictureTable(
            np.searchsorted(np.sort(concepts), pictures.concept_row[keep]), pictures.style[keep],
            tuple(path for path, k in zip(pictures.path, keep, strict=True) if k)))
    found = fewer.gallery(np.searchsorted(np.sort(concepts), concepts))
    assert [fewer.pictures.path[row] for row in found] == [pictures.path[row] for row in rows]


def test_pictures_are_laid_on_white(tmp_path):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = 255, 0, 0, 255   # opaque red
    pixels[0, 1] = 0, 0, 0, 128     # half black
    Image.fromarray(pixels).save(tmp_path / "a.png")
    collection = dataclasses.replace(make(["one"]), pictures=PictureTable(
        np.array([0]), np.array(["x"]), (str(tmp_path / "a.png"),)))
    shown = collection.load_pictures([0, 0], size=2)
    assert shown.shape == (2, 2, 2, 3) and shown.dtype == np.uint8
    assert shown[1, 0, 0].tolist() == [255, 0, 0]
    assert shown[1, 0, 1].tolist() == [127, 127, 127]
    assert (shown[1, 1] == 255).all()


def test_pictures_of_any_size_are_read_upright(tmp_path):
    """One way of reading for all: what `load_images` gives, rotation marks obeyed."""
    exif, lying = Image.Exif(), Image.linear_gradient("L").resize((60, 40))
    exif[0x0112] = 6
    lying.save(tmp_path / "lying.png", exif=exif)
    lying.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "upright.png")
    Image.new("RGB", (300, 200), "red").save(tmp_path / "large.png")
    paths = tuple(str(tmp_path / name) for name in ("lying.png", "upright.png", "large.png"))
    collection = dataclasses.replace(make(["one"]), pictures=PictureTable(
        np.zeros(3, int), np.array(["x"] * 3), paths))
    shown = collection.load_pictures(range(3))
    np.testing.assert_array_equal(shown, load_images(paths))
    np.testing.assert_array_equal(shown[0], shown[1])
    for rows in ([2], [1, 2], []):      # a picture does not depend on those beside it
        np.testing.assert_array_equal(collection.load_pictures(rows), shown[rows])


@pytest.mark.parametrize("damage", ["missing", "not a picture", "cut short"])
def test_a_picture_that_cannot_be_read_is_named(tmp_path, emoji, damage):
    path = tmp_path / "broken.png"
    with open(emoji.pictures.path[0], "rb") as file:
        whole = file.read()
    if damage != "missing":
        path.write_bytes(b"text" if damage == "not a picture" else whole[:len(whole) // 2])
    collection = dataclasses.replace(emoji, pictures=PictureTable(
        np.array([0]), np.array(["x"]), (str(path),)))
    with pytest.raises(ValueError, match="2 of 2 pictures.*\n.*broken.png") as caught:
        collection.load_pictures([0, 0])
    assert "elete" not in str(caught.value)     # the folder may hold the reader's photographs


def test_collections_cannot_be_changed(emoji):
    with pytest.raises(dataclasses.FrozenInstanceError):
        emoji.ids = ()


def test_a_gallery_of_some_styles_shows_those_alone(emoji):
    table, concepts = emoji.pictures, emoji.split(0).test
    drawn = concepts[np.isin(concepts, table.concept_row[table.style == "emojione"])]
    rows = emoji.gallery(drawn, 3, ["emojione"])
    np.testing.assert_array_equal(table.concept_row[rows], drawn)
    assert set(table.style[rows]) == {"emojione"} and len(drawn) < len(concepts)
    whole = emoji.gallery(concepts, 3)
    inside = np.isin(table.style[whole], ["noto", "twemoji"])
    two = emoji.gallery(concepts[inside], 3, ["noto", "twemoji"])
    np.testing.assert_array_equal(two, whole[inside])      # the same draw where it was allowed


def test_a_gallery_names_the_concept_that_a_style_lacks(emoji):
    table = emoji.pictures
    missing = np.setdiff1d(np.arange(len(emoji)), table.concept_row[table.style == "emojione"])[0]
    with pytest.raises(ValueError, match=f"{emoji.ids[missing]} has no picture in the styles"):
        emoji.gallery([missing], 0, ["emojione"])


def test_names_in_hindi_are_not_near_for_a_shared_letter():
    collection = make(["बिल्ली कुत्ता", "कमल", "किताब", "बिल्ली"])
    expected = np.eye(4, dtype=bool)
    expected[0, 3] = expected[3, 0] = True
    np.testing.assert_array_equal(near_duplicates(collection), expected)


def test_a_strict_split_that_leaves_nothing_is_refused():
    alike = make(["cat"] * (N_TEST + N_VALIDATION + 50))
    assert len(alike.split(strict=False).train) == 50
    with pytest.raises(ValueError, match="leaves 0 concepts for training and 0 for validation"):
        alike.split()


def test_pictures_of_one_style_are_drawn_whatever_their_order():
    def gallery(paths, salt):
        table = PictureTable([0] * 5, ["photo"] * 5, tuple(paths))
        collection = dataclasses.replace(make(["cat"]), pictures=table)
        return paths[collection.gallery([0], salt)[0]]

    paths = [f"{name}.jpg" for name in "abcde"]
    drawn = [gallery(paths, salt) for salt in range(20)]
    assert drawn == [gallery(paths[::-1], salt) for salt in range(20)] and len(set(drawn)) > 2
    assert make(["cat"]).gallery([]).dtype.kind == "i"


@pytest.mark.parametrize(("rows", "styles", "paths"), [
    ([0], ["x", "y"], ("a",)), ([0, 0], ["x", "y"], "ab"), ([0], ["x"], ("a", "b"))])
def test_a_picture_table_has_three_entries_a_picture(rows, styles, paths):
    with pytest.raises(ValueError, match="a concept, a style and a path for each picture"):
        PictureTable(rows, styles, paths)


def test_concepts_that_are_not_there_are_said():
    for row in (-1, 1):
        with pytest.raises(ValueError, match="a number from 0 to 0"):
            dataclasses.replace(make(["cat"]), pictures=PictureTable([row], ["x"], ("a",)))
        with pytest.raises(ValueError, match=f"There is no concept {row}, only 0 to 0"):
            make(["cat"]).gallery([row])
