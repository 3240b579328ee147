"""Flickr8k on tiny made-up copies with every fault, and on a real one where there is one."""

import csv
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmfuse_utils import text, vision
from mmfuse_utils.data import describe_photographs, load_flickr8k
from mmfuse_utils.data import folder as folder_module
from mmfuse_utils.data.pictures import picture_sizes
from mmfuse_utils.ladder import Task

NAMES = tuple(f"{i}_{i:02x}.jpg" for i in range(20, 28))
PARTS = {"train": (NAMES[5], NAMES[0], NAMES[1], NAMES[2]), "dev": NAMES[3:4],
         "test": (NAMES[4], NAMES[6])}    # the last picture is in no part, as with 91 real ones
STRAY = "2258277193_586949ec62.jpg.1"
TEXTS = {name: tuple(f'a "{name[:2]}", seen by {k}: über 木 .' for k in range(5))
         for name in (*NAMES, STRAY)}
REAL = os.environ.get("MMFUSE_FLICKR8K")
needs_a_copy = pytest.mark.skipif(not REAL, reason="optional: MMFUSE_FLICKR8K names no copy")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path / "cache"))


def draw_all(folder, size=(48, 36)):
    folder.mkdir(parents=True)
    for seed, name in enumerate(NAMES):
        pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)


def write_lists(folder, parts=PARTS):
    for part, names in parts.items():
        (folder / f"Flickr_8k.{part}Images.txt").write_text("".join(f"{n}\n" for n in names))


def write_karpathy(folder):
    rows = [{"filename": name, "split": part} for part, names in (
        ("train", NAMES[4:]), ("val", NAMES[:2]), ("test", NAMES[2:4])) for name in names]
    (folder / "dataset_flickr8k.json").write_text(json.dumps({"images": rows}))


@pytest.fixture
def original(tmp_path):
    """A copy in the layout that was published."""
    root = tmp_path / "flickr8k"
    draw_all(root / "Flicker8k_Dataset")
    texts = root / "Flickr8k_text"
    texts.mkdir()
    (texts / "Flickr8k.token.txt").write_text("".join(
        f"{name}#{k}\t{caption}\n" for name in TEXTS for k, caption in enumerate(TEXTS[name])),
        encoding="utf8")
    write_lists(texts)
    return root


@pytest.fixture
def common(tmp_path):
    """A copy in the other common layout, without lists."""
    root = tmp_path / "common"
    draw_all(root / "Images")
    (root / "captions.txt").write_text("image,caption\n" + "".join(
        '{},"{}"\n'.format(name, caption.replace('"', '""'))
        for name in NAMES for caption in TEXTS[name]), encoding="utf8")
    return root


def refusal(*arguments):
    """The message with which a copy is refused."""
    with pytest.raises(ValueError) as caught:
        load_flickr8k(*arguments)
    message = str(caught.value)
    assert not re.search(r"\b(delete|remove|erase)\b", message, re.IGNORECASE)
    return message


def named(photos, part):
    return [photos.ids[row] for row in getattr(photos.official, part)]


def token_file(root):
    return root / "Flickr8k_text" / "Flickr8k.token.txt"


# What is there

def test_the_original_layout(original, capsys):
    photos = load_flickr8k(original)
    said = capsys.readouterr().out
    assert photos.ids == NAMES and photos.captions == {"en": tuple(TEXTS[n] for n in NAMES)}
    assert {part: named(photos, part) for part in ("train", "validation", "test")} == {
        "train": sorted(PARTS["train"]), "validation": [NAMES[3]],
        "test": [NAMES[4], NAMES[6]]}
    assert "8 pictures, 40 captions" in said and "4 train, 1 validation, 2 test" in said
    assert f"left out: 5 captions of {STRAY}, no picture's name\n" in said
    assert "48 by 36 pixels: a reduced copy" in said and "same bytes" not in said
    assert max(map(len, said.splitlines())) < 80
    assert photos.load_pictures(range(8), 32).shape == (8, 32, 32, 3)
    assert [Path(path).name for path in photos.pictures.path] == list(NAMES)


