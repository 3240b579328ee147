"""The script of the ladder on photographs: what it ranks and chooses, and what it wrote down."""

import base64
import json
import zlib
from pathlib import Path

import flickr8k as script
import numpy as np
import pytest

from mmfuse_utils.metrics import ranks
from mmfuse_utils.retrieval import csls

RECORDS = sorted(Path(script.__file__).parent.glob("flickr8k_*.json"))


def decode(line):
    return np.frombuffer(zlib.decompress(base64.b64decode(line)), np.uint16)


def test_both_directions_are_ranked_with_five_right_captions():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(15, 3)).round(1)        # three pictures, five captions each; ties
    i2t, t2i = script.rank_both(table)
    for picture in range(3):
        own = table[5 * picture:5 * picture + 5, picture]
        others = np.delete(table[:, picture], slice(5 * picture, 5 * picture + 5))
        assert i2t[picture] == 1 + (others >= own.max()).sum()
    for caption in range(15):
        own = table[caption, caption // 5]
        assert t2i[caption] == (table[caption] >= own).sum()
    assert script.score(np.kron(np.eye(3), np.ones((5, 1)))) == 1


def test_ranks_are_written_down_whole():
    numbers = np.array([1, 5000, 17])
    assert decode(script.encode(numbers)).tolist() == numbers.tolist()


def test_a_sum_is_climbed_as_long_as_it_pays(monkeypatch):
    right = np.kron(np.eye(4), np.ones((5, 1)))
    rng = np.random.default_rng(0)
    tables = {"good": right + rng.normal(size=right.shape), "other": right + rng.normal(
        size=right.shape), "noise": rng.normal(size=right.shape)}
    monkeypatch.setattr(script, "RUNGS", {name: script.Rung((), ({},)) for name in tables})
    monkeypatch.setattr(script, "similarity", lambda name, *others, **more: tables[name])
    chosen = {name: (0, []) for name in tables}
    members = script.climb(tuple(tables), chosen)
    assert set(members) >= {"good"} and script.score(
        script.added(members, chosen, "choose", 1)) >= max(map(script.score, tables.values()))


def test_known_queries_take_from_hubs_and_each_query_is_answered_by_itself(monkeypatch):
    """The margins are those of CSLS with a bank; other queries do not matter."""
    monkeypatch.setattr(script, "N_BANK", 4)
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(15 + 20, 3 + 4))
    marked = script.with_margins(whole)
    held, captions, pictures = whole[:15, :3], whole[15:, :3], whole[:15, 3:]
    assert np.allclose(marked[:-1, :-1], held)
    monkeypatch.setattr(script, "RUNGS", {"one": script.Rung((), ({},))})
    monkeypatch.setattr(script, "similarity", lambda *others, margins: marked)
    table = script.added(["one"], {"one": (0, [])}, "dev", is_corrected=True)
    i2t, t2i = script.rank_both(table)
    owner = np.repeat(np.arange(3), 5)
    right = owner[:, None] == np.arange(3)
    for query in range(15):                 # one query at a time, by the package's own function
        alone = csls(held[query:query + 1], bank=captions)
        assert ranks(alone, right[query:query + 1])[0] == t2i[query]
    for query in range(3):
        alone = csls(held.T[query:query + 1], bank=pictures.T)
        assert ranks(alone, right.T[query:query + 1])[0] == i2t[query]


def test_every_rung_has_its_control():
    """A sum of word vectors is compared with the same sum over random ones."""
    for name in script.WITH_WORDS:
        assert script.RANDOM.get(name, f"{name}, random") in script.RUNGS
    assert {*script.ALONE, *script.WITH_WORDS} <= script.RUNGS.keys()


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_the_record_is_whole_and_its_choices_are_the_best(path):
    record = json.loads(path.read_text("utf8"))
    n_pictures = record["photographs"]["validation" if record["split"] == "dev" else "test"]
    assert record["rungs"].keys() == script.RUNGS.keys()
    for row in [*record["rungs"].values(), *record["learned"].values(),
                *(row for row in record["sums"].values() if isinstance(row, dict))]:
        for way, n in (("i2t", n_pictures), ("t2i", 5 * n_pictures)):
            for line in row[way]:
                found = decode(line)
                assert len(found) == n and found.min() >= 1
                assert found.max() <= (n if way == "t2i" else 5 * n)
    for name, row in record["rungs"].items():
        settings, scores = row["choices"]
        if len(settings) > 1:
            assert row["setting"] == settings[int(np.argmax(scores))], name
        assert len(row["i2t"]) == len(row["seeds"])


@pytest.mark.skipif("not __import__('os').environ.get('MMFUSE_FLICKR8K')",
                    reason="optional: MMFUSE_FLICKR8K names no copy of the photographs")
def test_stages_never_train_on_what_they_rank():
    choose, dev, few = (script.stage(name) for name in ("choose", "dev", "dev 20"))
    bank = script.stage("dev bank")
    assert bank.train == dev.train and bank.held[:len(dev.held)] == dev.held
    assert {*bank.held[len(dev.held):]} <= {*dev.train} and len(bank.held) == len(
        dev.held) + script.N_BANK
    official = script.photographs().official
    assert not {*choose.train} & {*choose.held} and len(choose.held) == script.N_CHOOSE
    assert {*choose.train} | {*choose.held} == {*dev.train} == {*official.train.tolist()}
    assert {*dev.held} == {*official.validation.tolist()} and not {*dev.train} & {*dev.held}
    assert len(few.train) == 20 and {*few.train} <= {*dev.train} and few.held == dev.held
