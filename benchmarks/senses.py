"""From an emoji's name to the right sense in WordNet: by definitions, by the picture, by both.

`python benchmarks/senses.py` writes senses.json beside it in about a minute of one core. What is
right was judged by hand before any method ran: senses_judged.json, with its rule. `--draw` prints
the order in which emoji are judged, each with its candidate senses shuffled.
"""

import argparse
import json
import re
from functools import cache
from pathlib import Path

from mmfuse_utils.data import Collection, load_emoji
from mmfuse_utils.data.sources import package_path
from mmfuse_utils.data.splits import hash_text
from mmfuse_utils.data.wordnet import synsets
from mmfuse_utils.data.words import normalize

OUTPUT = Path(__file__).with_suffix(".json")
JUDGED = OUTPUT.with_name("senses_judged.json")


# Which senses there are, and which emoji are judged

# WordNet's own endings of plural nouns, as in its manual page morphy(7WN).
PLURALS = (("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"),
           ("men", "man"), ("ies", "y"))
REST = re.compile(r"[:,(“”]| (?:with|of|in|and|on|at|to|for|from|without|or) ")


@cache
def noun_senses() -> dict[str, tuple[str, ...]]:
    """Noun senses of each lemma in WordNet's order: those met most often in its tagged texts
    first, then those that were never met."""
    path = package_path("wordnet") / "package" / "dict" / "index.noun"
    return dict(map(parse_entry, (line for line in path.read_text("utf8").splitlines()
                                  if not line.startswith(" "))))


def parse_entry(line: str) -> tuple[str, tuple[str, ...]]:
    """One line of `index.noun`, see wndb(5WN): a lemma and its senses in order.

    >>> parse_entry("dodo n 2 2 @ #m 2 0 10042633 01813884  ")
    ('dodo', ('n10042633', 'n01813884'))
    """
    fields = line.split()
    senses = fields[-int(fields[2]):]
    return fields[0].replace("_", " "), tuple("n" + sense for sense in senses)


@cache
def times_met() -> dict[str, int]:
    """How often the first sense of each noun occurs in the texts that WordNet's makers tagged."""
    path = package_path("wordnet") / "package" / "dict" / "index.sense"
    rows = (line.split() for line in path.read_text("utf8").splitlines())
    return {key.split("%")[0].replace("_", " "): int(count) for key, _, place, count in rows
            if "%1:" in key and place == "1"}


def head(name: str, is_face: bool, senses: dict[str, tuple[str, ...]]) -> str | None:
    """What a name calls the thing: the longest end of its first phrase that is a noun lemma.

    is_face : whether a "face" at the end is what is meant; of a "tiger face" the tiger is.

    >>> head("ear of corn", False, {"ear": ("n1",)}), head("hot dogs", False, {"hot dog": ()})
    ('ear', 'hot dog')
    """
    words = REST.split(normalize(name))[0].split()
    if words[-1:] == ["face"] and len(words) > 1 and not is_face:
        words = words[:-1]
    for start in range(len(words)):
        phrase = " ".join(words[start:])
        forms = [phrase, *(phrase[:-len(end)] + new for end, new in PLURALS
                           if phrase.endswith(end))]
        for form in forms:
            if form in senses:
                return form
    return None


def order_to_judge(emoji: Collection) -> list[tuple[int, str]]:
    """Concepts whose noun has two senses or more, by hash, each noun once: (row, lemma)."""
    senses, found = noun_senses(), {}
    for row in sorted(range(len(emoji)), key=lambda row: hash_text(f"senses:{emoji.ids[row]}")):
        lemma = head(emoji.names["en"][row][0], emoji.groups[row] == "smileys-emotion", senses)
        if lemma is not None and len(senses[lemma]) > 1:
            found.setdefault(lemma, row)
    return [(row, lemma) for lemma, row in found.items()]


def print_to_judge(emoji: Collection, n: int) -> None:
    """Print what a judge reads: names and definitions, senses in an order drawn by hash."""
    for place, (row, lemma) in enumerate(order_to_judge(emoji)[:n]):
        print(f"{place} {emoji.ids[row]} {emoji.names['en'][row][0]!r}: {lemma}")
        for sense in sorted(noun_senses()[lemma],
                            key=lambda sense: hash_text(f"shuffle:{emoji.ids[row]}:{sense}")):
            synset = synsets()[sense]
            print(f"    {sense} [{', '.join(synset.lemmas)}] {synset.gloss}")


def main() -> None:
    """Print what is to be judged, or run the methods and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", type=int, help="print so many emoji to judge; runs nothing")
    args = parser.parse_args()
    if args.draw:
        print_to_judge(load_emoji(), args.draw)


if __name__ == "__main__":
    main()
