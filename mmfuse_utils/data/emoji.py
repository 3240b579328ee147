"""Emoji: about a thousand picturable concepts in up to seven openly licensed art styles."""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import resvg_py
from tqdm import tqdm

from mmfuse_utils.cache import cache_dir, content_key, keep, load_kept
from mmfuse_utils.data.collection import Collection, PictureTable, Texts
from mmfuse_utils.data.pictures import PIXELS
from mmfuse_utils.data.sources import SOURCES, package_path

STYLES = ("noto", "twemoji", "openmoji", "fluent-emoji", "fluent-emoji-flat", "noto-v1",
          "emojione")
LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "nl", "pl", "ru", "uk", "tr", "ar", "he", "hi",
             "bn", "th", "vi", "id", "ja", "ko", "zh", "zh-Hant")
GROUPS = ("smileys-emotion", "animals-nature", "food-drink", "travel-places", "activities",
          "objects")
NOT_FACES = ("heart", "emotion")  # plain symbols among the smileys
MIN_STYLES = 5


def slug(name: str) -> str:
    """Icon name of a CLDR short name: lower case, without accents, joined by hyphens.

    >>> slug("piñata"), slug("woman’s hat")
    ('pinata', 'womans-hat')
    """
    plain = unicodedata.normalize("NFKD", name.lower())
    plain = "".join(c for c in plain if not unicodedata.combining(c) and c not in "’'“”")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


@cache
def annotations(language: str) -> dict[str, dict[str, list[str]]]:
    """CLDR's names (`tts`) and keywords (`default`) by emoji.

    Raises ValueError for a language that the package does not have.
    """
    folder = package_path("cldr") / "package" / "annotations"
    path = folder / language / "annotations.json"
    if not path.exists():
        known = ", ".join(sorted(p.name for p in folder.iterdir()))
        raise ValueError(f"CLDR has no language {language!r}. It has: {known}.")
    return json.loads(path.read_text(encoding="utf8"))["annotations"]["annotations"]


@cache
def icons(style: str) -> dict:
    """One style's icon set: SVG bodies, aliases and default size, as iconify packs them."""
    path = package_path(style) / "package" / "icons.json"
    return json.loads(path.read_text(encoding="utf8"))


def svg(style: str, name: str) -> str | None:
    """The SVG document of an icon, following aliases; None when the style has no such icon."""
    data = icons(style)
    alias = data["aliases"].get(name, {})
    icon = data["icons"].get(alias.get("parent", name))
    if icon is None or alias.keys() - {"parent"}:  # an alias that flips or turns is a new drawing
        return None
    width, height = icon.get("width", data.get("width")), icon.get("height", data.get("height"))
    side = max(width, height)  # some drawings are not square: center them in a square
    left = icon.get("left", 0) - (side - width) / 2
    top = icon.get("top", 0) - (side - height) / 2
    return (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{left} {top} {side} {side}">{icon["body"]}</svg>')


def _is_picturable(entry: dict, groups: dict, subgroups: dict) -> bool:
    if groups.get(str(entry.get("group"))) not in GROUPS:
        return False
    label = entry["label"]
    is_clock_face = "o’clock" in label or label.endswith("-thirty")
    return subgroups[str(entry["subgroup"])] not in NOT_FACES and not is_clock_face


def _entries() -> list[dict]:
    """The picturable emoji in emojibase's order: id, emoji, group, subgroup, CLDR name, styles."""
    package = package_path("emojibase") / "package"
    meta = json.loads((package / "meta" / "groups.json").read_text(encoding="utf8"))
    table = json.loads((package / "en" / "data.json").read_text(encoding="utf8"))
    entries = []
    for entry in table:
        emoji = entry["emoji"].replace("\ufe0f", "")
        if not _is_picturable(entry, meta["groups"], meta["subgroups"]):
            continue
        if emoji not in annotations("en"):
            continue
        name = annotations("en")[emoji]["tts"][0]
        styles = [style for style in STYLES if svg(style, slug(name))]
        if len(styles) >= MIN_STYLES:
            entries.append({"id": entry["hexcode"], "emoji": emoji, "name": slug(name),
                            "group": meta["groups"][str(entry["group"])],
                            "subgroup": meta["subgroups"][str(entry["subgroup"])],
                            "styles": styles})
    return entries


def _texts(entries: Iterable[dict], language: str, field: str) -> Texts:
    table = annotations(language)
    return tuple(tuple(table.get(entry["emoji"], {}).get(field, ())) for entry in entries)


def load_emoji(languages: Sequence[str] = ("en",)) -> Collection:
    """The running example: emoji as a `Collection`; the first call fetches and draws them.

    languages : CLDR codes, see `LANGUAGES` for those that the book uses; English is required.

    Raises ValueError for an unknown language, `FetchError` when data cannot be had.
    """
    if isinstance(languages, str) or "en" not in languages:
        raise ValueError("Give a list of languages with 'en' in it, which the split uses; got "
                         f"{languages!r}.")
    entries, folder = _index(), rasterized()
    rows = [(i, style) for i, entry in enumerate(entries) for style in entry["styles"]]
    pictures = PictureTable(
        np.array([i for i, _ in rows]), np.array([style for _, style in rows]),
        tuple(str(folder / style / f"{entries[i]['id']}.png") for i, style in rows))
    return Collection(
        ids=tuple(entry["id"] for entry in entries),
        names={code: _texts(entries, code, "tts") for code in languages},
        keywords={code: _texts(entries, code, "default") for code in languages},
        groups=tuple(entry["group"] for entry in entries),
        subgroups=tuple(entry["subgroup"] for entry in entries), pictures=pictures)


def _key() -> str:
    pins = [SOURCES[name].integrity for name in (*STYLES, "cldr", "emojibase")]
    return content_key("emoji", pins, GROUPS, NOT_FACES, MIN_STYLES, PIXELS, resvg_py.__version__)


@cache
def _index() -> list[dict]:
    # Kept as a file: reading seven icon sets takes seconds, this takes milliseconds.
    return load_kept(cache_dir() / "emoji" / f"{_key()}.json",
                     lambda path: path.write_text(json.dumps(_entries()), encoding="utf8"),
                     lambda path: json.loads(path.read_text(encoding="utf8")))


def rasterized() -> Path:
    """Folder of all pictures, `style/id.png`, transparent; drawn on the first call."""
    return keep(cache_dir() / "emoji" / _key(), _draw_all)


def _draw_all(folder: Path) -> None:
    jobs = [(style, entry) for style in STYLES for entry in _index() if style in entry["styles"]]
    for style in STYLES:
        (folder / style).mkdir(parents=True)
    for style, entry in tqdm(jobs, desc="Drawing emoji", unit=" pictures", mininterval=1):
        png = resvg_py.svg_to_bytes(svg_string=svg(style, entry["name"]), width=PIXELS,
                                    height=PIXELS)
        (folder / style / f"{entry['id']}.png").write_bytes(bytes(png))
