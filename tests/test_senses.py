"""Which sense is meant: the draw, the judged lists, what is chosen from what, and the record."""

import json
from dataclasses import replace

import numpy as np
import pytest
import senses as study
from sklearn.metrics.pairwise import cosine_similarity

from mmfuse_utils.data import Collection, load_emoji
from mmfuse_utils.data.collection import PictureTable
from mmfuse_utils.data.sources import package_path
from mmfuse_utils.data.wordnet import synsets
from mmfuse_utils.metrics import bootstrap_interval

RECORD = json.loads(study.OUTPUT.read_text("utf8"))
JUDGED = json.loads(study.JUDGED.read_text("utf8"))
LISTS = {"first": (JUDGED, RECORD), "later": (JUDGED["later"], RECORD["later"])}


@pytest.fixture(scope="module")
def items():
    return study.load_items(load_emoji())


# The draw and the judged lists

@pytest.mark.parametrize(("lemma", "first", "meaning"), [
    ("dog", "n02086723", "domesticated by man"), ("bank", "n09236472", "sloping land"),
    ("mouse", "n02332897", "small rodents")])
def test_the_first_sense_is_the_one_that_wordnet_lists_first(lemma, first, meaning):
    assert study.noun_senses()[lemma][0] == first
    assert meaning in synsets()[first].gloss


def test_the_order_of_senses_is_that_of_wordnets_other_index():
    path = package_path("wordnet") / "package" / "dict" / "index.sense"
    numbered = {}
    for line in path.read_text("utf8").splitlines():
        key, offset, number, _ = line.split()
        if "%1:" in key:
            numbered[key.split("%")[0].replace("_", " "), int(number)] = "n" + offset
    listed = {(lemma, number): sense for lemma, senses in study.noun_senses().items()
              for number, sense in enumerate(senses, 1)}
    assert {name: numbered.get(name) for name in listed} == listed


@pytest.mark.parametrize(("name", "is_face", "noun"), [
    ("tiger face", False, "tiger"), ("pleading face", True, "face"),
    ("ear of corn", False, "ear"), ("hot dog", False, "hot dog"), ("beans", False, "bean"),
    ("sun behind large cloud", False, "cloud"), ("glasses", False, "glasses"),
    ("cherries", False, "cherry"), ("flibbertigibbering", False, None)])
def test_a_name_leads_to_its_noun(name, is_face, noun):
    assert study.head(name, is_face, study.noun_senses()) == noun


def test_the_judged_are_the_first_ones_drawn_and_no_other():
    emoji = load_emoji()
    drawn = [(emoji.ids[row], lemma) for row, lemma in study.order_to_judge(emoji)]
    judged = []
    for part, _ in LISTS.values():
        entries = {(one["concept"], one["lemma"]) for one in part["items"] + part["aside"]}
        start = len(judged)
        judged += drawn[start:start + len(entries)]
        assert set(judged[start:]) == entries
        order = [(one["concept"], one["lemma"]) for one in part["items"]]
        assert order == [one for one in judged[start:] if one in set(order)]
        assert judged[-1] == order[-1]
    assert len({lemma for _, lemma in judged}) == len(judged)


@pytest.mark.parametrize("part", LISTS)
def test_each_judgment_takes_some_of_the_candidates_and_not_all(part):
    for one in LISTS[part][0]["items"]:
        assert one["senses"] == list(study.noun_senses()[one["lemma"]])
        assert set(one["right"]) < set(one["senses"])
        assert len(one["right"]) == len(set(one["right"])) > 0
    assert all(one["reason"] for one in LISTS[part][0]["aside"])


# Scores

def test_ties_count_by_their_share_of_right():
    item = np.array([0, 0, 0, 1, 1])
    right = np.array([True, False, False, False, True])
    assert study.credits(np.array([1.0, 1, 0, 2, 3]), item, right).tolist() == [0.5, 1]
    np.testing.assert_allclose(study.credits(np.zeros(5), item, right), [1 / 3, 1 / 2])


def test_cosines_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    asked, senses, item = rng.normal(size=(4, 6)), rng.normal(size=(9, 6)), rng.integers(4, size=9)
    np.testing.assert_allclose(study.cosines(asked, senses, item),
                               cosine_similarity(senses, asked)[np.arange(9), item])


def toy_collection(n):
    table = PictureTable(np.repeat(np.arange(n), 2), np.tile(["a", "b"], n),
                         tuple(f"{i}.png" for i in range(2 * n)))
    return Collection(tuple(f"c{i}" for i in range(n)), pictures=table)


