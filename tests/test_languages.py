"""Asking in other languages: methods against slow versions, nothing held out is read, records."""

import base64
import html
import json
import unicodedata
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import languages as study
import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import orthogonal_procrustes
from sklearn.feature_extraction.text import TfidfVectorizer

from mmfuse_utils.data.emoji import LANGUAGES
from mmfuse_utils.retrieval import unit_rows

RECORD = json.loads(study.OUTPUT.read_text("utf8"))
PIECES = RECORD["pieces"]
NOTEBOOK = Path(study.__file__).parents[1] / "notebooks" / "18_languages.ipynb"
TEXTS = "ab b c", "b b d", "a c c c", "d e", "a", "e f g"
TRAIN = np.array([0, 1, 2, 4])


def unpack(packed):
    return np.unpackbits(np.frombuffer(base64.b64decode(packed), np.uint8))[:200]


@pytest.mark.parametrize("sublinear", [False, True])
def test_tfidf_is_that_of_scikit_learn(sublinear):
    table = sparse.csr_array(study.CountVectorizer(**study.WORDS).fit_transform(TEXTS))
    expected = TfidfVectorizer(**study.WORDS, sublinear_tf=sublinear).fit(
        [TEXTS[row] for row in TRAIN]).transform(TEXTS)
    found = study.tfidf(table, TRAIN, sublinear)
    np.testing.assert_allclose((found @ found.T).toarray(), (expected @ expected.T).toarray(),
                               atol=1e-6)


@pytest.mark.parametrize("as_sparse", [False, True])
def test_a_block_holds_the_products_of_centered_rows(as_sparse):
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(size=(2, 6, 3)) + 1
    given = [sparse.csr_array(each) if as_sparse else each for each in (rows, targets)]
    block = study.make_block(TRAIN, *given)
    queries, goals = rows - rows[TRAIN].mean(axis=0), targets[TRAIN] - targets[TRAIN].mean(axis=0)
    scale = (queries[TRAIN]**2).sum(axis=1).mean(), (goals**2).sum(axis=1).mean()
    np.testing.assert_allclose(block.cross, queries @ goals.T / np.sqrt(np.prod(scale)))
    np.testing.assert_allclose(block.gram, goals @ goals.T / scale[1])
    np.testing.assert_allclose(block.length, (queries**2).sum(axis=1) / scale[0])


def test_blocks_add_up_as_vectors_side_by_side():
    one, two = np.random.default_rng(1).normal(size=(2, 6, 3))
    scaled = [rows / np.sqrt(((rows - rows[TRAIN].mean(axis=0))[TRAIN]**2).sum(axis=1).mean())
              for rows in (one, two)]
    joined = study.make_block(TRAIN, np.hstack(scaled))
    added = study.add(*(study.make_block(TRAIN, rows) for rows in (one, two)))
    for found, expected, times in zip(added, joined, (2, 2, 2), strict=True):
        np.testing.assert_allclose(found, times * expected)


def test_the_map_compares_texts_with_what_it_predicts(monkeypatch):
    rng = np.random.default_rng(2)
    seen, rows = rng.normal(size=(9, 4)), rng.normal(size=(9, 3))
    kernel = np.exp(-((seen[:, None] - seen)**2).sum(axis=2))
    monkeypatch.setattr(study, "picture_kernel", lambda: (kernel, kernel))
    train, held, test = np.split(np.arange(9), [5, 7])
    task = SimpleNamespace(split=study.Split(train, held, test), held=(held, held),
                           test=(test, test))
    tables = study.Maps(task).similarities(study.make_block(train, rows), "test")
    centered = rows - rows[train].mean(axis=0)
    for penalty, table in zip(study.PENALTIES, tables, strict=True):
        weights = np.linalg.solve(kernel[:5, :5] + penalty * np.eye(5), centered[train])
        predicted = kernel[7:9, :5] @ weights
        np.testing.assert_allclose(table, unit_rows(centered[7:9]) @ unit_rows(predicted).T)


def test_turning_finds_the_rotation_as_scipy_does():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(40, 5))
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    np.testing.assert_allclose(study.turn(rows, rows @ rotation), rotation, atol=1e-8)
    noisy = rows @ rotation + rng.normal(size=rows.shape)
    np.testing.assert_allclose(study.turn(rows, noisy), orthogonal_procrustes(rows, noisy)[0])


@pytest.mark.parametrize("lang", ["en", "zh", "fr"])
def test_splits_are_those_of_the_package(lang):
    wanted = study.emoji(lang).split(1, languages=tuple(dict.fromkeys(("en", lang))))
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(study.task_of(1, lang).split, part),
                                      getattr(wanted, part))


def test_no_text_of_a_held_out_concept_is_read():
    split = study.task_of(0, "zh").split
    words = study.tokens("zh")
    held = {tuple(words[row]) for row in (*split.test, *split.validation)}
    kept = {tuple(words[row]) for row in split.train}
    read = {tuple(entry) for entry in study.corpus(split, "zh")}
    assert held and not held & read
    assert {entry for entry in kept if len(entry) > 1} <= read
    assert len(read) > len(kept) + 100
    known = {word for row in split.train for word in words[row]}
    assert set(study.pivot_vectors(study.emoji("zh"), split, "zh").index_to_key) == known


