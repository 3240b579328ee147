"""Data of the page "Search pictures with words": words, places of pictures, pictures and clips.

What a reader waits for, the words and one method, is one file; everything else is loaded on
demand. `sizes.json` says what each costs, compressed as web servers do it, and how well the
methods do with the numbers as they are shipped.
"""

import gzip
import json
import re
import shutil
import sys
from collections import Counter, defaultdict
from os.path import commonprefix
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from held_out import FUNCTION_WORDS, NAMES_WEIGHT, content_words, placed  # noqa: E402
from javascript import write_data  # noqa: E402
from packing import pack, quantize, unpack  # noqa: E402

from mmfuse_utils import text  # noqa: E402
from mmfuse_utils.cache import cache_dir, content_key, keep  # noqa: E402
from mmfuse_utils.data import load_emoji  # noqa: E402
from mmfuse_utils.data.clips import load_clips  # noqa: E402
from mmfuse_utils.data.emoji import rasterized  # noqa: E402
from mmfuse_utils.data.near import IDEOGRAPH  # noqa: E402
from mmfuse_utils.data.pictures import read_pictures  # noqa: E402
from mmfuse_utils.data.sources import package_path  # noqa: E402
from mmfuse_utils.protocol import hits  # noqa: E402
from mmfuse_utils.retrieval import unit_rows  # noqa: E402

FIRST_WORDS, MORE_WORDS, CHINESE_WORDS = 4000, 25_000, 12_000
# Chosen by how much of the first ten stays, within what a reader waits for.
WORD_BITS, FIRST_BITS, PLACE_BITS = 3, 5, 6
PIXELS, CLIP_PIXELS, QUALITY, CLIP_QUALITY = 96, 72, 72, 50
# What a dictionary says beside a meaning, as in the chapter on languages; words of ideographs.
ASIDE = re.compile(r"\([^)]*\)|\[[^\]]*\]|[^\x00-\x7f]+")
IDEOGRAPHS = re.compile(f"(?:{IDEOGRAPH.pattern})+")
METHODS = {"ridge": {"ridge": 1.0}, "conse": {"conse": 1.0}, "seen": {"seen": 1.0},
           "best": {"kernel": 1.0, "names": NAMES_WEIGHT}, "clips": {"clips": 1.0}}


def fold_words(words):
    """Sorted words, each as how many letters it shares with the one before, and the rest."""
    shared = [min(35, len(commonprefix(pair)))
              for pair in zip(["", *words[:-1]], words, strict=True)]
    return "\n".join(np.base_repr(n, 36) + word[n:]
                     for n, word in zip(shared, words, strict=True))


def choose_words(emoji, vectors):
    """The words that come first, those of the emoji among them, and those on demand; sorted."""
    said = {word for words in text.concept_tokens(emoji) for word in words}
    plain = [word for word in vectors.index_to_key        # the most frequent first
             if text.tokenize(word) == [word] and word not in FUNCTION_WORDS]
    plain.sort(key=lambda word: word not in said)
    return sorted(plain[:FIRST_WORDS]), sorted(plain[FIRST_WORDS:MORE_WORDS])


def table(words, vectors):
    """Quantized unit vectors of words."""
    return quantize(unit_rows(np.array([vectors[word] for word in words])), WORD_BITS)


def first_part(emoji, found, words, vectors, facts=None):
    """What the first search needs: words, the ridge map's places, names."""
    styles = emoji.pictures.style[found["gallery"]]
    names = sorted(set(styles.tolist()))
    header = {"ids": " ".join(emoji.ids), "names": "\n".join(n[0] for n in emoji.names["en"]),
              "words": fold_words(words), "small": " ".join(FUNCTION_WORDS), "styles": names,
              "recipes": METHODS, "facts": facts}
    return pack(header, {
        "vectors": table(words, vectors), "ridge": quantize(found["ridge"], FIRST_BITS),
        "ridge_mean": np.float32(found["ridge_mean"]), "fold": np.uint8(found["fold"]),
        "style": np.array([names.index(style) for style in styles], np.uint8)})


