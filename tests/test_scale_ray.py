"""Features and shards under Ray: equal to plain loops, also when a worker dies; and the record."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import ray
import scale_ray as study
import scale_shards as shards

from mmfuse_utils.data import load_emoji

RECORD = json.loads(study.OUTPUT.read_text("utf8")) if study.OUTPUT.exists() else {}
N_PICTURES = 72
SETTINGS = {"dim": 8, "window": 2, "epochs": 2, "min_count": 1, "subsample": 0, "progress": False}


@pytest.fixture(scope="module")
def session():
    """Ray on this machine, once for all tests of this file."""
    before = dict(os.environ)
    study.start_session()
    yield
    ray.shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A list of pictures in Parquet, and their features by the plain loop."""
    folder = tmp_path_factory.mktemp("features")
    study.list_pictures(load_emoji().pictures.path[:N_PICTURES], folder / "list")
    study.loop_features(folder / "list", folder / "plain", 1)
    return folder


def test_rays_features_are_the_loops(session, folder):
    study.ray_features(folder / "list", folder / "ray", 1)
    table = pq.read_table(folder / "ray")
    assert sorted(table["row"].to_pylist()) == list(range(N_PICTURES))
    plain = study.read_features(folder / "plain")
    assert plain.shape == (N_PICTURES, 1280) and plain.std() > 0.01
    assert np.abs(study.read_features(folder / "ray") - plain).max() <= study.TOLERANCE


def test_what_a_killed_worker_had_is_computed_again(session, folder):
    mark = folder / "killed"
    study.ray_features(folder / "list", folder / "fragile", 2, study.Fragile,
                       fn_constructor_args=(str(mark),))
    assert mark.exists()        # a worker did die
    table = pq.read_table(folder / "fragile")
    assert sorted(table["row"].to_pylist()) == list(range(N_PICTURES))
    features = study.read_features(folder / "fragile")
    assert np.abs(features - study.read_features(folder / "plain")).max() <= study.TOLERANCE


def test_actors_and_one_process_give_the_same_word_vectors(session):
    rng = np.random.default_rng(0)
    words = np.sort(rng.integers(0, 50, (300, 8)), axis=1).astype(np.int32).ravel()
    dealt = shards.deal(words, np.repeat(np.arange(300, dtype=np.int32), 8), 2, piece=300)
    counts = np.bincount(words, minlength=50)
    steps, table = 2 * len(dealt[0]), shards.first_table(50, 8, 3)
    found = []
    for kind, ask in ((shards.Worker, shards.ask), (ray.remote(shards.Worker).remote,
                                                    shards.ask_ray)):
        workers = [kind(SETTINGS, counts, shard, 3, i) for i, shard in enumerate(dealt)]
        found.append(shards.train(workers, table, steps, 2, 0.05, shards.moved, ask))
    np.testing.assert_array_equal(*found)
    assert not np.array_equal(found[0], table)


def test_rates_and_ratios_are_taken_within_a_round():
    def row(way, pictures, number, seconds):
        return {"way": way, "pictures": pictures, "round": number, "seconds": seconds}
    rows = []
    for number, slow in enumerate((1, 3)):      # a busy round slows all ways alike
        rows.append(row("inner.2", 50, number, slow * 8))
        for way, fixed, each in (("loop.1", 0, 0.1), ("ray.1", 5, 0.1), ("loop.2", 0, 0.08),
                                 ("ray.2", 5, 0.05)):
            rows += [row(way, n, number, slow * (fixed + each * n)) for n in (50, 100)]
    found = study.summarize(rows)
    assert found["ratio"]["one"]["100"]["mean"] == pytest.approx(10 / 15)
    assert found["ratio"]["two"]["100"]["mean"] == pytest.approx(8 / 10)
    assert found["long_run"]["one"]["mean"] == pytest.approx(1)
    assert found["long_run"]["two"]["mean"] == pytest.approx(1.6)
    assert found["inner"]["mean"] == pytest.approx(4 / 8)
    assert found["fixed_seconds"]["ray.1"]["mean"] == pytest.approx(10)


def test_the_record_is_whole():
    sizes = RECORD["settings"]["sizes"]
    wanted = (len(study.WAYS) * len(sizes) + 1) * RECORD["settings"]["rounds"]
    assert len(RECORD["runs"]) == wanted
    assert RECORD["equal"]["max_difference"] <= study.TOLERANCE
    assert RECORD["killed"]["kills"] == 1
    assert RECORD["killed"]["max_difference"] <= study.TOLERANCE
    assert RECORD["summary"] == json.loads(json.dumps(study.summarize(RECORD["runs"])))
    assert Path(study.OUTPUT).name == "scale_ray.json"