def test_both_layouts_give_the_same(original, common, capsys):
    write_lists(common)
    first, second = load_flickr8k(original), load_flickr8k(common)
    assert first.ids == second.ids and first.captions == second.captions
    for part in PARTS:
        part = {"dev": "validation"}.get(part, part)
        assert named(first, part) == named(second, part)
    assert first.caption_table(first.official.test).text == second.caption_table(
        second.official.test).text


def test_without_lists_there_is_no_official_split(common, capsys):
    photos = load_flickr8k(common)
    assert photos.official is None and "no official split" in capsys.readouterr().out
    split = photos.split(test=3, validation=2, strict=False)
    assert (len(split.train), len(split.validation), len(split.test)) == (3, 2, 3)
    for wanted, told in (("hodosh", "Flickr_8k.trainImages.txt"),
                         ("karpathy", "dataset_flickr8k.json")):
        assert told in refusal(common, wanted)
    assert "'hodosh' or 'karpathy'; got 'mine'" in refusal(common, "mine")


def test_karpathys_split_on_request_or_where_it_is_alone(original, common, capsys):
    write_karpathy(original / "Flickr8k_text")
    write_karpathy(common)
    for arguments in ((original, "karpathy"), (common,)):
        photos = load_flickr8k(*arguments)
        assert "Karpathy's split: 4 train, 2 validation, 2 test" in capsys.readouterr().out
        assert named(photos, "train") == list(NAMES[4:])
        assert named(photos, "validation") == list(NAMES[:2])
        assert named(photos, "test") == list(NAMES[2:4])
    assert named(load_flickr8k(original), "validation") == [NAMES[3]]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"images": [{"split": "val"}]}',
                                     '{"images": 1}'])
def test_karpathys_file_may_be_broken(common, content):
    (common / "dataset_flickr8k.json").write_text(content)
    assert "cannot be read as Karpathy's list" in refusal(common)


def test_the_folder_is_found_by_the_variable_alone(original, tmp_path, monkeypatch):
    monkeypatch.delenv("MMFUSE_FLICKR8K", raising=False)
    assert re.search("Set the environment variable MMFUSE_FLICKR8K.*load_flickr8k", refusal())
    monkeypatch.setenv("MMFUSE_FLICKR8K", str(tmp_path / "nowhere"))
    assert re.search("no folder .*nowhere, to which MMFUSE_FLICKR8K points", refusal())
    monkeypatch.setenv("MMFUSE_FLICKR8K", str(original))
    assert load_flickr8k().ids == NAMES
    assert "as given" in refusal(tmp_path / "elsewhere")


def test_the_ways_in_which_archives_unpack(original, tmp_path):
    (tmp_path / "flat").mkdir()
    for path in (original / "Flickr8k_text").iterdir():     # the archive of texts has no folder
        shutil.copy(path, tmp_path / "flat")
    shutil.copytree(original / "Flicker8k_Dataset",
                    tmp_path / "flat" / "Flicker8k_Dataset" / "Flicker8k_Dataset")
    (tmp_path / "flat" / "__MACOSX" / "Flicker8k_Dataset").mkdir(parents=True)
    (tmp_path / "flat" / "__MACOSX" / "Flicker8k_Dataset" / f"._{NAMES[0]}").write_bytes(b"x")
    (tmp_path / "flat" / "._Flickr8k.token.txt").write_bytes(b"x")
    photos, expected = load_flickr8k(tmp_path / "flat"), load_flickr8k(original)
    assert photos.ids == expected.ids and photos.captions == expected.captions
    assert named(photos, "train") == named(expected, "train")


def test_windows_line_ends_and_marks(original):
    expected = load_flickr8k(original)
    for path in (original / "Flickr8k_text").iterdir():
        path.write_bytes(path.read_text(encoding="utf8").replace("\n", "\r\n").encode("utf-8-sig"))
    found = load_flickr8k(original)
    assert found.captions == expected.captions
    assert named(found, "test") == named(expected, "test")


# What is missing or wrong

