"""Flickr8k: the reader's own copy, checked against its captions and lists, as a `Collection`."""

import json
import os
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mmfuse_utils.data.captions import Caption, decode, read_captions
from mmfuse_utils.data.collection import Collection, Split
from mmfuse_utils.data.folder import check_pictures, collect
from mmfuse_utils.data.near import identical_pictures
from mmfuse_utils.data.pictures import picture_sizes

VARIABLE = "MMFUSE_FLICKR8K"
# Names in small letters, in the order in which they are tried; the first is spelled as published.
PICTURES = ("flicker8k_dataset", "flickr8k_dataset", "images")
CAPTIONS = ("flickr8k.token.txt", "captions.txt")
LISTS = {"train": "Flickr_8k.trainImages.txt", "validation": "Flickr_8k.devImages.txt",
         "test": "Flickr_8k.testImages.txt"}
KARPATHY, KARPATHY_PARTS = "dataset_flickr8k.json", {"train": "train", "validation": "val",
                                                     "test": "test"}
PUBLISHED = {"train": 6000, "validation": 1000, "test": 1000}     # of both splits
N_CAPTIONS, LONGEST_SIDE = 5, 500
STRAY = re.compile(r".+\.jpg\.\d+", re.IGNORECASE)
MOST_NAMES, WIDTH = 20, 79

Parts = dict[str, list[str]]


