"""What vectors give away: attacks, noise and tests agree with oracles; the record is whole."""

import json
import warnings

import numpy as np
import pytest
import torch
import trust as study
from gensim.models import KeyedVectors
from scipy import stats
from sklearn.linear_model import orthogonal_mp
from sklearn.metrics import roc_auc_score, roc_curve

from mmfuse_utils.retrieval import unit_rows


def keyed(words, rows):
    vectors = KeyedVectors(np.shape(rows)[1])
    vectors.add_vectors(words, np.asarray(rows, np.float32))
    return vectors


@pytest.fixture(scope="module")
def dictionary():
    return unit_rows(np.random.default_rng(0).normal(size=(2000, 150)))


def test_pursuit_reads_sparse_sums_back_and_agrees_with_scikit_learn(dictionary):
    rng = np.random.default_rng(1)
    for n in (1, 3, 5):
        words = rng.choice(2000, n, replace=False)
        target = unit_rows(dictionary[words].sum(axis=0, keepdims=True))
        found = study.pursue(target, dictionary, np.array([40]))[0]
        theirs = np.flatnonzero(orthogonal_mp(dictionary.T, target[0], n_nonzero_coefs=n))
        assert sorted(found) == sorted(words.tolist()) == theirs.tolist()


def test_pursuit_takes_no_more_words_than_allowed_and_none_with_negative_weight(dictionary):
    target = unit_rows(dictionary[:20].sum(axis=0, keepdims=True))
    assert len(study.pursue(target, dictionary, np.array([5]))[0]) <= 5
    assert study.pursue(-np.eye(3)[:1], np.eye(3), np.array([3])) == [[]]


def test_repeated_words_count_once_and_weigh_twice():
    vectors = keyed(["a", "b", "c"], np.eye(3))
    rows = np.array([[2, 1, 0]]) / np.sqrt(5)
    assert study.read_back([["a", "b", "a"]], rows, vectors).ravel().tolist() == [1, 1, 1]


def test_codes_come_near_what_they_code():
    rng = np.random.default_rng(0)
    known = unit_rows(rng.normal(size=(3000, 100)) * np.geomspace(1, 0.1, 100) + 0.2)
    sent = known[:200]
    errors = {name: np.linalg.norm(code(sent) - sent, axis=1).mean()
              for name, code in study.text_codes(known).items()}
    assert errors["int8.100"] < errors["bits.64"] < errors["bits.32"] < errors["bits.16"] < 1


def test_area_and_rate_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    members, others = rng.normal(1, 1, 300).round(1), rng.normal(0, 1, 400).round(1)
    labels, scores = np.repeat([1, 0], [300, 400]), np.concatenate([members, others])
    assert study.auc(members, others) == pytest.approx(roc_auc_score(labels, scores))
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert study.rate_at(members, others, 0.05) == pytest.approx(true[false <= 0.05].max())


def test_attacks_are_firmer_where_a_text_holds_to_its_own_picture():
    similarity = np.full((4, 4), 0.1)
    similarity[0, 0] = 0.9
    for scores in study.attacks(similarity).values():
        assert scores.shape == (4,) and scores[0] > scores[1:].max()


def test_as_many_frequent_words_as_asked_for_from_other_clusters():
    true = [{1, 2}, {1, 3}, {4}, {4, 5}]
    assert study.frequent_words(true, [0, 2, 1, 3], [1, 2, 1, 1]) == [{4}, {4, 5}, {1}, {1}]


def test_halves_are_equal_and_drawn_anew():
    first, second = (study.halves(seed)[0] for seed in (0, 1))
    assert first.sum() == len(first) // 2
    assert 0.4 < np.mean(first == second) < 0.6


@pytest.mark.parametrize("epsilon", [0.5, 1, 8, 16])
def test_noise_keeps_the_promise_and_not_much_more(epsilon):
    sigma = study.gaussian_scale(epsilon, study.DELTA)

    def delta(sigma):
        """max over sets of P(A) - e^eps P'(A), by integration."""
        x = np.linspace(-40 * sigma - 40, 40 * sigma + 40, 2_000_001)
        gap = stats.norm.pdf(x, 1, sigma) - np.exp(epsilon) * stats.norm.pdf(x, 0, sigma)
        return np.trapezoid(np.maximum(gap, 0), x)

    assert delta(sigma) == pytest.approx(study.DELTA, rel=0.02)
    assert delta(0.9 * sigma) > study.DELTA


@pytest.mark.parametrize("penalty", [1.0, 3.0, 30.0, 300.0])
def test_no_row_moves_the_map_further_than_the_bound(penalty):
    rng = np.random.default_rng(0)
    for dim, n in ((1, 8), (3, 30), (20, 60)):
        for _ in range(5):
            x, y = (study.clip_rows(rng.normal(size=(n, d)) * 3) for d in (dim, 4))
            x[-1] *= rng.random()
            assert study.largest_move(x, y, penalty) <= study.sensitivity(penalty, n) + 1e-12
    x, y = np.ones((40, 1)), np.ones((40, 1))
    y[-1] = -1                          # one row against all others: close to the worst case
    assert study.largest_move(x, y, penalty) <= study.sensitivity(penalty, 40)