def test_pairs_of_letters_keep_marks_with_their_letters():
    assert study.pairs("红苹果") == ["红苹", "苹果"]
    assert study.pairs("脸") == ["脸"]
    assert study.characters("น้ำ") != list("น้ำ")


@pytest.mark.parametrize(("words", "expected"), [
    ("octopus", "ltr"), ("أخطبوط", "rtl"), ("תמנון", "rtl"), ("חולצת T", "rtl"), ("T-שירט", "rtl"),
    ("章鱼", "ltr"), ("ऑक्टोपस", "ltr"), ("3", "ltr")])
def test_the_page_tells_browsers_the_direction_of_a_text(words, expected):
    cells = json.loads(NOTEBOOK.read_text("utf8"))["cells"]
    source = "".join(next(cell for cell in cells if cell["id"] == "names-code")["source"])
    names = {"unicodedata": unicodedata, "html": html, "Counter": Counter}
    exec(source[source.index("def direction"):source.index("print(")], names)
    assert names["direction"](words) == expected
    assert names["tagged"]("<b>", "en") == '<bdi lang="en" dir="ltr">&lt;b&gt;</bdi>'


def test_the_record_is_whole():
    salts = range(len(RECORD["concepts"]))
    assert len(salts) == 10 and RECORD["languages"] == list(LANGUAGES)
    emoji = study.emoji("en")
    for salt in salts:
        test = emoji.split(salt).test
        assert RECORD["concepts"][salt] == [emoji.ids[row] for row in test]
    wanted = {f"{part} {lang} {salt}" for salt in salts for lang in LANGUAGES
              for part in ("ladder", "encoder")}
    wanted |= {f"control {lang} {salt}" for salt in salts for lang in LANGUAGES}
    wanted |= {f"related {lang} {salt}" for salt in salts for lang in LANGUAGES[1:]}
    wanted |= {f"{part} {salt}" for part in ("many", "mixed") for salt in salts}
    assert wanted <= set(PIECES)
    covered = [lang for lang, share in RECORD["coverage"].items() if share >= study.COVERED]
    assert set(LANGUAGES) <= set(covered)
    assert all(f"{part} {lang} {salt}" in PIECES for lang in covered for salt in range(5)
               for part in ("world", "control"))


def test_what_is_best_was_chosen_by_validation():
    for name, piece in PIECES.items():
        if name.startswith("ladder"):
            found = {each: piece[each]["mrr"] for each in study.MENU if each in piece}
            assert piece["best"]["mrr"] == max(found.values())
            assert piece["best"]["t2i"] == piece[piece["best"]["chosen"]]["t2i"]
            assert not piece["without_dictionary"]["chosen"].startswith("dictionary")


def test_a_wide_control_keeps_words_apart():
    narrow, wide = (study.random_texts("zh", dim) for dim in (100, study.WIDE_CONTROL))
    assert (narrow.shape[1], wide.shape[1]) == (100, 1000)
    apart = [np.abs(rows[:100] @ rows[:100].T - np.eye(100)).mean() for rows in (narrow, wide)]
    assert apart[1] < apart[0]


def test_the_goal_follows_from_the_record():
    hit = {lang: np.mean([unpack(PIECES[f"ladder {lang} {salt}"]["best"]["t2i"])
                          for salt in range(10)]) for lang in LANGUAGES}
    blind = {lang: np.mean([unpack(PIECES[f"control {lang} {salt}"]["random"]["t2i"])
                            for salt in range(10)]) for lang in LANGUAGES}
    assert hit["zh"] > 0.8 * hit["en"]
    for lang in ("en", "zh"):
        highest = np.mean([unpack(PIECES[f"top {lang} {salt}"]["top"]["t2i"])
                           for salt in range(10)])
        assert highest > hit[lang]
    assert all(hit[lang] > max(blind[lang], 0.15) for lang in LANGUAGES)
    given = {part: np.mean([unpack(PIECES[f"{part} {lang} {salt}"]["cut"]["t2i"])
                            - unpack(PIECES[f"{part} {lang} {salt}"]["strict"]["t2i"]).astype(float)
                            for salt in range(10) for lang in LANGUAGES[1:]])
             for part in ("strictness", "related")}
    assert given["strictness"] > given["related"] > 0


def test_english_by_the_highest_rung_is_the_ladders_own_query_by_query():
    ladder = json.loads((study.OUTPUT.parent / "fusion.json").read_text("utf8"))
    for salt, entry in enumerate(ladder["salts"]):
        found = np.frombuffer(base64.b64decode(entry["strict"]["words"]["t2i"]), np.uint8)
        np.testing.assert_array_equal(unpack(PIECES[f"top en {salt}"]["plain"]["t2i"]),
                                      found <= 10)
