"""Search past one machine: shards, predictions, the client, and a record that fits the page."""

import ast
import importlib.util
import json
import sys
import types

import numpy as np
import pytest
import scale_search as study
from threadpoolctl import threadpool_limits

from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.search import search


class Small(study.Gallery):
    """A gallery of 3,000 vectors without the book's data, in chunks of a thousand."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.chunk, self.n_validation = 1000, 5
        self.basis = unit_rows(rng.normal(size=(50, study.DIM)).astype(np.float32))
        self.queries = unit_rows(rng.normal(size=(20, study.DIM)).astype(np.float32))


@pytest.fixture(scope="module")
def gallery():
    return Small()


@pytest.fixture(scope="module")
def vectors(gallery):
    return np.concatenate([rows for _, rows in gallery.chunks(3000)])


def test_chunks_are_the_same_each_time_and_a_smaller_gallery_is_their_beginning(gallery, vectors):
    again = np.concatenate([rows for _, rows in gallery.chunks(1500)])
    assert np.array_equal(again, vectors[:1500])
    assert not np.array_equal(vectors[:1000], vectors[1000:2000])
    wanted = np.array([7, 1999, 2000])
    found = gallery.rows(wanted, 3000)
    assert all(np.array_equal(found[i], vectors[i]) for i in wanted)


def test_truth_by_chunks_is_exact_search_at_every_size(gallery, vectors):
    exact = study.truths(gallery, [300, 1000, 2500])
    for n, ids in exact.items():
        assert np.array_equal(ids, search(gallery.queries, vectors[:n], study.K)[0])


def test_merged_shards_give_the_list_of_all_also_where_scores_are_equal():
    ids, scores = np.array([[7, 3, 9, 1]]), np.array([[0.5, 0.5, 0.2, 0.9]])
    assert study.merge(ids, scores, 3)[0].tolist() == [[1, 3, 7]]


def test_all_cells_visited_by_exact_codes_find_nearly_all(gallery, vectors):
    exact = study.truths(gallery, [3000])[3000]
    with threadpool_limits(1):
        index = study.learn("int8", 3000, vectors, None)[0]
        cells, finding, coding = study.fill(index, gallery, 3000)
    assert len(finding) == len(coding) == 3 and index.ntotal == 3000
    index.nprobe = index.nlist
    found = study.digits(index.search(gallery.queries, study.K)[1], exact)
    assert sum(map(study.DIGITS.index, found)) >= 9.5 * len(found)
    seen, inside = study.visited(index, gallery.queries, cells, exact, index.nlist)
    assert seen == [3000] * 20 and inside == [10] * 20
    index.nprobe = 1
    seen, inside = study.visited(index, gallery.queries, cells, exact, 1)
    found = study.digits(index.search(gallery.queries, study.K)[1], exact)
    assert all(study.DIGITS.index(x) <= most for x, most in zip(found, inside, strict=True))
    assert 0 < np.mean(seen) < 3000 / 2


def test_a_second_look_at_all_candidates_is_exact(gallery, vectors):
    exact = study.truths(gallery, [3000])[3000]
    candidates = np.argsort(-(gallery.queries @ vectors.T), axis=1)[:, :40]
    mixed = np.random.default_rng(0).permuted(candidates, axis=1)
    looked = study.second_look(gallery, 3000, {"pq16": {4: mixed}}, exact)
    assert looked["pq16"]["4"] == "a" * 20
    without = mixed.copy()
    without[0] = -1                                     # an index may name fewer than asked
    assert study.second_look(gallery, 3000, {"pq16": {4: without}}, exact)["pq16"]["4"][0] == "0"


def test_the_client_is_short():
    tree = ast.parse(study.OUTPUT.with_suffix(".py").read_text("utf8"))
    text = study.OUTPUT.with_suffix(".py").read_text("utf8")
    parts = [ast.get_source_segment(text, node) for node in tree.body
             if getattr(node, "name", "") in ("connect", "store", "nearest")]
    lines = [line for part in parts for line in part.splitlines() if line.strip()]
    assert len(parts) == 3 and len(lines) <= 25
    assert max(map(len, lines)) <= 79


@pytest.mark.parametrize(("script", "names"), [
    ("scale_search.py", ("connect", "store", "nearest")),
    ("scale_ray.py", ("Extractor", "ray_features"))])
def test_the_page_shows_the_code_that_ran(script, names):
    page = json.loads((study.OUTPUT.parents[1] / "notebooks" / "24_scale.ipynb").read_text("utf8"))
    shown = "\n".join("".join(cell["source"]) for cell in page["cells"])
    text = study.OUTPUT.with_name(script).read_text("utf8")
    parts = {node.name: ast.get_source_segment(text, node) for node in ast.parse(text).body
             if getattr(node, "name", "") in names}
    assert set(parts) == set(names)
    assert [name for name, part in parts.items() if part not in shown] == []


@pytest.mark.skipif(importlib.util.find_spec("qdrant_client") is None,
                    reason="optional: qdrant-client is in the extra `benchmark`")
def test_the_client_finds_what_exact_search_finds(tmp_path, vectors, gallery):
    rows, groups = vectors[:200], ["a", "b"] * 100
    client = study.connect(str(tmp_path))
    study.store(client, "pictures", rows, groups, shards=2, replicas=2)
    client.close()
    client = study.connect(str(tmp_path))
    exact, scores = search(gallery.queries, rows, 5)
    for query, ids, values in zip(gallery.queries, exact, scores, strict=True):
        found = study.nearest(client, "pictures", query, 5)
        assert found[0] == ids.tolist() and np.allclose(found[1], values, atol=1e-5)
        assert all(i % 2 for i in study.nearest(client, "pictures", query, 5, "b")[0])
    client.close()


def test_an_address_is_asked_over_the_network_and_a_folder_is_not(monkeypatch):
    asked = []
    monkeypatch.setitem(sys.modules, "qdrant_client", types.SimpleNamespace(
        QdrantClient=lambda **where: asked.append(where)))
    study.connect("http://127.0.0.1:6333")
    study.connect("folder")
    assert asked == [{"url": "http://127.0.0.1:6333"}, {"path": "folder"}]


def test_the_record_is_whole():
    recorded = json.loads(study.OUTPUT.read_text("utf8"))
    assert set(recorded) == set(study.PARTS) and all(part["date"] for part in recorded.values())
    sizes = recorded["sizes"]["result"]
    n_queries, probes = sizes["queries"], {str(probe) for probe in study.PROBES}
    assert set(sizes["by_size"]) == {str(n) for n in study.SIZES}
    for n, row in sizes["by_size"].items():
        assert row["cells"] == study.n_cells(int(n))
        assert len(row["builds"]) == study.SIZES[int(n)]
        for code, one in row["codes"].items():
            assert set(one["by_probe"]) == probes
            assert all(len(x["found"]) == n_queries for x in one["by_probe"].values())
            assert one["bytes"] == (study.CODES[code] + 8) * int(n) + 256 * row["cells"]
            if "serialized" in one:         # what is counted is what FAISS would write
                assert 0 <= one["serialized"] - one["bytes"] < 100_000
        # No code finds what the visited cells do not hold.
        for probe in probes:
            held = row["visited"][probe]["of_ten"]
            found = row["codes"]["int8"]["by_probe"][probe]["found"]
            assert all(study.DIGITS.index(x) <= most for x, most in zip(found, held, strict=True))
    queries = recorded["queries"]["result"]
    assert set(queries["found"]) == set(sizes["by_size"])
    assert all(len(queries["microseconds"][n][p]) == queries["queries"]
               for n in queries["found"] for p in probes)


def test_recorded_shards_agree_with_the_proof():
    shards = json.loads(study.OUTPUT.read_text("utf8"))["shards"]["result"]
    n = len(shards["exact_same"])
    assert shards["exact_same"] == "1" * n
    assert np.shape(shards["wall_microseconds"]) == (shards["rounds"], n, shards["shards"])
    assert {len(shards[key]) for key in ("cells_same", "one", "many", "one_microseconds")} == {n}