def test_a_picture_is_read_by_a_map_that_saw_neither_its_text_nor_one_near_it():
    rng, n = np.random.default_rng(0), 60
    emoji, features = toy_collection(n), rng.normal(size=(2 * n, 8))
    texts = np.repeat(features[::2, :3], 1, axis=0) + 0.1 * rng.normal(size=(n, 3))
    near = np.eye(n, dtype=bool)
    folds = study.folds_of(emoji, 0)
    inside = np.flatnonzero(folds == 0)[0]
    outside = np.flatnonzero(folds == 3)[0]
    near[inside, outside] = near[outside, inside] = True
    before = study.guess_texts(emoji, features, [texts], 0, near)
    changed = texts.copy()
    changed[[inside, outside]] += 5
    after = study.guess_texts(emoji, features, [changed], 0, near)
    np.testing.assert_array_equal(before[0, :, inside], after[0, :, inside])
    other = np.flatnonzero(folds == 1)[0]
    assert not np.allclose(before[0, :, other], after[0, :, other])
    assert np.corrcoef(before[0, 0].ravel(), (texts - texts.mean(axis=0)).ravel())[0, 1] > 0.5


@pytest.mark.parametrize("later", [False, True])
def test_no_item_and_no_later_one_has_a_say_in_what_is_chosen_for_it(items, later):
    rng = np.random.default_rng(0)
    folds = study.folds_of(load_emoji(), 0)
    tried, others = ({i: rng.normal(size=len(items.item)) for i in range(8)} for _ in range(2))
    told = items.later if later else (folds[items.rows] == 2) & ~items.later
    flipped = replace(items, right=np.where(told[items.item], ~items.right, items.right))
    found, again = (study.cross_fitted(one, folds, tried, others, others, tried, "")[0]
                    for one in (items, flipped))
    same = told[items.item] | later         # the later ones have no say in anything
    for name, scores in found.items():
        np.testing.assert_array_equal(scores[same], again[name][same])
    assert later or any((found[name] != again[name]).any() for name in found)


def test_another_picture_is_of_another_subgroup(items):
    other = study.other_pictures(items, 0)
    assert (items.subgroups[other] != items.subgroups).all()


def test_the_first_sense_is_right_as_often_as_the_record_says(items):
    for later, (part, record) in zip((False, True), LISTS.values(), strict=True):
        plain = np.array([one["senses"][0] in one["right"] for one in part["items"]])
        assert record["methods"]["first"]["value"] == pytest.approx(plain.mean())
        counts = np.array([study.times_met()[one["lemma"]] > 0 for one in part["items"]])
        assert record["uncounted"]["n"] == (~counts).sum()
        assert record["uncounted"]["methods"]["first"]["value"] == pytest.approx(
            plain[~counts].mean())
        assert (items.counted[items.later == later] == counts).all()


# The record

@pytest.mark.parametrize("part", LISTS)
def test_the_record_follows_from_its_hits(part):
    judged, record = LISTS[part]
    start = len(JUDGED["items"]) if part == "later" else 0
    subgroups = np.array(RECORD["subgroups"])[start:start + len(judged["items"])]
    hits = {name: np.array(values) for name, values in record["hits"].items()}
    assert record["n"] == len(judged["items"]) == len(subgroups)
    share = np.mean([len(one["right"]) / len(one["senses"]) for one in judged["items"]])
    assert record["chance"] == pytest.approx(share)
    differences = {name: hits[name.split("-")[0]] - hits[name.split("-")[1]]
                   for name in record["gains"]}
    for kind, values in (("methods", hits), ("gains", differences)):
        for name, one in record[kind].items():
            assert one["value"] == pytest.approx(values[name].mean(), abs=1e-4)
            low, high = bootstrap_interval(values[name], subgroups)
            assert (one["low"], one["high"]) == pytest.approx((low, high), abs=2e-4)


def test_the_record_holds_what_the_claims_need():
    assert {f"{a}-{b}" for a, b in study.CLAIMS} == set(RECORD["p"])
    assert {f"{a}-{b}" for a, b in study.GAINS} == set(RECORD["gains"])
    for name in ("gloss", "picture", "both", "both_order", "counted_order"):
        assert f"{name}.random" in RECORD["methods"]
    for one, picked in zip(JUDGED["items"] + JUDGED["later"]["items"], RECORD["picks"]["both"],
                           strict=True):
        assert picked in one["senses"]


def test_nouns_without_a_count_are_listed_from_the_end_of_the_file():
    assert RECORD["backwards"] == pytest.approx(study.backwards())
    assert RECORD["backwards"]["uncounted"] > 0.99 > RECORD["backwards"]["counted"]