@pytest.mark.parametrize("part", PARTS)
def test_a_missing_list_is_said_and_no_error(original, part, capsys):
    (original / "Flickr8k_text" / f"Flickr_8k.{part}Images.txt").unlink()
    photos = load_flickr8k(original)
    name = {"dev": "validation"}.get(part, part)
    assert len(getattr(photos.official, name)) == 0
    assert f"{name} is empty: Flickr_8k.{part}Images.txt is not there" in capsys.readouterr().out
    split = photos.split(strict=part == "test")
    assert len(getattr(split, name)) == 0


def test_a_part_without_any_of_its_pictures_is_said_and_no_error(original, capsys):
    for name in PARTS["test"]:
        (original / "Flicker8k_Dataset" / name).unlink()
    photos = load_flickr8k(original)
    said = capsys.readouterr().out
    assert "test is empty: none of its 2 pictures is there" in said
    assert "left out: captions of 2 pictures not there" in said
    assert len(photos) == 6 and photos.official.test.tolist() == []
    assert photos.split().test.tolist() == [] == photos.gallery(photos.official.test).tolist()


def test_an_empty_test_stops_nobody(original):
    (original / "Flickr8k_text" / "Flickr_8k.testImages.txt").unlink()
    photos = load_flickr8k(original)
    task = Task(photos, photos.split(strict=False), 0)
    assert len(task.held[1]) == 1
    with pytest.raises(ValueError, match="no concepts to test on"):
        task.test
    lists, concept = text.caption_tokens(photos, concepts=photos.official.test)
    assert lists == [] and concept.shape == (0,)
    assert photos.right_answers(photos.caption_table([]), []).shape == (0, 0)


