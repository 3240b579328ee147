"""The emoji collection: enough concepts, styles and languages; nothing that would leak."""

from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

from mmfuse_utils.data import load_emoji
from mmfuse_utils.data.emoji import LANGUAGES, STYLES, annotations, slug, svg


@pytest.fixture(scope="module")
def emoji():
    return load_emoji(LANGUAGES)


def test_enough_concepts_each_in_five_styles_or_more(emoji):
    assert len(emoji) >= 800
    n_styles = np.bincount(emoji.pictures.concept_row, minlength=len(emoji))
    assert n_styles.min() >= 5 and n_styles.max() == 7 == len(STYLES)
    pairs = set(zip(emoji.pictures.concept_row.tolist(), emoji.pictures.style, strict=True))
    assert len(pairs) == len(emoji.pictures)
    assert set(emoji.pictures.style) == set(STYLES)


def test_all_columns_have_one_entry_a_concept(emoji):
    columns = [emoji.ids, emoji.groups, emoji.subgroups, *emoji.names.values(),
               *emoji.keywords.values()]
    assert {len(column) for column in columns} == {len(emoji)}
    assert len(set(emoji.ids)) == len(emoji)
    assert len(set(emoji.groups)) == 6 and len(set(emoji.subgroups)) > 50


@pytest.mark.parametrize("language", LANGUAGES)
def test_nearly_all_concepts_are_named_in_every_language(emoji, language):
    share = np.mean([len(name) == 1 and name[0].strip() != "" for name in emoji.names[language]])
    assert share >= (1 if language == "en" else 0.95)
    assert np.mean([bool(words) for words in emoji.keywords[language]]) >= 0.95


def test_languages_differ_and_are_in_their_script(emoji):
    row = emoji.ids.index("1F419")
    assert emoji.names["en"][row] == ("octopus",)
    assert emoji.names["de"][row] == ("Oktopus",)
    assert len({emoji.names[language][row] for language in LANGUAGES}) > 12
    assert all(ord(c) >= 0x3040 for c in emoji.names["ja"][row][0])


# (first, last) code points of what must not be there
BANNED = {"flag letters": (0x1F1E6, 0x1F1FF), "flags": (0x1F3F3, 0x1F3F4),
          "keycaps": (0x20E3, 0x20E3), "clock faces": (0x1F550, 0x1F567),
          "skin tones": (0x1F3FB, 0x1F3FF), "people": (0x1F466, 0x1F478),
          "a person": (0x1F9D1, 0x1F9DD), "female sign": (0x2640, 0x2640),
          "male sign": (0x2642, 0x2642), "hands": (0x1F446, 0x1F450)}


@pytest.mark.parametrize("kind", BANNED)
def test_nothing_that_a_picture_cannot_tell(emoji, kind):
    low, high = BANNED[kind]
    assert [i for i in emoji.ids if any(low <= int(c, 16) <= high for c in i.split("-"))] == []


def test_every_picture_has_its_size_and_is_not_blank(emoji):
    rows = np.random.default_rng(0).choice(len(emoji.pictures), 300, replace=False)
    pictures = emoji.load_pictures(rows)
    assert pictures.shape == (300, 128, 128, 3) and pictures.dtype == np.uint8
    ink = (pictures != 255).any(axis=3).mean(axis=(1, 2))
    assert ink.min() > 0.01 and ink.max() < 1
    assert pictures.std(axis=(1, 2, 3)).min() > 5


def test_styles_of_one_concept_are_different_pictures(emoji):
    for concept in range(0, len(emoji), 60):
        pictures = emoji.load_pictures(np.flatnonzero(emoji.pictures.concept_row == concept))
        for a, b in combinations(pictures.astype(float), 2):
            assert np.abs(a - b).mean() > 1, emoji.ids[concept]


def test_pictures_show_the_concept_that_they_stand_for(emoji):
    """Rank of a concept's other drawings by plain pixels: nearer than other concepts."""
    concepts = np.arange(0, len(emoji), 20)
    a, b = (np.array([np.flatnonzero((emoji.pictures.concept_row == c)
                                     & (emoji.pictures.style == style))[0]
                      for c in concepts if {"noto", "twemoji"} <= set(
                          emoji.pictures.style[emoji.pictures.concept_row == c])])
            for style in ("noto", "twemoji"))
    left, right = (emoji.load_pictures(rows)[:, ::8, ::8].reshape(len(rows), -1).astype(float)
                   for rows in (a, b))
    distance = ((left[:, None] - right[None]) ** 2).sum(axis=2)
    rank = (distance < distance.diagonal()[:, None]).sum(axis=1)
    assert np.median(rank) < 0.1 * len(rank)  # half of the number would be chance


def test_an_unknown_language_names_the_known_ones():
    with pytest.raises(ValueError, match="'tlh'") as caught:
        load_emoji(("en", "tlh"))
    assert all(f" {language}" in str(caught.value) for language in ("en", "de", "zh-Hant"))
    with pytest.raises(ValueError, match="a list of languages with 'en' in it"):
        load_emoji(("de",))
    with pytest.raises(ValueError, match="a list of languages"):
        load_emoji("en")


@pytest.mark.parametrize(("name", "expected"), [
    ("octopus", "octopus"), ("piñata", "pinata"), ("woman’s hat", "womans-hat"),
    ("T-Rex", "t-rex"), ("1st place medal", "1st-place-medal"),
    ("keycap: #", "keycap"), ("crème brûlée", "creme-brulee"), ("“quote”", "quote")])
def test_slug(name, expected):
    assert slug(name) == expected


@pytest.mark.parametrize("style", STYLES)
def test_svg_documents_are_well_formed(style):
    root = ElementTree.fromstring(svg(style, "octopus"))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert root.tag.endswith("svg") and width == height > 0 and len(root) > 0
    assert svg(style, "no-such-icon") is None


def test_annotations_are_cldr_entries():
    entry = annotations("en")["🐙"]
    assert entry["tts"] == ["octopus"] and "creature" in entry["default"]
