"""People's ratings of word pairs: the lists that come with gensim, and their halves."""

from pathlib import Path

import numpy as np
from gensim.test.utils import datapath

LISTS = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}


def human_ratings(name: str) -> list[tuple[str, str, float]]:
    """(word, word, rating) of one of `LISTS`."""
    lines = Path(datapath(LISTS[name])).read_text("utf8").lower().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return [(a, b, float(rating)) for a, b, rating in rows]


def halves(vectors, name: str, known) -> dict[str, np.ndarray]:
    """(cosine, rating) of the pairs whose words are known: all, and those in even and odd rows.

    vectors : a gensim KeyedVectors; known : tells whether it has a vector for a word.
    """
    pairs = [(i % 2, vectors.similarity(a, b), rating) for i, (a, b, rating)
             in enumerate(human_ratings(name)) if known(a) and known(b)]
    half, *columns = np.array(pairs).T
    rows = np.column_stack(columns)
    return {"all": rows, "even": rows[half == 0], "odd": rows[half == 1]}
