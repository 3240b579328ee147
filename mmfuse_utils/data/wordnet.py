"""WordNet: a clean English corpus of definitions, and a graph of relations."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import networkx as nx

from mmfuse_utils.cache import content_key
from mmfuse_utils.data import words
from mmfuse_utils.data.sources import SOURCES, package_path
from mmfuse_utils.data.words import tokens

PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
RELATIONS = {"@": "hypernym", "@i": "instance_hypernym", "#m": "member_of", "#p": "part_of",
             "#s": "substance_of", "!": "antonym", "&": "similar_to", "*": "entails",
             ">": "causes", "=": "attribute"}


@dataclass(frozen=True)
class Synset:
    """One sense: its identity such as "n00002684", lemmas, gloss, and (relation, id) pairs."""

    id: str
    lemmas: tuple[str, ...]
    gloss: str
    relations: tuple[tuple[str, str], ...]


def parse_line(line: str, part: str) -> Synset:
    """One line of a `data.*` file, as described in WordNet's manual page wndb(5WN).

    part : the file's part of speech, a value of `PARTS`.

    >>> parse_line("00002684 03 n 02 object 0 thing 1 001 @ 00001930 n 0000 | a tangible "
    ...            "entity", "n").lemmas
    ('object', 'thing')
    """
    data, _, gloss = line.partition("|")
    fields = data.split()
    n_lemmas = int(fields[3], 16)
    end = 4 + 2 * n_lemmas
    lemmas = [re.sub(r"\(\w+\)$", "", lemma) for lemma in fields[4:end:2]]
    pointers = fields[end + 1:end + 1 + 4 * int(fields[end])]
    relations = [(RELATIONS[symbol], target_part.replace("s", "a") + target)
                 for symbol, target, target_part in zip(*(pointers[i::4] for i in range(3)),
                                                        strict=True) if symbol in RELATIONS]
    return Synset(part + fields[0], tuple(lemma.replace("_", " ") for lemma in lemmas),
                  gloss.strip(), tuple(relations))


@cache
def synsets() -> dict[str, Synset]:
    """All senses by identity, in the order of the files; fetched on the first call."""
    folder = package_path("wordnet") / "package" / "dict"
    return {synset.id: synset for name, part in PARTS.items()
            for synset in _parse_file((folder / f"data.{name}").read_text("utf8"), part)}


def _parse_file(text: str, part: str) -> Iterator[Synset]:
    for line in text.splitlines():
        if line[:1].isdigit():  # the licence stands above, indented
            yield parse_line(line, part)


def corpus_key() -> str:
    """Cache key of what is trained on `load_sentences`: the package, and the code to read it."""
    code = [Path(module).read_bytes() for module in (__file__, words.__file__)]
    return content_key(SOURCES["wordnet"].integrity, code)


def load_sentences(hypernyms: bool = True) -> list[list[str]]:
    """One pseudo-sentence of tokens a sense: lemmas, gloss and examples, then hypernyms' lemmas.

    hypernyms : whether to add the lemmas of the senses just above.
    """
    table, sentences = synsets(), []
    for synset in table.values():
        texts = [*synset.lemmas, synset.gloss]
        if hypernyms:
            texts += [lemma for relation, target in synset.relations if "hypernym" in relation
                      for lemma in table[target].lemmas]
        sentences.append(tokens(" ".join(texts)))
    return sentences


def load_graph() -> nx.MultiDiGraph:
    """Senses as nodes (with `lemmas` and `gloss`), relations as edges (key: the relation)."""
    graph = nx.MultiDiGraph()
    for synset in synsets().values():
        graph.add_node(synset.id, lemmas=synset.lemmas, gloss=synset.gloss)
    for synset in synsets().values():
        graph.add_edges_from((synset.id, target, relation)
                             for relation, target in synset.relations)
    return graph