def more_words_part(words, vectors):
    """Words that are rarer."""
    return pack({"words": fold_words(words)}, {"vectors": table(words, vectors)})


def chinese_part(vectors):
    """Words of a Chinese dictionary, each the mean of the English words of its meanings.

    As in the chapter on languages; of its words those that occur in the most entries.
    """
    meanings, heads = read_dictionary()
    counts = Counter(word for each in meanings.values() for word in set(each))
    rare = {word: np.log(len(meanings) / n) for word, n in counts.items()}
    inside = Counter(head[i:j] for head in heads for i in range(len(head))
                     for j in range(i + 1, min(i + 4, len(head)) + 1))
    words = sorted(meanings, key=lambda word: (-inside[word], word))[:2 * CHINESE_WORDS]
    rows = text.sentence_vectors([meanings[word] for word in words], vectors, rare)
    told = np.flatnonzero(rows.any(axis=1))[:CHINESE_WORDS]
    order = sorted(told, key=lambda row: words[row])
    return pack({"words": fold_words([words[row] for row in order])},
                {"vectors": quantize(rows[order], WORD_BITS)})


def read_dictionary():
    """By Chinese word, in both scripts, the English words of its meanings; and all entries."""
    stored = (package_path("cedict") / "package/data/all.js").read_text("utf8")
    meanings, heads = defaultdict(list), []
    for entry in json.loads(stored.removeprefix("export default "))["all"]:
        glosses = [entry[3]] if isinstance(entry[3], str) else entry[3]
        said = [word for gloss in glosses for word in content_words(ASIDE.sub(" ", gloss))]
        for head in {entry[0], entry[1]}:
            if IDEOGRAPHS.fullmatch(head):
                meanings[head] += said
                heads.append(head)
    return meanings, heads


def methods_part(found):
    """ConSE, the kernel with class names, the map that has seen all, and who looks alike."""
    return pack({}, {
        **{name: quantize(found[name], PLACE_BITS)
           for name in ("conse", "kernel", "names", "seen")},
        **{f"{name}_mean": np.float32(found[f"{name}_mean"])
           for name in ("kernel", "names", "seen")},
        "looks": np.uint16(found["looks"])})


def clips_part(clips, found):
    """Clips of concepts that the map has not seen: places and captions."""
    rows = found["clip_rows"]
    header = {"captions": "\n".join(clips.caption[row] for row in rows),
              "styles": " ".join(clips.style[row] for row in rows)}
    return pack(header, {"clips": quantize(found["clips"], PLACE_BITS),
                         "clips_mean": np.float32(found["clips_mean"]),
                         "subject": np.uint16(clips.subject_row[rows])})


def draw_pictures(emoji, gallery):
    """Folder of the gallery's pictures, small; kept in the cache."""
    paths = [emoji.pictures.path[row] for row in gallery]

    def make(folder):
        folder.mkdir()
        for name, picture in zip(emoji.ids, read_pictures(paths), strict=True):
            small = picture.resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)
            small.save(folder / f"{name}.webp", quality=QUALITY, alpha_quality=QUALITY, method=6)

    key = content_key(rasterized().name, PIXELS, QUALITY)
    return keep(cache_dir() / "live" / f"pictures-{key}", make)


def draw_clips(clips, rows):
    """Folder of film strips, the frames of a clip side by side; kept in the cache."""
    def make(folder):
        folder.mkdir()
        for number, row in enumerate(rows):
            [frames] = clips.load_frames([row])
            small = [Image.fromarray(frame).resize((CLIP_PIXELS, CLIP_PIXELS),
                                                   Image.Resampling.LANCZOS) for frame in frames]
            strip = Image.new("RGB", (CLIP_PIXELS * len(small), CLIP_PIXELS))
            for place, frame in enumerate(small):
                strip.paste(frame, (place * CLIP_PIXELS, 0))
            strip.save(folder / f"{number}.webp", quality=CLIP_QUALITY, method=6)

    key = content_key(rasterized().name, CLIP_PIXELS, CLIP_QUALITY,
                      [(clips.key[row], clips.motion[row]) for row in rows])
    return keep(cache_dir() / "live" / f"clips-{key}", make)


