"""A row for one of the big pretrained models, on the ladder's queries; needs a network.

    python benchmarks/rivals.py --model openai/clip-vit-base-patch32

downloads the weights (about a gigabyte), asks the model about ten splits, and adds a row to
rivals.json beside it, or replaces the one that it has. A dual encoder takes about ten minutes of
two cores. A cross-attention model reads every pair of text and picture, so it is asked about the
first split alone, for hours; `--salts` says otherwise. `--tiny clip` tries the script on a small
untrained model; it needs no connection and writes nothing.

Nothing is trained: the form of the text is chosen on the validation concepts of each split, the
test is read once. The control gives each query the text of another concept.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mmfuse_utils.cache import write_then_rename
from mmfuse_utils.data import Collection, load_emoji
from mmfuse_utils.metrics import mean_reciprocal_rank, ranks
from mmfuse_utils.rivals import (RIVALS, CrossEncoder, DualEncoder, WeightsMissing, load_rival,
                                 tiny_rival)

OUTPUT = Path(__file__).with_suffix(".json")


def forms(emoji: Collection) -> dict[str, list[str]]:
    """Each concept's text in the forms to choose from."""
    names = [name[0] for name in emoji.names["en"]]
    keywords = [", ".join(words) for words in emoji.keywords["en"]]
    return {"name": names, "a drawing of": [f"a drawing of a {name}" for name in names],
            "name and keywords": [f"{name}: {words}" for name, words
                                  in zip(names, keywords, strict=True)]}


def ask(rival: DualEncoder | CrossEncoder, emoji: Collection, texts: Sequence[str],
        concepts: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Similarity of the texts of some concepts with some pictures: (n, n)."""
    return rival.similarity([texts[row] for row in concepts], emoji.load_pictures(pictures))


def packed(similarity: np.ndarray) -> str:
    """Whether each query's own item is among its first ten, as a string of 1 and 0."""
    return "".join("01"[int(rank <= 10)] for rank in ranks(similarity, np.arange(len(similarity))))


def one_split(rival: DualEncoder | CrossEncoder, emoji: Collection, salt: int,
              most: int | None = None) -> dict:
    """The form that validation prefers, and the hits of the test in both directions.

    most : the most concepts to ask about, for a quick trial.
    """
    split = emoji.split(salt)
    held, test = split.validation[:most], split.test[:most]
    rows = emoji.gallery(held, salt)
    found = {name: mean_reciprocal_rank(ranks(ask(rival, emoji, texts, held, rows),
                                              np.arange(len(held))))
             for name, texts in forms(emoji).items()}
    form = max(found, key=found.get)
    similarity = ask(rival, emoji, forms(emoji)[form], test, emoji.gallery(test, salt))
    other = np.roll(np.arange(len(test)), 1)
    return {"salt": salt, "form": form, "validation": {k: round(v, 4) for k, v in found.items()},
            "t2i": packed(similarity), "i2t": packed(similarity.T),
            "t2i.random": packed(similarity[other]), "i2t.random": packed(similarity[other].T)}


def make_row(rival: DualEncoder | CrossEncoder, name: str, salts: Sequence[int],
             most: int | None = None) -> dict:
    """A row for the JSON, with all that one needs to repeat it."""
    import transformers

    emoji, start = load_emoji(), time.perf_counter()
    splits = []
    for salt in salts:
        splits.append(one_split(rival, emoji, salt, most))
        print(f"salt {salt}: hit@10 {np.mean([hit == '1' for hit in splits[-1]['t2i']]):.3f}, "
              f"{time.perf_counter() - start:.0f} s", flush=True)
    return {"model": name, "what": RIVALS.get(name, type(rival).__name__),
            "revision": getattr(rival.model.config, "_commit_hash", None),
            "date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
            "torch": torch.__version__, "transformers": transformers.__version__,
            "cores": os.cpu_count(), "seconds": round(time.perf_counter() - start, 1),
            "parameters": sum(part.numel() for part in rival.model.parameters()),
            "splits": splits}


def with_row(content: dict, row: dict) -> dict:
    """The JSON's content with the row added, in place of an older one of the same model."""
    rows = [old for old in content["rows"] if old["model"] != row["model"]]
    return {**content, "rows": sorted([*rows, row], key=lambda old: old["model"])}


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask a model and add its row; 1 where its weights cannot be had."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--model", help=f"a name on the hub, such as {', '.join(RIVALS)}")
    wanted.add_argument("--tiny", choices=("clip", "align", "vilt"), help="untrained; no row")
    parser.add_argument("--salts", type=int, help="how many splits; ten, or one for pairs")
    options = parser.parse_args(arguments)
    if options.tiny:
        make_row(tiny_rival(options.tiny), options.tiny, range(options.salts or 1), most=20)
        return 0
    try:
        rival = load_rival(options.model)
    except WeightsMissing as missing:
        print(missing, file=sys.stderr)
        return 1
    salts = options.salts or (1 if isinstance(rival, CrossEncoder) else 10)
    row = make_row(rival, options.model, range(salts))
    content = with_row(json.loads(OUTPUT.read_text("utf8")), row)
    with write_then_rename(OUTPUT) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