@dataclass
class _Copy:
    """What lies in a folder, and what is said of it: notes, and faults that stop the loading.

    names : of the picture files. lists : files by their names in small letters.
    """

    pictures: Path
    names: set[str]
    lists: dict[str, Path]
    texts: dict[str, list[Caption]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def load_flickr8k(folder: str | os.PathLike | None = None, split: str | None = None
                  ) -> Collection:
    """Your copy of Flickr8k: 8,000 photographs with five captions each, and its split.

    folder : where it lies; by the environment variable MMFUSE_FLICKR8K if not given. Pictures
        are found in `Flicker8k_Dataset` or `Images`, captions in `Flickr8k.token.txt` or
        `captions.txt`, lists of the split (`Flickr_8k.trainImages.txt` and so on) and
        Karpathy's `dataset_flickr8k.json` beside them or in `Flickr8k_text`.
    split : "hodosh", the split that the photographs were published with, or "karpathy"; if not
        given, the first of them that is there, else the collection has no official split.

    Identities are names of files such as "1000268201_693b08cb0e.jpg", sorted, whatever the
    layout; `official` holds the split as rows, in that order. A part without its list, or
    without any of its pictures, is empty. That, captions without a picture, pictures without
    captions and files of the same bytes are printed, and the sizes of the pictures, since
    smaller copies circulate; see `describe_photographs`. Pictures found sound are not read again.

    As published, a caption's own picture alone is right, see `relevance`, even where another was
    given the very same caption, which `Collection.right_answers` counts as right, too.

    Raises ValueError that names all faults at once: pictures of a split that are not there,
    that cannot be read, or that have other than five captions.

    Source: Hodosh, Young and Hockenmaier (2013); Karpathy and Fei-Fei (2015) for the other split.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "Images").mkdir()
    ...     Image.new("RGB", (50, 40), "red").save(Path(folder, "Images", "1_a.jpg"))
    ...     lines = "".join(f"1_a.jpg,a red card {i}\\n" for i in range(5))
    ...     _ = Path(folder, "captions.txt").write_text("image,caption\\n" + lines)
    ...     _ = Path(folder, "Flickr_8k.trainImages.txt").write_text("1_a.jpg\\n")
    ...     photos = load_flickr8k(folder)
    Flickr8k: 1 picture, 5 captions
      Hodosh's split: 1 train, 0 validation, 0 test (as published: 6,000, ...
      pictures of 50 by 40 pixels: a reduced copy...
      validation is empty: Flickr_8k.devImages.txt is not there
      test is empty: Flickr_8k.testImages.txt is not there
    >>> photos.ids, photos.official.train.tolist(), photos.caption_table().text[4]
    (('1_a.jpg',), [0], 'a red card 4')
    """
    copy = _read(_root(folder))
    title, parts = _find_split(copy, split)
    parts = {part: _present(copy, part, names) for part, names in parts.items()}
    _check(copy, parts)
    photos = collect(copy.pictures, sorted(copy.texts), copy.texts, "en")
    if title:
        row = {name: i for i, name in enumerate(photos.ids)}
        photos = replace(photos, official=Split(**{
            part: np.array(sorted(row[name] for name in names), int)
            for part, names in parts.items()}))
    _report(photos, title, copy.notes)
    return photos


def describe_photographs(photos: Collection) -> dict[str, int | list[int] | list[list[str]]]:
    """What a collection of photographs consists of, as plain numbers and names, for JSON.

    Numbers of pictures and captions, and of the pictures in each part of the official split;
    "shorter_side" and "longer_side", the least, the median and the greatest in pixels;
    "same_bytes", groups of pictures whose files are the same.

    >>> describe_photographs(Collection(()))["shorter_side"]
    [0, 0, 0]
    """
    split = photos.official
    parts = {} if split is None else {part: len(getattr(split, part)) for part in LISTS}
    sizes = np.sort(picture_sizes(photos.pictures.path), axis=1)
    sides = [[0] * 3] * 2 if not len(sizes) else np.quantile(
        sizes, (0, 0.5, 1), axis=0, method="lower").T.tolist()
    return {"pictures": len(photos.pictures), "captions": sum(
                len(entry) for texts in photos.captions.values() for entry in texts),
            **parts, "shorter_side": sides[0], "longer_side": sides[1],
            "same_bytes": [[photos.ids[row] for row in rows]
                           for rows in identical_pictures(photos.pictures)]}


def _root(folder: str | os.PathLike | None) -> Path:
    told = os.environ.get(VARIABLE) if folder is None else folder
    if not told:
        raise ValueError(f"Where is Flickr8k? It is no part of this book and never downloaded. "
                         f"Set the environment variable {VARIABLE} to the folder of your copy, "
                         "or give it: load_flickr8k(folder).")
    root = Path(told).expanduser()
    if not root.is_dir():
        where = f"to which {VARIABLE} points" if folder is None else "as given"
        raise ValueError(f"There is no folder {root}, {where}.")
    return root


def _entries(root: Path) -> Iterator[Path]:
    """What lies in a folder and in its folders, hidden things left out."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] not in "._"
                     and os.access(path, os.R_OK | os.X_OK))
    for place in (root, *folders):
        yield from sorted(path for path in place.iterdir() if path.name[0] not in "._")


def _read(root: Path) -> _Copy:
    """Pictures and captions of a copy; captions of pictures that are not there are left out."""
    found = defaultdict(list)
    for path in _entries(root):
        found[path.name.lower()].append(path)
    folders = ((path, {p.name for p in path.iterdir() if p.suffix.lower() == ".jpg"
                       and p.name[0] not in "._"})
               for name in PICTURES for path in found[name] if path.is_dir())
    pictures, names = next(filter(lambda pair: pair[1], folders), (None, set()))
    files = [path for name in CAPTIONS for path in found[name]]
    if not names or not files:
        raise ValueError(f"{root} is no copy of Flickr8k: it needs a folder Flicker8k_Dataset or "
                         "Images with pictures, and Flickr8k.token.txt (in Flickr8k_text, or "
                         "beside it) or captions.txt with captions. " + (
                             "There are no pictures." if not names else "There are no captions."))
    copy = _Copy(pictures, names, {name: paths[0] for name, paths in found.items() if paths})
    _take_captions(copy, files[0])
    return copy


def _take_captions(copy: _Copy, path: Path) -> None:
    """Captions by picture, and a note on those that belong to none."""
    try:
        told, wrong = read_captions(path)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    texts = defaultdict(list)
    for caption in told:
        texts[os.path.basename(re.sub(r"#\d+$", "", caption.picture))].append(caption)
    copy.texts = {name: texts[name] for name in texts if name in copy.names}
    strays = sorted(name for name in texts if STRAY.fullmatch(name) and name not in copy.names)
    absent = [name for name in texts if name not in copy.names and name not in strays]
    bare = sorted(copy.names - texts.keys())
    copy.notes += [f"left out: {_count(len(texts[name]), 'caption')} of {name}, no "
                   "picture's name" for name in strays]
    if absent:
        copy.notes.append(f"left out: captions of {_count(len(absent), 'picture')} not there")
    if bare:
        copy.notes.append(f"left out: {_count(len(bare), 'picture')} without captions: "
                          f"{_some(bare, 3)}")
    if wrong:
        copy.notes.append(f"{path.name}: {_some(wrong, 3)}")


def _find_split(copy: _Copy, wanted: str | None) -> tuple[str, Parts]:
    """Title and parts of the split that is wanted, or of the first that is there."""
    if wanted not in (None, "hodosh", "karpathy"):
        raise ValueError(f"split is 'hodosh' or 'karpathy'; got {wanted!r}.")
    lists = {part: copy.lists.get(name.lower()) for part, name in LISTS.items()}
    if wanted != "karpathy" and any(lists.values()):
        for part, path in lists.items():
            if path is None:
                copy.notes.append(f"{part} is empty: {LISTS[part]} is not there")
        return "Hodosh's split", {part: _lines(path) if path else []
                                  for part, path in lists.items()}
    if wanted != "hodosh" and KARPATHY in copy.lists:
        return "Karpathy's split", _read_karpathy(copy.lists[KARPATHY])
    lacking = KARPATHY if wanted == "karpathy" else ", ".join(LISTS.values())
    if wanted:
        raise ValueError(f"There is no split of {wanted.title()} here: it needs {lacking}, beside "
                         "the captions or in Flickr8k_text.")
    return "", {}


def _lines(path: Path) -> list[str]:
    try:
        return decode(path.read_bytes()).split()
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def _read_karpathy(path: Path) -> Parts:
    try:
        images = json.loads(decode(path.read_bytes()))["images"]
        return {part: [image["filename"] for image in images if image["split"] == name]
                for part, name in KARPATHY_PARTS.items()}
    except (ValueError, OSError, TypeError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as Karpathy's list, which holds a filename and "
                         f"a split for each of its images: {error!r}.") from None


def _present(copy: _Copy, part: str, names: list[str]) -> list[str]:
    """The pictures of a part; none where none is there, which is no fault."""
    there = [name for name in names if name in copy.names]
    if names and not there:
        copy.notes.append(f"{part} is empty: none of its {_count(len(names), 'picture')} is there")
    elif len(there) < len(names):
        copy.faults[f"Pictures of {part} that are not there"] += [
            name for name in names if name not in copy.names]
    copy.faults["Pictures without captions"] += [name for name in there if name not in copy.texts]
    return there


def _check(copy: _Copy, parts: Mapping[str, list[str]]) -> None:
    """Raise ValueError with all that keeps a copy from being Flickr8k."""
    told = Counter(name for names in parts.values() for name in names)
    copy.faults["Pictures named more than once in the split"] = [
        name for name, n in told.items() if n > 1]
    copy.faults[f"Pictures with other than {N_CAPTIONS} captions"] = [
        f"{name}: {len(texts)}" for name, texts in sorted(copy.texts.items())
        if len(texts) != N_CAPTIONS]
    bad = check_pictures(copy.pictures, sorted(copy.texts))
    copy.faults["Pictures that cannot be used"] = [f"{name}: {why}" for name, why in bad.items()]
    lines = [f"{heading} ({len(names):,}): {_some(names, MOST_NAMES)}"
             for heading, names in copy.faults.items() if names]
    if lines:
        raise ValueError("\n".join(("This copy of Flickr8k cannot be used as it is; nothing was "
                                    "changed.", *lines, *copy.notes,
                                    "Get the files again, or load what is sound as a folder of "
                                    "your own: load_folder(…, leave_out=True).")))


def _report(photos: Collection, title: str, notes: Iterable[str]) -> None:
    """Print what there is, in short lines."""
    about = describe_photographs(photos)
    split = [f"{title}: " + ", ".join(f"{about[part]:,} {part}" for part in LISTS)] if title else [
        "no official split: there are no lists; Collection.split draws one"]
    if any(about[part] not in (0, n) for part, n in PUBLISHED.items() if title):
        split[0] += " (as published: 6,000, 1,000, 1,000)"
    (least, usual, most), (shortest, _, longest) = about["shorter_side"], about["longer_side"]
    size = f"pictures of {longest} by {most} pixels" if (least, shortest) == (most, longest) else (
        f"shorter side {least} to {most} pixels, half of them {usual} or less; "
        f"longer side {longest} at most")
    if longest < LONGEST_SIDE:
        size += f": a reduced copy (as published, up to {LONGEST_SIDE})"
    part = {photos.ids[row]: name for name in LISTS if title
            for row in getattr(photos.official, name)}
    same = [" = ".join(f"{name} ({part[name]})" if name in part else name for name in names)
            for names in about["same_bytes"]]
    lines = [f"Flickr8k: {_count(about['pictures'], 'picture')}, {about['captions']:,} captions",
             *(textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="    ",
                             break_long_words=False) for line in (
                 *split, size, *notes, *([f"the same bytes: {_some(same, 5)}"] if same else [])))]
    print("\n".join(lines))


def _count(n: int, thing: str) -> str:
    return f"{n:,} {thing}{'s' * (n != 1)}"


def _some(names: list[str], most: int) -> str:
    more = f" … and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
