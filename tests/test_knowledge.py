"""A dictionary's relations: retrofitting solves its system, walks stay on edges, records fit."""

import json

import knowledge as study
import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize
from scipy.sparse.linalg import splu

from mmfuse_utils import ladder
from mmfuse_utils.data import load_emoji
from mmfuse_utils.data.wordnet import synsets
from mmfuse_utils.fusion import KernelMap, RidgeMap
from mmfuse_utils.retrieval import unit_rows

RECORD = json.loads(study.OUTPUT.read_text("utf8"))


@pytest.fixture
def graph():
    """Forty words with random edges, two of them without any, and a row for each."""
    rng = np.random.default_rng(0)
    pairs = np.unique(np.sort(rng.integers(0, 38, (80, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    return study.adjacency(pairs, 40), unit_rows(rng.normal(size=(40, 5))), pairs


@pytest.mark.parametrize("strength", [0.5, 1.0, 4.0])
def test_the_iteration_solves_the_linear_system(graph, strength):
    table, rows, _ = graph
    moved = study.retrofit(rows, table, strength, 200)
    own = np.maximum(table.sum(axis=1), 1)
    system = sparse.diags_array(own + strength * table.sum(axis=1)) - strength * table
    assert np.allclose(moved, splu(system.tocsc()).solve(own[:, None] * rows), atol=1e-9)
    assert np.allclose(moved[38:], rows[38:])      # nobody pulls at them


def test_retrofitting_lowers_its_objective_to_the_bottom(graph):
    table, rows, pairs = graph
    degree = table.sum(axis=1)

    def objective(flat):
        moved = flat.reshape(rows.shape)
        return (degree[:, None] * (moved - rows) ** 2).sum() + 2.0 * (
            (moved[pairs[:, 0]] - moved[pairs[:, 1]]) ** 2).sum()

    moved = study.retrofit(rows, table, 2.0, 300)
    assert objective(moved.ravel()) < objective(rows.ravel())
    lowest = minimize(objective, rows.ravel(), method="L-BFGS-B", options={"maxiter": 500})
    assert objective(moved.ravel()) == pytest.approx(lowest.fun, rel=1e-4)


def test_the_closed_form_is_the_mean_where_stopped_walks_end(graph):
    table, rows, _ = graph
    step = (sparse.diags_array(1 / np.maximum(table.sum(axis=1), 1)) @ table).toarray()
    series = sum(0.5 ** (k + 1) * np.linalg.matrix_power(step, k) @ rows for k in range(60))
    assert np.allclose(series[:38], study.retrofit(rows, table, 1.0, 200)[:38], atol=1e-9)


def test_a_shuffled_graph_keeps_its_shape_and_loses_its_words(graph):
    table, _, _ = graph
    other = study.shuffled(table)
    assert sorted(np.diff(other.indptr)) == sorted(np.diff(table.indptr))
    assert (other != other.T).nnz == 0
    assert (other != table).nnz > 0
    assert np.diff(other.indptr)[38:].tolist() == [0, 0]


def test_pushing_moves_opposites_apart_synonyms_together_and_nobody_else():
    rng = np.random.default_rng(0)
    rows = unit_rows(rng.normal(size=(8, 20)) + 2)
    moved = study.counterfit(rows, np.array([[0, 1]]), np.array([[2, 3]]), keep=0.1, steps=200)
    near = moved @ moved.T
    before = rows @ rows.T
    assert near[0, 1] < 0.1 < before[0, 1]
    assert near[2, 3] >= min(before[2, 3], 0.55)
    assert np.allclose(moved[4:], rows[4:])
    assert np.allclose(np.linalg.norm(moved, axis=1), 1)


def test_opposites_that_hang_together_are_held_out_together():
    pairs = np.array([[0, 1], [1, 2], [3, 4], [5, 6]])
    held, family = study.in_half(pairs, list("abcdefg"))
    assert held[0] == held[1]
    assert family[0] == family[1] != family[2]


def test_matched_pairs_have_the_same_words_and_no_pair_is_kept():
    pairs = np.column_stack([np.arange(100), 100 + np.arange(100)])
    other = study.matched(pairs)
    assert sorted(other[:, 1]) == sorted(pairs[:, 1])
    assert (other[:, 1] != pairs[:, 1]).all()
    assert np.abs(other[:, 1] - pairs[:, 1]).max() < 20


def test_walks_follow_edges(graph):
    table, _, _ = graph
    paths = study.walks(table, 3, 6)
    linked = np.flatnonzero(np.diff(table.indptr))
    assert paths.shape == (3 * len(linked), 6)
    assert all(table[a, b] == 1 for path in paths for a, b in
               zip(path, path[1:], strict=False))


def test_antonyms_are_read_word_by_word():
    pairs = set(study.lexical_pointers("!"))
    assert ("hot", "cold") in pairs
    assert ("torrid", "cold") not in pairs


def test_a_name_is_linked_by_its_last_words_and_a_fitting_sense():
    table = synsets()
    for name, group, part in (("ewe", "animals-nature", "sheep"), ("fire engine", "travel-places",
                              "fire"), ("tiger face", "animals-nature", "feline")):
        assert part in table[study.link(name, group)].gloss
    assert "people" in table[study.link("ewe", "animals-nature", fitting=False)].gloss
    assert study.link("grinning face", "smileys-emotion") is None
    dog = study.link("dog", "animals-nature")
    assert "carnivore" in [table[name].lemmas[0] for name in study.above(dog)]
    assert dog in study.subtree(study.above(dog)[2])


def test_fast_ridge_and_kernel_agree_with_the_package():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 6))
    train, rest = np.arange(20), np.arange(20, 30)
    texts = features @ rng.normal(size=(6, 4)) + 0.1 * rng.normal(size=(30, 4))
    target = texts[train] - texts[train].mean(axis=0)
    for guesses, kept in ((study.ridge_guesses, lambda alpha: RidgeMap(alpha, "image_to_text")),
                          (study.kernel_guesses, KernelMap)):
        for guess, alpha in zip(guesses(features, train, target), study.PENALTIES, strict=True):
            ours = unit_rows(guess(rest))
            theirs = kept(alpha).fit(texts[train], features[train]).embed_image(features[rest])
            assert np.allclose(ours, theirs, atol=1e-8)


def test_the_record_is_whole_and_its_choices_follow_from_it():
    chosen = RECORD["chosen"]
    assert max(chosen["grid"], key=study.merit) == chosen["best"]
    assert max(chosen["pushes"], key=study.merit) == chosen["push"]
    assert max(chosen["graphs"], key=study.merit) == chosen["graph"]
    strengths = sorted(study.STRENGTHS)
    assert strengths[0] < chosen["best"]["strength"] < strengths[-1]
    assert study.KEEPS[0] < chosen["push"]["keep"] < study.KEEPS[-1]
    assert len(RECORD["salts"]) == study.SALTS
    for part in RECORD["salts"]:
        assert all(len(line) == 200 for line in part["hits"].values())
        assert all(len(line) == len(part["new"]) for line in part["new_hits"].values())
        assert all(len(line) == len(part["tree"]["linked"])
                   for line in part["tree"]["hits"].values())


def test_what_is_recorded_of_opposites_does_not_overlap():
    words = RECORD["opposites"]["words"]
    held, told = ({word for pair in words[kind] for word in pair} for kind in ("held", "told"))
    assert not held & told
    assert len(words["held"]) == len(words["held random"]) == len(words["synonyms"])
    assert not {tuple(sorted(pair)) for pair in words["synonyms"]} & {
        tuple(sorted(pair)) for pair in words["held"] + words["told"]}


def test_recorded_senses_are_those_of_the_rule():
    emoji = load_emoji()
    for concept in range(0, len(emoji), 50):
        name = emoji.names["en"][concept][0]
        assert RECORD["senses"].get(name) == study.link(name, emoji.groups[concept])
        assert RECORD["asked"].get(name) == study.link(name, emoji.groups[concept], False)


def test_new_words_stand_in_no_training_text():
    pictures = study.Pictures.__new__(study.Pictures)
    pictures.emoji = load_emoji()
    pictures.tokens = study.text.concept_tokens(pictures.emoji)
    task = ladder.Task(pictures.emoji, pictures.emoji.split(0, strict=True), 0)
    seen = {word for concept in task.split.train for word in pictures.tokens[concept]}
    assert not seen & {word for part in study.new_words(pictures, task) for word in part}