def test_the_bound_is_for_penalties_of_one_or_more_and_grows_with_rows():
    with pytest.raises(ValueError, match="penalty of 1"):
        study.sensitivity(0.5)
    assert study.sensitivity(10.0, 100) < study.sensitivity(10.0, 400)


def test_rows_are_clipped_and_private_rows_never_exceed_length_one():
    rows = study.clip_rows(np.random.default_rng(0).normal(size=(50, 9)) * 2)
    assert np.linalg.norm(rows, axis=1).max() <= 1 + 1e-12


def test_the_loss_of_towers_has_a_gradient_for_each_concept():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 5)), rng.normal(size=(6, 7))
    public = rng.normal(size=(4, 5)), rng.normal(size=(4, 7))
    towers = study.PublicTowers(5, 7, 3)

    def gradient(rows):
        towers.zero_grad()
        scores = towers(study.with_public(x[rows], public[0]), study.with_public(
            y[rows], public[1]))
        loss = torch.nn.functional.cross_entropy(
            scores.flatten(0, 1), torch.zeros(2 * len(rows), dtype=torch.long))
        loss.backward()
        return torch.cat([p.grad.flatten() for p in towers.parameters()]).numpy().copy()

    alone = np.array([gradient([i]) for i in range(6)])
    assert np.allclose(gradient(list(range(6))), alone.mean(axis=0), atol=1e-6)


def test_opacus_clips_the_gradient_of_each_concept_alone():
    opacus = pytest.importorskip("opacus", reason="optional: Opacus is of the extra benchmark")
    rng = np.random.default_rng(0)
    public = rng.normal(size=(4, 5)), rng.normal(size=(4, 7))
    towers = study.PublicTowers(5, 7, 3)
    texts = study.with_public(rng.normal(size=(6, 5)), public[0])
    images = study.with_public(rng.normal(size=(6, 7)), public[1])
    wrapped = opacus.GradSampleModule(towers)
    torch.nn.functional.cross_entropy(wrapped(texts, images).flatten(0, 1), torch.zeros(
        12, dtype=torch.long)).backward()
    whole = wrapped._module.text.weight.grad_sample.clone()
    towers.zero_grad(set_to_none=True)
    for i in range(6):
        plain = study.PublicTowers(5, 7, 3)
        plain.load_state_dict(wrapped._module.state_dict())
        torch.nn.functional.cross_entropy(plain(texts[[i]], images[[i]]).flatten(0, 1),
                                          torch.zeros(2, dtype=torch.long)).backward()
        assert torch.allclose(whole[i], plain.text.weight.grad, atol=1e-5)


def test_the_association_test_is_the_one_of_its_definition_and_exact():
    rng = np.random.default_rng(0)
    x, y, a, b = (rng.normal(size=(5, 8)) for _ in range(4))
    cosine = lambda u, v: u @ v / np.linalg.norm(u) / np.linalg.norm(v)     # noqa: E731
    slow = [np.mean([cosine(w, u) for u in a]) - np.mean([cosine(w, u) for u in b])
            for w in (*x, *y)]
    scores = study.associations(np.vstack([x, y]), a, b)
    assert np.allclose(scores, slow)
    first, second = scores[:5], scores[5:]
    assert study.effect_size(first, second) == pytest.approx(
        (np.mean(slow[:5]) - np.mean(slow[5:])) / np.std(slow))
    theirs = stats.permutation_test((first, second), lambda u, v: u.mean() - v.mean(),
                                    vectorized=False, n_resamples=np.inf, alternative="greater")
    assert study.permutation_p(first, second) == pytest.approx(theirs.pvalue)


def test_a_planted_stereotype_is_found_and_has_the_largest_size():
    words = " ".join(words for pair in ((study.MALE, study.FEMALE), study.TARGETS["career"])
                     for words in pair).split()
    rows = np.array([[1.0, 0.05 * i] for i in range(32)])
    rows[8:16], rows[24:] = rows[8:16] * [-1, 1], rows[24:] * [-1, 1]
    found = study.weat(keyed(words, rows), *study.TESTS["career"], n_resamples=50)
    assert found["d"] > 1.8 and found["p"] == pytest.approx(1 / 12870)


def test_projection_leaves_nothing_along_the_direction_that_pairs_differ_in():
    rng = np.random.default_rng(0)
    words = [word for pair in study.PAIRS for word in pair]
    rows = rng.normal(size=(len(words), 6))
    rows[1::2] = rows[::2] - [9, 0, 0, 0, 0, 0]         # the second is the first, far to the left
    direction = study.gender_direction(keyed(words, unit_rows(rows)))
    assert np.linalg.norm(direction) == pytest.approx(1) and direction[0] > 0.8
    assert np.abs(study.without(rows, direction) @ direction).max() < 1e-9


