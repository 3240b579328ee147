"""The card of an artefact: what it holds, whose work that is, what it is for, and its faults."""

from collections import Counter
from collections.abc import Mapping, Sequence

from mmfuse_utils.data.sources import SOURCES

# Where the book measured what is built here, on pictures and words that it had not seen. The
# numbers stand in the ledger, with their intervals; a card repeats none, so that none gets old.
MEASURED = {
    "emoji": ("fusion.strict.ridge.t2i.hit10", "fusion.strict.soft_conse.t2i.hit10",
              "fusion.strict.t2i.hit10", "fusion.maker_loss.t2i.hit10"),
    "folder": ("own.no_pairs.soft.hit10", "own.learned.sum.n100.hit10",
               "own.learned.sum.n1200.hit10", "own.learning_pays_from", "own.one_folder.width")}
UNFAIR = ("trust.weat_career.wide", "trust.man_above_woman", "trust.tone_first.medium",
          "trust.neutral_is_man.openmoji")
READ_BACK = ("trust.inversion_recall.wide",)
ALSO = "The networks learned from ImageNet's photographs; their weights are licensed Apache-2.0."


def write_card(facts: Mapping, items: Sequence[Mapping]) -> str:
    """The model card and the data card of an artefact, as Markdown.

    facts, items : what the artefact says of itself; see `mmfuse_utils.service.artefact`. Of a
        reader's own folder no title and no caption is repeated, as a card may be passed on.
    """
    own = facts["source"] != "emoji"
    parts = (_opening(facts, own), _model(facts), _data(facts, items, own), _use(own),
             _quality(facts, own), _fairness(own), _unknown() if own else "")
    return "\n\n".join(filter(None, parts)) + "\n"


def _opening(facts: Mapping, own: bool) -> str:
    what = "your own pictures" if own else "emoji"
    return (f"# Card of a search over {what}\n\n"
            f"Built {facts['built']} by the book *Words Meet Pixels* with "
            f"{_listed(f'{name} {number}' for name, number in facts['made_with'].items())}. "
            f"It answers a phrase or a picture with the nearest of {_count(facts, 'items')} "
            f"pictures. `manifest.json` has all settings, and a checksum of every file.")


def _model(facts: Mapping) -> str:
    settings = facts["settings"]
    vectors = settings["word_vectors"]
    return (f"## Model\n\n{facts['method']}\n\n"
            f"- **Words**: {_count(facts, 'words')} words of English, each a vector of "
            f"{settings['dim']} numbers by skip-gram with negative sampling (window "
            f"{vectors['window']}, {vectors['epochs']} epochs, seed {vectors['seed']}), learned "
            "from WordNet's definitions and examples. A word that is not among them is named in "
            f"the answer and has no part in it.\n"
            f"- **Pictures**: {_listed(settings['networks'])}, shown a square of "
            f"{settings['size']} pixels. {ALSO}\n"
            "- **Score**: a cosine, the exact sum of a part for each known word of a phrase; it "
            "orders the pictures of one search and is no probability.")


def _data(facts: Mapping, items: Sequence[Mapping], own: bool) -> str:
    lines = ["## Data", ""]
    if own:
        lines += [f"- {_count(facts, 'pictures')} pictures of a folder, "
                  f"{_count(facts, 'captions')} captions. Small copies of the pictures and their "
                  "captions are in this folder: whoever has it has them. Their license is yours "
                  "to know."]
    else:
        lines += [f"- {_count(facts, 'items')} concepts, each the mean of its drawings in up to "
                  f"seven art styles, {_count(facts, 'pictures')} drawings in all.", "",
                  "| Group | Concepts |", "|---|---|"]
        groups = Counter(item["group"] for item in items)
        lines += [f"| {name.replace('-', ' and ')} | {groups[name]} |" for name in facts["groups"]]
        lines += ["", "| Picture that is shown | Concepts |", "|---|---|"]
        lines += [f"| {name} | {n} |" for name, n in
                  Counter(item["credit"] for item in items).most_common()]
    return "\n".join([*lines, "", *_packages(facts["data"]), "",
                      "- **Language**: English. Words of other languages are unknown here."])


def _packages(data: Mapping) -> list[str]:
    """Who made what it was built from, and the license, package by package."""
    sources = {source.name: source for source in SOURCES.values()}
    lines = ["| Package | Version | What | By | License |", "|---|---|---|---|---|"]
    for name, pin in data.items():
        source = sources.get(name)
        told = (source.what, source.attribution, source.licence) if source else ("", "", "")
        lines += [f"| {name} | {pin['version']} | {' | '.join(told)} |"]
    return lines


def _use(own: bool) -> str:
    not_for = ("to find or to judge people, to decide anything about anybody, to filter what must "
               "not be shown, or as proof that a picture is not there")
    pictures = "one's own pictures" if own else "emoji"
    return (f"## What it is for\n\nTo look through {pictures} by words on one machine, and to see "
            f"how such a search is made. It is **not** meant {not_for}: a search always returns "
            "the nearest pictures, however far they are.")


def _quality(facts: Mapping, own: bool) -> str:
    names = _keys(MEASURED["folder" if own else "emoji"])
    if not own:
        return ("## How well it works\n\nThe map of this artefact has learned from **all** "
                "concepts that it serves, those too that the book holds back for its tests; so no "
                "number taken on these pictures would be fair, and none is given. Methods of its "
                f"kind were measured on concepts that they had not seen: see {names} in the "
                "book's ledger, each with an interval, chance and a control.")
    learned = facts["settings"].get("names_weight", 1) < 1
    how = ("The map was learned from the captions of this folder, its settings chosen on parts "
           "that were held back." if learned else "Nothing was learned from this folder.")
    return (f"## How well it works\n\n{how} How well it finds *your* pictures was not measured: "
            f"ask twenty questions of which you know the answer. On other people's photographs "
            f"see {names} in the book's ledger, with intervals and controls.")


def _fairness(own: bool) -> str:
    people = ("" if own else " The drawings have faults of their own: some styles draw the "
              "neutral person as they draw the man.")
    return ("## What is unfair about it\n\nWord vectors take over whom a corpus names with what, "
            "and networks what their photographs showed: a question for a role can put a man's "
            "picture first, a question for a person one skin tone." + people +
            f" Measured in the book: {_keys(UNFAIR)}. Nothing here was corrected for it.\n\n"
            "A mean of word vectors is no secret: from it words can be read back "
            f"({_keys(READ_BACK)}).")


def _unknown() -> str:
    return ("## What this card cannot know\n\nWho is in the pictures, whether they agreed, who "
            "holds the rights, whether captions are right, and for whom the search works worse. "
            "Who serves this folder to others has to say so here.")


def _count(facts: Mapping, name: str) -> str:
    return f"{facts['counts'].get(name, 0):,}"


def _listed(names) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _keys(names: Sequence[str]) -> str:
    return _listed(f"`{name}`" for name in names)
