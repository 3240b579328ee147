"""From words to vectors: tokens, the prepared word vectors, and one vector a text."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain, count
from numbers import Real
from pathlib import Path

import gensim
import numpy as np
from gensim.models import KeyedVectors, Word2Vec
from gensim.models.word2vec import MAX_WORDS_IN_BATCH
from gensim.models.callbacks import CallbackAny2Vec
from tqdm import tqdm

from mmfuse_utils.cache import cache_dir, content_key, load_kept
from mmfuse_utils.data import Collection, load_sentences
from mmfuse_utils.data.segment import segment
from mmfuse_utils.data.wordnet import corpus_key
from mmfuse_utils.data.words import tokens as tokenize

__all__ = ["SETTINGS", "cached_vectors", "caption_tokens", "concept_tokens", "idf_weights",
           "index_corpus", "load_word_vectors", "random_vectors", "segment", "sentence_vectors",
           "tokenize", "train_word_vectors"]

# Skip-gram with negative sampling. One worker: gensim with several is not reproducible.
SETTINGS = {"vector_size": 100, "window": 10, "min_count": 2, "sample": 1e-4, "alpha": 0.05,
            "epochs": 10, "sg": 1, "negative": 5, "seed": 1, "workers": 1}


def check_tokens(token_lists: Iterable[Sequence[str]]) -> list[Sequence[str]]:
    """Lists of tokens, as a list; TypeError for plain text and for tokens that are no texts.

    A text is a sequence of texts itself, its letters, which would be taken for words.

    >>> check_tokens([["a", "cat"], ("b",), []])
    [['a', 'cat'], ('b',), []]
    """
    wanted = "Expected lists of tokens such as [['a', 'cat'], ['b']], see `tokenize`; got"
    if isinstance(token_lists, (str, bytes)) or not isinstance(token_lists, Iterable):
        raise TypeError(f"{wanted} {token_lists!r}.")
    checked = []
    for row, tokens in enumerate(token_lists):
        if isinstance(tokens, (str, bytes)) or not isinstance(tokens, Iterable):
            raise TypeError(f"{wanted} {tokens!r} in place of list {row}.")
        tokens = tokens if isinstance(tokens, (list, tuple)) else list(tokens)
        if not all(isinstance(token, str) for token in tokens):
            odd = next(token for token in tokens if not isinstance(token, str))
            raise TypeError(f"{wanted} the token {odd!r} in list {row}.")
        checked.append(tokens)
    return checked


def index_corpus(sentences: Iterable[Sequence[str]], min_count: int
                 ) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]:
    """Count the words of token lists and turn the lists into word rows.

    Returns the words that occur min_count times, most frequent first; their counts (n_words,);
    for each of their tokens, in order, the word's row and the sentence's number (n_tokens,).
    Raises TypeError for plain text, ValueError where no two such words share a sentence.

    >>> vocabulary, counts, words, sentence = index_corpus([["a", "b"], ["b", "a", "b"]], 1)
    >>> vocabulary, counts.tolist(), words.tolist(), sentence.tolist()
    (('b', 'a'), [3, 2], [1, 0, 0, 1, 0], [0, 0, 1, 1, 1])
    """
    sentences = check_tokens(sentences)
    found = defaultdict(count().__next__)       # a number for each word, by first occurrence
    words = np.fromiter(map(found.__getitem__, chain.from_iterable(sentences)), np.int32)
    counts = np.bincount(words, minlength=len(found))
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] >= min_count]
    row = np.full(len(found), -1, np.int32)
    row[order] = np.arange(len(order))
    words = row[words]
    sentence = np.repeat(np.arange(len(sentences), dtype=np.int32), list(map(len, sentences)))
    words, sentence = words[words >= 0], sentence[words >= 0]
    if len(order) < 2 or np.bincount(sentence).max() < 2:
        raise ValueError(f"no two words that occur min_count={min_count} times share a "
                         f"sentence, in {len(sentences)} of them: give more text, or lower it")
    names = list(found)
    return tuple(names[i] for i in order), counts[order], words, sentence


class _Progress(CallbackAny2Vec):
    def __init__(self, epochs: int) -> None:
        self.bar = tqdm(total=epochs, desc="Training word vectors", unit="epoch")

    def on_epoch_end(self, model: Word2Vec) -> None:
        self.bar.update()

    def on_train_end(self, model: Word2Vec) -> None:
        self.bar.close()


def train_word_vectors(sentences: Iterable[Sequence[str]], **settings: object) -> KeyedVectors:
    """Train word2vec with gensim on token lists; `settings` override `SETTINGS`.

    gensim leaves out what comes after the 10,000th token of a list, so longer ones are cut into
    pieces; no window reaches across a cut. Raises TypeError as `check_tokens` does, ValueError
    when nothing is left to learn from.

    >>> vectors = train_word_vectors([["red", "apple"], ["green", "apple"]] * 20, epochs=1)
    >>> vectors["apple"].shape
    (100,)
    """
    settings = {**SETTINGS, **settings}
    sentences = check_tokens(sentences)
    counts = Counter(chain.from_iterable(sentences))
    if max(counts.values(), default=0) < settings["min_count"] or settings["epochs"] < 1:
        raise ValueError("Training needs a word that occurs min_count times and an epoch or more; "
                         f"got {max(counts.values(), default=0)} times at most, with min_count="
                         f"{settings['min_count']} and epochs={settings['epochs']}.")
    pieces = [tokens[start:start + MAX_WORDS_IN_BATCH] for tokens in sentences
              for start in range(0, len(tokens), MAX_WORDS_IN_BATCH)]
    return Word2Vec(pieces, callbacks=[_Progress(settings["epochs"])], **settings).wv


def cached_vectors(key: str, train: Callable[[], KeyedVectors]) -> KeyedVectors:
    """Word vectors kept in the cache under a key; trained once, under a lock.

    train : called without arguments when they are not there yet, or damaged.
    """
    def make(folder: Path) -> None:
        vectors = train()
        folder.mkdir()
        vectors.lifecycle_events = None     # gensim would add the date, the machine and the path
        vectors.save(str(folder / "vectors"))

    return load_kept(cache_dir() / "words" / key, make,
                     lambda folder: KeyedVectors.load(str(folder / "vectors")))


@cache
def load_word_vectors() -> KeyedVectors:
    """The book's word vectors: 100 dimensions, trained on WordNet's entries; kept in the cache.

    An entry holds synonyms, definition, examples and the names of its hypernyms; see
    `load_sentences`. The first call trains them, which takes a few minutes on one core.
    """
    key = content_key("word2vec", corpus_key(), SETTINGS, gensim.__version__)
    return cached_vectors(key, lambda: train_word_vectors(load_sentences()))


def random_vectors(vectors: KeyedVectors, seed: int = 0) -> KeyedVectors:
    """Control: the same vocabulary, every vector drawn from a standard normal distribution.

    What these vectors score is what comes from matching words alone, without meaning.
    """
    control = KeyedVectors(vectors.vector_size)
    draws = np.random.default_rng(seed).standard_normal(vectors.vectors.shape)
    control.add_vectors(vectors.index_to_key, draws.astype(np.float32))
    return control


def concept_tokens(collection: Collection, lang: str = "en", keywords: bool = True
                   ) -> list[list[str]]:
    """Tokens of each concept's name, followed by those of its keywords, as `segment` cuts them.

    keywords : False for the name alone. Where there are captions alone, those of a concept
        follow each other; for one list of tokens a caption see `caption_tokens`.

    Raises ValueError for a language without texts.
    """
    fields = [collection.names, collection.keywords] if keywords else [collection.names]
    found = [texts[lang] for texts in fields if lang in texts] or [
        texts[lang] for texts in (collection.captions,) if lang in texts]
    if not found:
        raise ValueError(f"There are no texts in {lang!r}; there are some in: "
                         f"{', '.join({**collection.names, **collection.captions}) or 'none'}.")
    return segment((" ".join(chain.from_iterable(parts)) for parts in zip(*found, strict=True)),
                   lang)


def caption_tokens(collection: Collection, lang: str | None = None,
                   concepts: Sequence[int] | None = None) -> tuple[list[list[str]], np.ndarray]:
    """Tokens of each caption, and the concept that it tells of: n_captions lists, (n_captions,).

    lang, concepts : see `Collection.caption_table`, which also says what is raised.

    >>> pets = Collection(("1.jpg", "2.jpg"), captions={"en": (("A dog.", "A pug!"), ("a cat",))})
    >>> lists, concept = caption_tokens(pets)
    >>> lists, concept.tolist()
    ([['a', 'dog'], ['a', 'pug'], ['a', 'cat']], [0, 0, 1])
    """
    table = collection.caption_table(concepts, lang)
    return [tokenize(text) for text in table.text], table.concept_row


def idf_weights(token_lists: Sequence[Sequence[str]]) -> dict[str, float]:
    """Inverse document frequency of each word: log(n_texts / n_texts that hold it).

    Raises TypeError as `check_tokens` does.

    >>> idf_weights([["red", "apple"], ["red", "car"]])["red"]
    0.0
    """
    token_lists = check_tokens(token_lists)
    counts = Counter(word for tokens in token_lists for word in set(tokens))
    return {word: float(np.log(len(token_lists) / count)) for word, count in counts.items()}


def sentence_vectors(token_lists: Sequence[Sequence[str]], vectors: KeyedVectors,
                     weights: Mapping[str, float] | None = None) -> np.ndarray:
    """Weighted mean of each text's unit word vectors, scaled to length 1: (n_texts, dim).

    weights : by word, 1 for a word that is not in it. Words without a vector, or with one of
        zeros, which has no direction, are left out; a text with no known word gets a row of
        zeros, which is equally far from everything.

    Raises TypeError as `check_tokens` does, ValueError for a vector that is infinite or not a
    number, and for a weight that is neither 0 nor of a size from 1e-9 to 1e9.

    Source: Mikolov et al. (2013) for the mean as a phrase vector.

    >>> kv = KeyedVectors(2); kv.add_vectors(["red", "car"], np.eye(2))
    >>> sentence_vectors([["red", "car"], ["zzz"]], kv).round(2).tolist()
    [[0.7099999785423279, 0.7099999785423279], [0.0, 0.0]]
    """
    token_lists = check_tokens(token_lists)
    known = set(chain.from_iterable(token_lists)) & vectors.key_to_index.keys()
    weights = {} if weights is None else weights
    units = {word: _weighted_unit(word, vectors, weights.get(word, 1.0)) for word in known}
    rows = np.zeros((len(token_lists), vectors.vector_size), dtype=np.float32)
    for row, tokens in zip(rows, token_lists, strict=True):
        for word in tokens:
            if word in known:
                row += units[word]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=rows, where=lengths > 0)


def _weighted_unit(word: str, vectors: KeyedVectors, weight: float) -> np.ndarray:
    """The word's vector at length `weight`; zeros stay zeros."""
    vector = vectors.get_vector(word)
    length = np.linalg.norm(vector)
    if not np.isfinite(length):
        raise ValueError(f"The vector of {word!r} is infinite or not a number, so no mean can be "
                         "made of it.")
    if not isinstance(weight, Real) or not (weight == 0 or 1e-9 <= abs(weight) <= 1e9):
        raise ValueError(f"The weight of {word!r} must be 0 or a number of a size from 1e-9 to "
                         f"1e9; got {weight!r}.")
    return float(weight) * (vector / length if length > 0 else vector)
