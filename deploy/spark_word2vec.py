"""The book's corpus through Spark's word2vec, in a growing number of partitions.

    pip install pyspark                      # needs Java 17 or newer
    python deploy/spark_word2vec.py          # local mode; prints WordSim and SimLex by partitions

NOT RUN by the book, whose machine has no Java: its parts without Spark are tested, the rest is
checked against Spark's documentation alone. Spark trains skip-gram with hierarchical softmax, not
with negative sampling, and averages a word's vectors once a pass over the partitions that moved it.
So its scores are not those of `benchmarks/scale_shards.py`, but the trend should be alike.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from gensim.models import KeyedVectors
from scipy.stats import spearmanr

from mmfuse_utils.data import load_sentences

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
from ratings import LISTS, halves  # noqa: E402

SETTINGS = {"vectorSize": 50, "windowSize": 5, "minCount": 5, "maxIter": 3, "stepSize": 0.025}


def settings(partitions: int, seed: int) -> dict:
    """What `pyspark.ml.feature.Word2Vec` is asked for."""
    return {**SETTINGS, "numPartitions": partitions, "seed": seed, "inputCol": "tokens",
            "outputCol": "vector"}


def keyed(rows: list) -> KeyedVectors:
    """Vectors from Spark's rows of word and vector."""
    vectors = KeyedVectors(SETTINGS["vectorSize"])
    vectors.add_vectors([row["word"] for row in rows],
                        np.array([np.asarray(row["vector"]) for row in rows], np.float32))
    return vectors


def scores(vectors: KeyedVectors) -> dict[str, float]:
    """Rank correlation with people's ratings, on odd rows."""
    found = {name: halves(vectors, name, vectors.key_to_index.__contains__)["odd"]
             for name in LISTS}
    return {name: float(spearmanr(*rows.T).statistic) for name, rows in found.items()}


def main() -> None:
    """Train and print, one line for each number of partitions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    from pyspark.ml.feature import Word2Vec
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.master("local[*]").appName("word2vec in shards").getOrCreate()
    try:
        rows = [(tokens,) for tokens in load_sentences()]
        frame = spark.createDataFrame(rows, "tokens array<string>").cache()
        for partitions in options.partitions:
            model = Word2Vec(**settings(partitions, options.seed)).fit(frame)
            print(partitions, scores(keyed(model.getVectors().collect())), flush=True)
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
