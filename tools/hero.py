"""Make the book's first picture: phrases, and the pictures and clips they find.

No pair of text and drawing shown was in training (salt 0, strict split). Beneath each picture
stands what it shows, right or wrong. Only drawings under the MIT and
Apache licenses take part, so that the picture may travel. Usage: python tools/hero.py FOLDER
writes hero.png, for the README, and hero.html, for the first page, where it is real text.
"""

import sys
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from mmfuse_utils import fusion, retrieval, text, video, vision, viz
from mmfuse_utils.data import load_clips, load_emoji

STYLES = ("fluent-emoji", "noto")
PHRASES = ("wild animal", "building for prayer", "vehicle that carries people",
           "vehicle moves to the left")
N_PICTURES, FRAMES = 5, (0, 2, 4, 6, 7)


def find_pictures(emoji, split, phrases):
    """The nearest unseen pictures for each phrase: a list of arrays of picture rows."""
    features, vectors = vision.picture_features(emoji), text.load_word_vectors()
    concept_of = emoji.pictures.concept_row
    texts = text.sentence_vectors(text.concept_tokens(emoji), vectors)
    train = np.flatnonzero(np.isin(concept_of, split.train))
    model = fusion.RidgeMap(1.0, "image_to_text").fit(texts[concept_of[train]], features[train])
    gallery = np.concatenate([
        np.flatnonzero((concept_of == c) & np.isin(emoji.pictures.style, STYLES))[:1]
        for c in split.test])
    queries = text.sentence_vectors([text.tokenize(p) for p in phrases], vectors)
    return gallery[retrieval.top_k(model.similarity(queries, features[gallery]), N_PICTURES)]


def content(phrase):
    """Tokens without function words, as in the chapter on retrieval."""
    return [word for word in text.tokenize(phrase) if word not in ("a", "an", "and", "the", "to")]


def find_clip(emoji, split, phrase):
    """The nearest unseen clip for a phrase: its row, and its frames."""
    clips, vectors = load_clips(emoji), text.load_word_vectors()
    captions = text.sentence_vectors([content(c) for c in clips.caption], vectors)
    train = np.flatnonzero(np.isin(clips.subject_row, split.train))
    gallery = np.flatnonzero(np.isin(clips.subject_row, split.test)
                             & np.isin(clips.style, STYLES))
    seen = video.clip_features(clips)
    model = fusion.RidgeMap(3.0, "image_to_text").fit(captions[train], seen[train])
    query = text.sentence_vectors([content(phrase)], vectors)
    row = gallery[model.similarity(query, seen[gallery])[0].argmax()]
    return row, clips.load_frames([row])[0]


def draw(rows, names, phrases):
    """One line a phrase: the phrase in quotes, then what it found, each with its name."""
    fig, axes = plt.subplots(len(rows), N_PICTURES, figsize=(8, 1.3 * len(rows)))
    for line, row, below, phrase in zip(axes, rows, names, phrases, strict=True):
        for ax, picture, name in zip(line, row, below, strict=True):
            ax.imshow(picture)
            ax.axis("off")
            ax.set_title(textwrap.fill(name, 15), y=-0.12, va="top", fontsize=9, color="#767676")
        line[0].text(-0.25, 0.5, f"“{phrase}”", transform=line[0].transAxes, ha="right",
                     va="center", fontsize=13, color="#0072B2")
    fig.subplots_adjust(left=0.36, right=1, top=1, bottom=0.08, wspace=0.15, hspace=0.42)
    return fig


WORDS = {
    "alt": "Four phrases in words and, beside each, what the trained search ranks first for it, "
           "pictures or a clip, each with its name, right or wrong.",
    "caption": "A phrase, and the pictures it finds, right or wrong; in the last row, five frames "
               "of the clip it finds. This book builds the search behind it, and the figure is "
               "made each time the book is built, so the mistakes are real ones."}


def main(folder):
    """Write the picture as a file and as a piece of a page."""
    emoji = load_emoji()
    split = emoji.split(salt=0, strict=True)
    found = find_pictures(emoji, split, PHRASES[:-1])
    clip, frames = find_clip(emoji, split, PHRASES[-1])
    rows = [*(emoji.load_pictures(row) for row in found), frames[list(FRAMES)]]
    names = [[emoji.names["en"][concept][0] for concept in emoji.pictures.concept_row[row]]
             for row in found]
    later = [f"frame {frame + 1} of the same" for frame in FRAMES[1:]]
    names.append([load_clips(emoji).caption[clip], *later])
    draw(rows, names, PHRASES).savefig(folder / "hero.png", dpi=150, transparent=True,
                                       metadata={"Software": None})
    grid = viz.image_grid(rows, names, [f"“{phrase}”" for phrase in PHRASES])
    page = f'<div class="mmfuse-first">{viz.figure(grid, WORDS, STYLES)}</div>'
    (folder / "hero.html").write_text(page, encoding="utf8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