def test_nothing_can_be_read_after_projection_where_directions_are_independent():
    rng = np.random.default_rng(0)
    rows = unit_rows(rng.normal(size=(3000, 30)))
    direction = np.eye(30)[0]
    right = study.readable(rows, direction, n=200)["kernel"]
    assert abs(right.mean() - 0.5) < 0.1
    rows[:, 1] = rows[:, 0]                             # a second number that tells the same
    assert study.readable(rows, direction, n=200)["kernel"].mean() > 0.9


def test_roles_are_drawn_three_times_and_all_three_differ():
    roles = study.roles()
    assert len(roles) == 20 and all(role["asked"][0] == role["label"] for role in roles)
    assert not {"man", "person"} & {word for role in roles for word in role["asked"]}
    jobs = [job for job in study.role_pictures() if job[3] == 0]
    trios = {}
    for i, style, gender, _ in jobs:
        name = study.icon_name(roles[i]["label"], gender, 0)
        trios.setdefault((i, style), set()).add(study.drawings.svg(style, name))
    assert len(jobs) == 3 * len(trios) and all(len(three) == 3 for three in trios.values())


def test_first_places_go_to_the_highest_score_of_the_own_role_and_style():
    jobs = [(role, style, gender, 0) for role in (0, 1) for style in study.ROLE_STYLES
            for gender in range(3)]
    table = np.zeros((2, len(jobs)))
    for row, (role, style, gender, _) in enumerate(jobs):
        table[0, row] = gender if role == 0 else 99         # another role's drawings do not count
        table[1, row] = -gender if role == 1 else 99
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)     # no skin tones here
        found = study.first_places({"plain each": [table]}, np.array([job[0] for job in jobs]),
                                   jobs, np.array([0, 1]))["shown"]["plain"]
    assert found["genders"] == [[0, 0, 1], [1, 0, 0]]


@pytest.fixture(scope="module")
def recorded():
    return json.loads(study.OUTPUT.read_text("utf8"))


def test_the_record_has_what_the_page_reads(recorded):
    assert {"date", "numpy", "torch", "opacus", "settings"} <= recorded.keys()
    news = recorded["inversion"]["news"]
    assert len(news["lengths"]) >= 500
    for table in news["scores"].values():
        assert np.shape(table) == (3, len(news["lengths"]))
    assert {f"{code}.frequent" for code in ("bits.32", "signs.13", "int8.100")} <= set(
        news["scores"])
    assert set(recorded["membership"]["models"]) == {*study.MODELS, "towers 40, other half"}
    for row in recorded["membership"]["models"].values():
        assert len(row["auc"]) == len(study.SEEDS)
        assert row["area"][0] == pytest.approx(np.mean(row["auc"]))
        assert row["area"][1] <= row["area"][0] <= row["area"][2]
    people = recorded["people"]
    assert len(people["owner"]) == len(people["asked"]) == len(
        people["shown"]["plain"]["genders"])
    for kind in ("plain", "plain csls", "projected", "random"):
        assert np.shape(people["hits"][kind]) == (len(study.SALTS), 200)
        assert np.allclose(np.sum(people["shown"][kind]["genders"], axis=1), 1, atol=1e-3)


def test_no_recorded_run_spent_more_than_it_promised(recorded):
    for name, spent in recorded["private towers"]["spent"].items():
        assert spent <= float(name.removesuffix(".random"))
    for observed, bound in recorded["private ridge"]["moves"].values():
        assert observed <= bound
    assert max(recorded["private ridge"]["rows"]) <= study.MOST_ROWS
    assert recorded["membership"]["concepts"] // 2 <= study.MOST_ROWS
    assert {"8", "8.random", "inf", "inf.random"} <= recorded["private towers"]["hits"].keys()


def test_the_maps_that_are_attacked_are_those_whose_hits_are_quoted(recorded):
    penalties = recorded["private ridge"]["penalties"]
    assert study.CHOSEN == {name: penalties[name] for name in study.CHOSEN}


def test_recorded_attack_finds_nothing_where_there_is_nothing(recorded):
    assert abs(recorded["membership"]["models"]["towers 40, other half"]["area"][0] - 0.5) < 0.02


def test_recorded_private_attacks_stay_below_what_the_promise_allows(recorded):
    for epsilon in (1, 8):
        false, true = recorded["membership"]["models"][f"private ridge {epsilon}"]["curve"]
        allowed = np.exp(epsilon) * np.array(false) + study.DELTA
        assert (np.array(true) <= allowed + 0.03).all()


def test_recorded_association_tests_are_those_of_the_code(recorded):
    # By vectors drawn at random: those that are trained differ a little by the processor.
    vectors = study.text.random_vectors(study.text.load_word_vectors())
    for key, sets in study.TESTS.items():
        row = recorded["words"]["vectors"]["random"]["weat"][key]
        again = study.weat(vectors, *sets)
        assert again.pop("words") == row["words"] and row["words"]
        assert again == pytest.approx({name: row[name] for name in again})
    row = recorded["words"]["vectors"]["word2vec"]["weat"]["career"]
    assert [len(words) for words in row["words"]] == [8, 8, 8, 8]