def test_all_faults_are_told_at_once(original):
    pictures = original / "Flicker8k_Dataset"
    (pictures / NAMES[4]).unlink()
    whole = (pictures / NAMES[0]).read_bytes()
    (pictures / NAMES[0]).write_bytes(whole[:len(whole) // 2])
    (pictures / NAMES[7]).write_bytes(b"")
    lines = token_file(original).read_text(encoding="utf8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith((f"{NAMES[1]}#4", f"{NAMES[6]}#"))]
    token_file(original).write_text("".join(kept) + f"{NAMES[2]}#5\tone too many\n"
                                    f"{NAMES[3]}#9\t \n", encoding="utf8")
    write_lists(original / "Flickr8k_text", {"dev": (NAMES[3], NAMES[5])})
    message = refusal(original)
    for told in (rf"Pictures of test that are not there \(1\): {NAMES[4]}",
                 rf"Pictures without captions \(1\): {NAMES[6]}",
                 rf"more than once in the split \(1\): {NAMES[5]}",
                 rf"other than 5 captions \(2\): {NAMES[1]}: 4, {NAMES[2]}: 6",
                 rf"cannot be used \(2\): {NAMES[0]}: .*truncated.*, {NAMES[7]}: the file is emp",
                 rf"line \d+: the caption of {NAMES[3]}#9 is empty", r"leave_out=True"):
        assert re.search(told, message), told


def test_many_faults_are_cut(original):
    lines = token_file(original).read_text(encoding="utf8").splitlines(keepends=True)
    token_file(original).write_text("".join(lines[::2]), encoding="utf8")
    for i in range(100, 130):
        shutil.copy(original / "Flicker8k_Dataset" / NAMES[0],
                    original / "Flicker8k_Dataset" / f"{i}.jpg")
    write_lists(original / "Flickr8k_text", {"dev": [f"{i}.jpg" for i in range(100, 130)]})
    message = refusal(original)
    assert "without captions (30):" in message and "119.jpg … and 10 more" in message


def test_folders_that_are_no_copy(tmp_path, original):
    (tmp_path / "bare").mkdir()
    assert "There are no pictures" in refusal(tmp_path / "bare")
    token_file(original).rename(original / "captions.docx")
    assert "There are no captions" in refusal(original)
    (original / "captions.txt").write_bytes(b"")
    assert "captions.txt cannot be read: the file is empty" in refusal(original)


def test_a_list_that_cannot_be_read(original):
    (original / "Flickr8k_text" / "Flickr_8k.devImages.txt").write_bytes(b"\xff\xfeabc")
    assert "Flickr_8k.devImages.txt cannot be read" in refusal(original)


def test_pictures_of_the_same_bytes_and_without_captions_are_reported(original, capsys):
    pictures = original / "Flicker8k_Dataset"
    shutil.copy(pictures / NAMES[0], pictures / NAMES[4])
    shutil.copy(pictures / NAMES[1], pictures / "extra.jpg")
    photos = load_flickr8k(original)
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert f"the same bytes: {NAMES[0]} (train) = {NAMES[4]} (test)" in said
    assert "left out: 1 picture without captions: extra.jpg" in said
    assert photos.ids == NAMES
    assert describe_photographs(photos)["same_bytes"] == [[NAMES[0], NAMES[4]]]
    assert NAMES[0] not in [photos.ids[row] for row in photos.split().train]


# Sizes, and the second time

def test_sizes_are_recorded(original, capsys):
    pictures = original / "Flicker8k_Dataset"
    Image.new("RGB", (500, 333)).save(pictures / NAMES[0])
    lying = Image.new("RGB", (400, 100))
    lying.getexif()[274] = 6
    lying.save(pictures / NAMES[1], exif=lying.getexif())
    assert picture_sizes([pictures / NAMES[1]]).tolist() == [[100, 400]]
    about = describe_photographs(load_flickr8k(original))
    assert about == {"pictures": 8, "captions": 40, "train": 4, "validation": 1, "test": 2,
                     "shorter_side": [36, 36, 333], "longer_side": [48, 48, 500],
                     "same_bytes": []}
    assert json.loads(json.dumps(about)) == about
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "shorter side 36 to 333 pixels" in said and "reduced" not in said
    assert "2 test (as published: 6,000, 1,000, 1,000)" in said


def test_one_shorter_side_does_not_make_one_size(original, capsys):
    Image.new("RGB", (36, 36)).save(original / "Flicker8k_Dataset" / NAMES[0])
    load_flickr8k(original)
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "shorter side 36 to 36 pixels, half of them 36 or less; longer side 48 at most" in said


def test_the_second_time_no_picture_is_decoded(original, monkeypatch):
    monkeypatch.setattr(folder_module, "FEW", 0)
    first = load_flickr8k(original)
    monkeypatch.setattr(folder_module, "find_unusable", lambda paths: 1 / 0 if paths else {})
    assert load_flickr8k(original).ids == first.ids


# A real copy

@pytest.fixture(scope="module")
def real(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMFUSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return load_flickr8k()


@needs_a_copy
def test_a_real_copy_has_its_parts(real):
    sizes = {"train": 6000, "validation": 1000, "test": 1000}
    for part, n in sizes.items():
        assert len(getattr(real.official, part)) in (0, n)
    assert all(len(entry) == 5 for entry in real.captions["en"])
    assert real.ids == tuple(sorted(real.ids))
    assert all(re.fullmatch(r"\d+_\w+\.jpg", name) for name in real.ids)


@needs_a_copy
def test_a_real_copy_in_the_other_layout_is_the_same(real, tmp_path):
    root = tmp_path / "common"
    root.mkdir()
    (root / "Images").symlink_to(Path(real.pictures.path[0]).parent)
    with (root / "captions.txt").open("w", encoding="utf8", newline="") as file:
        csv.writer(file).writerows([("image", "caption"), *(
            (name, caption) for name, entry in zip(real.ids, real.captions["en"], strict=True)
            for caption in entry)])
    other = load_flickr8k(root)
    assert other.ids == real.ids and other.captions == real.captions and other.official is None


@needs_a_copy
def test_features_of_a_real_copy(real):
    few = real.official.validation[:3] if len(real.official.validation) else [0, 1, 2]
    features = vision.extract_features(real.load_pictures(few))
    assert features.shape == (3, 1280) and np.isfinite(features).all()