def told_of(token_lists, words, rows):
    """Texts as the page reads them: mean of the words' rows, at length 1; zeros if none is known.

    rows : (n_words, dim), of length 1.
    """
    place = {word: row for row, word in enumerate(words)}
    found = np.zeros((len(token_lists), rows.shape[1]))
    for told, tokens in zip(found, token_lists, strict=True):
        for word in tokens:
            if word in place:
                told += rows[place[word]]
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return found / np.where(lengths > 0, lengths, 1)


def similarity(told, method, places, fold):
    """Scores of texts with pictures by a method of `METHODS`: (n_texts, n_pictures).

    places : by name, rows of length 1, and the means that are taken off the texts.
    """
    scores = np.zeros((len(told), len(fold)))
    for name, weight in METHODS[method].items():
        means = places.get(f"{name}_mean", np.zeros((1, told.shape[1])))
        own = fold if len(means) > 1 else np.zeros_like(fold)
        for number, mean in enumerate(means):
            shown = own == number
            scores[:, shown] += weight * unit_rows(told - mean) @ places[name][shown].T
    return scores


def measure(emoji, found, words, vectors, shipped):
    """How well each method finds, and how much of it is kept by the numbers that are shipped.

    hit : share of concepts, asked by name and keywords, whose picture is among the first ten of
    all; same : the mean share of the first ten that full precision has as well.
    """
    tokens = [[word for word in each if word not in FUNCTION_WORDS]
              for each in text.concept_tokens(emoji)]
    exact = told_of(tokens, words, unit_rows(np.array([vectors[word] for word in words])))
    ours = told_of(tokens, words, unit_rows(shipped["vectors"]))
    places = shipped | {name: unit_rows(shipped[name])
                        for name in ("ridge", "conse", "kernel", "names")}
    facts = {}
    for method in ("ridge", "conse", "best"):
        full = similarity(exact, method, found, found["fold"])
        few = similarity(ours, method, places, found["fold"])
        tens = [np.argsort(-scores, axis=1, kind="stable")[:, :10] for scores in (full, few)]
        same = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(*tens, strict=True)])
        hit = [hits(scores).mean() for scores in (full, few)]
        facts[method] = {"same": round(same, 4), "full": round(hit[0], 4), "hit": round(hit[1], 4)}
    return facts


def compressed(path):
    """What a file costs to load, compressed as web servers do it, in bytes."""
    return len(gzip.compress(path.read_bytes(), 6))


def main(target):
    emoji, vectors = load_emoji(), text.load_word_vectors()
    found, clips = placed(emoji), load_clips(emoji)
    words, more = choose_words(emoji, vectors)
    parts = {"methods": methods_part(found), "words": more_words_part(more, vectors),
             "chinese": chinese_part(vectors), "clips": clips_part(clips, found)}
    folders = {"pictures": draw_pictures(emoji, found["gallery"]),
               "clips": draw_clips(clips, found["clip_rows"])}
    sizes = {}
    for name, content in parts.items():
        write_data(target / f"search-{name}.js", f"search-{name}", content)
        sizes[name] = compressed(target / f"search-{name}.js")
    for name, folder in folders.items():
        shutil.copytree(folder, target / f"search-{name}", dirs_exist_ok=True)
        sizes[f"{name} shown"] = sum(path.stat().st_size for path in folder.iterdir())
    first = first_part(emoji, found, words, vectors)
    shipped = unpack(first)[1] | unpack(parts["methods"])[1]
    facts = {"sizes": sizes, "methods": measure(emoji, found, words, vectors, shipped),
             "words": {"first": len(words), "more": len(more)}}
    first = first_part(emoji, found, words, vectors, facts)
    write_data(target / "search-first.js", "search-first", first)
    print(f"Search: {compressed(target / 'search-first.js') / 1000:.0f} kB come first;", facts)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
