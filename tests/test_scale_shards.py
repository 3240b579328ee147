"""word2vec in shards: one process and Ray agree, the averages, and the record against the page."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import scale_shards as study

from mmfuse_utils import word2vec
from mmfuse_utils.fusion import RidgeMap
from mmfuse_utils.protocol import hits, load_protocol
from mmfuse_utils.word2vec import SkipGram

ROOT = Path(__file__).resolve().parent.parent
RECORD = json.loads(study.OUTPUT.read_text("utf8")) if study.OUTPUT.exists() else {}
SETTINGS = {"dim": 8, "window": 2, "epochs": 2, "min_count": 1, "subsample": 0, "progress": False}


@pytest.fixture(scope="module")
def tokens():
    """A made-up corpus: 4,000 words, 8 a sentence."""
    rng = np.random.default_rng(0)
    words = np.sort(rng.integers(0, 50, (500, 8)) ** 2 // 50, axis=1).astype(np.int32).ravel()
    return words, np.repeat(np.arange(500, dtype=np.int32), 8)


def workers_of(tokens, n_shards, kind=study.Worker):
    shards = study.deal(*tokens, n_shards, piece=300)
    counts = np.maximum(np.bincount(tokens[0], minlength=50), 1)
    return [kind(SETTINGS, counts, shard, 3, i) for i, shard in enumerate(shards)], shards


def run(tokens, n_shards, every, merge=study.mean, rate=0.05):
    workers, shards = workers_of(tokens, n_shards)
    steps = len(shards[0]) * SETTINGS["epochs"]
    return study.train(workers, study.first_table(50, 8, 3), steps, every, rate, merge)


def test_one_shard_is_the_books_training(monkeypatch, tokens):
    """Bit by bit, when both read pieces of the same length."""
    monkeypatch.setattr(word2vec, "STRETCH", 300)
    words = sorted(set(tokens[0].tolist()), key=lambda w: (-(tokens[0] == w).sum(),
                                                           tokens[0].tolist().index(w)))
    sentences = [[str(w) for w in row] for row in tokens[0].reshape(-1, 8)]
    model = SkipGram(**SETTINGS, seed=3).fit(sentences)
    assert list(model.vocabulary_) == [str(w) for w in words]
    rows = np.array([words.index(w) for w in tokens[0]], np.int32)
    shard = study.deal(rows, tokens[1], 1, piece=300)[0]
    worker = study.Worker(SETTINGS, model.counts_, shard, 3, 0)
    first = study.first_table(len(words), 8, 3)
    table = study.train([worker], first, 2 * len(shard), 1, 0.05, study.mean)
    np.testing.assert_array_equal(table[:, 0], model.vectors_)
    np.testing.assert_array_equal(table[:, 1], model.context_vectors_)


def test_shards_hold_each_token_once_in_equally_many_pieces(tokens):
    for n in (1, 3, 16):
        shards = study.deal(*tokens, n, piece=300)
        assert len({len(shard) for shard in shards}) == 1
        read = np.concatenate([words for shard in shards for words, _ in shard])
        np.testing.assert_array_equal(read, tokens[0])
        assert max(len(words) for shard in shards for words, _ in shard) <= 300


def test_how_often_tables_are_averaged_matters_and_the_number_of_averages_is_right(tokens):
    calls = []

    def counted(start, tables):
        calls.append(len(tables))
        return study.mean(start, tables)

    often, once = run(tokens, 4, 1, counted), run(tokens, 4, 8)
    steps = len(study.deal(*tokens, 4, piece=300)[0]) * SETTINGS["epochs"]
    assert calls == [4] * steps
    assert not np.array_equal(often, once)
    assert np.isfinite(often).all()


def test_each_average_on_a_table_done_by_hand():
    start = np.zeros((3, 2, 1), np.float32)
    first, second = start.copy(), start.copy()
    first[0], first[1], second[0] = 1, 4, 3             # word 0 both moved, word 1 one, word 2 none
    tables = [first, second]
    assert study.mean(start, tables)[:, 0, 0].tolist() == [2, 2, 0]
    assert study.moved(start, tables)[:, 0, 0].tolist() == [2, 4, 0]
    assert study.added(start, tables)[:, 0, 0].tolist() == [4, 4, 0]
    shares = np.array([[0.25, 1, 0.5], [0.75, 0, 0.5]], np.float32)
    assert study.by_counts(shares)(start, tables)[:, 0, 0].tolist() == [2.5, 4, 0]


def test_shares_count_what_each_shard_holds():
    shards = [[(np.array([0, 0, 1]), None)], [(np.array([0, 2]), None)]]
    np.testing.assert_allclose(study.shares_of(shards, 4),
                               [[2 / 3, 1, 0, 0.5], [1 / 3, 0, 1, 0.5]], rtol=1e-6)


def test_the_spread_of_steps_tells_agreement_from_a_lone_mover(monkeypatch):
    monkeypatch.setattr(study, "bands", lambda part: {"all": np.array([True, False]),
                                                      "lone": np.array([False, True])})
    start = np.zeros((2, 2, 3), np.float32)
    tables = np.zeros((4, 2, 2, 3), np.float32)
    tables[:, 0, 0], tables[0, 1, 0] = 1, 1
    found = study.shrinkage(start, tables)
    assert found == pytest.approx({"all": 1, "lone": 1 / 4})


def test_a_turned_table_is_found_by_rotation(monkeypatch):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(100, 2, 5))
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    monkeypatch.setattr(study, "bands", lambda part: {"rare": np.zeros(100, bool)})
    found = study.drift([table, table @ turn])
    assert found["rotated"] == pytest.approx(1)
    assert found["plain"] < 0.9


def test_retrieval_is_the_packages_ridge_regression(monkeypatch):
    protocol = load_protocol(0)
    texts = np.float32(protocol.texts[:, :20])
    monkeypatch.setattr(study, "PENALTIES", (1.0,))
    found = study.Retrieval([protocol]).hits(texts)
    model = RidgeMap(1.0, "image_to_text").fit(*protocol.pairs(texts))
    np.testing.assert_allclose(found, hits(model.similarity(*protocol.test(texts))))


def test_a_score_and_its_interval_are_half_the_lead_over_its_negative(monkeypatch):
    rng = np.random.default_rng(0)
    rating, noise = np.arange(40.0), rng.normal(0, 12, (2, 40))
    rows = np.column_stack([rating + noise, rng.random((2, 10)) < 0.4])
    columns = {"x.odd": (np.arange(40), rating)}, 40
    monkeypatch.setattr(study, "split_columns", lambda part: columns)
    monkeypatch.setattr(study, "clusters", lambda: np.arange(10) // 2)
    found = study.own(rows)
    assert found["x.odd"]["mean"] == pytest.approx(study.spearman(rows[:, :40], rating).mean())
    assert found["hit10"]["mean"] == pytest.approx(rows[:, 40:].mean())
    assert all(x["interval"][0] < x["mean"] < x["interval"][1] for x in found.values())


def test_spearman_and_paired_intervals():
    rating = np.arange(20.0)
    rows = np.stack([rating, rating[::-1]])
    assert study.spearman(rows, rating).tolist() == pytest.approx([1, -1])
    found = study.paired(np.stack([rating] * 2), np.stack([-rating] * 2), rating, 50)
    assert found["mean"] == pytest.approx(2)
    assert found["interval"] == pytest.approx([2, 2])
    draws = study.cluster_draws(np.array([[0.0, 1, 1], [0, 1, 1]]), ["a", "b", "b"], 200)
    assert set(np.round(draws, 3)) == {0, 0.667, 1}
    assert study.flip({"mean": -1, "interval": [-2, 0.5]}) == {"mean": 1, "interval": [-0.5, 2]}


def test_the_spark_script_asks_and_reads_as_it_says():
    script = runpy.run_path(str(ROOT / "deploy" / "spark_word2vec.py"))
    asked = script["settings"](8, 2)
    assert asked["numPartitions"] == 8 and asked["inputCol"] == "tokens"
    vectors = script["keyed"]([{"word": "sea", "vector": np.arange(50)},
                               {"word": "sky", "vector": np.ones(50)}])
    assert vectors["sea"].tolist() == list(range(50))


def find(**asked):
    """The cells of the record that have these settings; with more passes only where asked."""
    asked = {"longer": None, **asked}
    return [cell for cell in RECORD["cells"] if all(cell.get(k) == v for k, v in asked.items())]


def test_the_record_is_whole_and_its_numbers_follow_from_its_parts():
    rate, stated = RECORD["rate"], RECORD["stated"]
    single, = find(shards=1, rate=rate)
    assert single["less"]["hit10"]["mean"] == 0
    grid = [*((n, "pass") for n in study.SHARDS), *((study.TRIED, e) for e in study.EVERY)]
    cells = [find(shards=n, every=every, merge="mean", rate=rate)[0] for n, every in grid]
    cells += [find(shards=n, merge="alone")[0] for n in study.SHARDS]
    cells += [find(**asked)[0] for asked in (*RECORD["tried"], *RECORD["mended_by_shards"],
                                             RECORD["longer"], RECORD["longer_single"])]
    for cell in cells:
        for name in ("wordsim353.odd", "simlex999.odd", "hit10"):
            less = cell["less"][name]
            assert len(cell["scores"][name]) == len(RECORD["settings"]["seeds"])
            assert less["mean"] == pytest.approx(
                np.mean(cell["scores"][name]) - np.mean(single["scores"][name]), abs=1e-5)
            assert less["interval"][0] <= less["mean"] <= less["interval"][1]
    for name, own in RECORD["own"]["single"].items():
        assert own["mean"] == pytest.approx(np.mean(single["scores"][name]), abs=1e-5)
        assert own["interval"][0] < own["mean"] < own["interval"][1]
    longer, alone = (find(**RECORD[key])[0]["scores"] for key in ("longer", "longer_single"))
    for name, lead in RECORD["longer_lead"].items():
        assert lead["mean"] == pytest.approx(np.mean(longer[name]) - np.mean(alone[name]), abs=1e-5)
    where, *_ = find(**stated)
    assert RECORD["settings"]["seeds"] == list(study.SEEDS)
    assert RECORD["loss"]["mean"] == pytest.approx(-where["less"]["wordsim353.odd"]["mean"])


def test_the_speed_is_taken_by_round_and_ray_agrees_with_one_process():
    rows = [{"way": way, "round": i, "words_per_second": speed * slow}
            for i, slow in enumerate((1, 2)) for way, speed in (("single", 10), ("ray.2.pass", 15))]
    found = study.summarize(rows)
    assert found["ray.2.pass"]["ratio"]["mean"] == pytest.approx(1.5)
    speed = RECORD["speed"]
    assert speed["equal"]
    assert speed["summary"] == json.loads(json.dumps(study.summarize(speed["runs"])))
    assert {row["round"] for row in speed["runs"]} == set(range(study.ROUNDS))


def test_a_larger_rate_grows_with_the_shards():
    asked = {"shards": 8, "every": "pass", "merge": "mean", "rate": 0.8}
    assert study.for_shards(asked, 0.1, 4)["rate"] == pytest.approx(0.4)
    assert study.for_shards(asked, 0.1, 1)["rate"] == pytest.approx(0.1)
    assert study.for_shards({**asked, "rate": 0.1}, 0.1, 16) == {**asked, "shards": 16,
                                                                 "rate": 0.1}


def test_what_was_chosen_was_best_on_even_rows():
    def even(cell):
        return np.mean([cell["scores"][f"{name}.even"] for name in study.LISTS])

    rates = {cell["rate"]: even(cell) for cell in find(shards=1)}
    assert RECORD["rate"] == max(rates, key=rates.get)
    tried = [RECORD["stated"], *RECORD["tried"]]
    best = max(tried, key=lambda asked: even(find(**asked)[0]))
    assert RECORD["remedy"] == best
    rates_alone = [RECORD["stated"], *(asked for asked in RECORD["tried"]
                                       if asked["merge"] == "mean" and asked["every"] == "pass")]
    assert RECORD["scaled"] == max(rates_alone, key=lambda asked: even(find(**asked)[0]))
    control = RECORD["random"]
    assert abs(np.mean(control["wordsim353.odd"])) < 0.2
    assert abs(np.mean(control["hit10"]) - RECORD["chance"]) < 0.2
