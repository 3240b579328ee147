"""A reader's own folder: what is sound is loaded, all that is wrong is told at once, by name."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmfuse_utils import text, vision
from mmfuse_utils.data import Collection, PictureTable, Split, load_folder, relevance
from mmfuse_utils.data import folder as folder_module
from mmfuse_utils.data.captions import decode, read_captions
from mmfuse_utils.data.collection import near_duplicates
from mmfuse_utils.metrics import bootstrap_interval, ranks


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path):
    """An empty folder for pictures."""
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def draw(path, seed=0, size=(40, 30)):
    """A picture of noise at a path of any kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def draw_all(folder, names):
    for seed, name in enumerate(names):
        draw(folder / name, seed)


def refusal(*arguments, **options):
    """The message with which a folder is refused."""
    with pytest.raises(ValueError) as caught:
        load_folder(*arguments, **options)
    message = str(caught.value)
    assert not re.search(r"\b(delete|remove|erase)\b", message, re.IGNORECASE)
    return message


CAPTIONS = {"a.jpg": ("a dog, a cat and a pug",), "sub/b.png": ('he said "hi", then left', "two"),
            "sub/deep/c.webp": ("größer 木 🐙",)}
PAIRS = [(name, caption) for name, captions in CAPTIONS.items() for caption in captions]


def quoted(caption):
    return '"' + caption.replace('"', '""') + '"'


LAYOUTS = {
    "captions.txt": "image,caption\n" + "".join(f"{n},{c}\n" for n, c in PAIRS),
    "captions.csv": "Image,Caption\n" + "".join(f"{n},{quoted(c)}\n" for n, c in PAIRS),
    "metadata.csv": "caption;file_name\n" + "".join(f"{quoted(c)};{n}\n" for n, c in PAIRS),
    "captions.tsv": "filename\ttext\n" + "".join(f"{n}\t{c}\n" for n, c in PAIRS),
    "metadata.jsonl": "".join(json.dumps({"file_name": n, "text": c}) + "\n" for n, c in PAIRS),
    "captions.jsonl": "".join(json.dumps({"image": n, "captions": c}) + "\n"
                              for n, c in CAPTIONS.items()),
    "captions.json": json.dumps(CAPTIONS, ensure_ascii=False)}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_layout_line_end_and_mark_gives_the_same(photos, name, ends, encoding):
    draw_all(photos, CAPTIONS)
    (photos / name).write_bytes(LAYOUTS[name].replace("\n", ends).encode(encoding))
    collection = load_folder(photos)
    assert collection.ids == tuple(CAPTIONS)
    assert collection.captions == {"en": tuple(CAPTIONS.values())}
    assert collection.load_pictures(range(3)).shape == (3, 128, 128, 3)


def test_the_layouts_without_a_line_of_names(photos):
    draw_all(photos, ["a.jpg", "b.jpg"])
    (photos / "captions.txt").write_text("a.jpg#0\tone\na.jpg#1\ttwo, 3\nb.jpg#0\tfour\n")
    assert load_folder(photos).captions["en"] == (("one", "two, 3"), ("four",))
    (photos / "captions.txt").write_text("a.jpg,one, two\nb.jpg,three\n")
    assert load_folder(photos).captions["en"] == (("one, two",), ("three",))


def test_captions_as_a_dict_in_several_columns_and_languages(photos):
    draw_all(photos, ["a.jpg", "b.jpg"])
    given = load_folder(photos, {"a.jpg": "ein Hund", "b.jpg": ["eine Katze", "ein Tier"]}, "de")
    assert given.captions == {"de": (("ein Hund",), ("eine Katze", "ein Tier"))}
    table = photos / "any.csv"
    table.write_text("image,caption_1,caption_2\na.jpg,one,two\nb.jpg,three,\n")
    assert load_folder(photos, table).captions["en"] == (("one", "two"), ("three",))
    table.write_text("image,caption,lang\na.jpg,a dog,en\na.jpg,狗,zh\nb.jpg,猫,zh\n", "utf8")
    assert load_folder(photos, "any.csv").captions == {"en": (("a dog",), ()),
                                                       "zh": (("狗",), ("猫",))}
    table.write_text("image,caption_en,caption_de\na.jpg,dog,Hund\nb.jpg,cat,Katze\n")
    assert load_folder(photos, table).captions["de"] == (("Hund",), ("Katze",))
    table.write_text("Nr,Datei,Satz\n1,a.jpg,Hund\n2,b.jpg,Katze\n")
    told = load_folder(photos, table, "de", columns=("Datei", "Satz"))
    assert told.captions == {"de": (("Hund",), ("Katze",))}
    assert "no columns 'bild' and 'satz'" in refusal(photos, table, columns=("Bild", "Satz"))


@pytest.mark.parametrize(("line", "caption"), [
    ('a.jpg,"two lines,\nof ""one"""', 'two lines,\nof "one"'),
    ('a.jpg,"Wow", he said, "a dog"', '"Wow", he said, "a dog"'),
    ('a.jpg,"a mark that is never closed', '"a mark that is never closed'),
    ('a.jpg,a 12" screen, used', 'a 12" screen, used'),
    ('a.jpg, "a dog"', "a dog"), ('"a.jpg","a, b"', "a, b"), ("a.jpg,a dog,,", "a dog"),
    ("a.jpg,it's 5 o'clock", "it's 5 o'clock"), ("a.jpg,None", "None"), ("a.jpg,-1", "-1")])
def test_quotes_and_commas_inside_captions(photos, line, caption):
    draw_all(photos, ["a.jpg", "b.jpg", "z.jpg"])
    (photos / "captions.csv").write_text(f'image,caption\n{line}\nb.jpg,"one, ""two"""\nz.jpg,x\n')
    assert load_folder(photos).captions["en"] == ((caption,), ('one, "two"',), ("x",))


def test_pictures_named_in_other_ways(photos):
    draw_all(photos, ["Images/a.JPG", "Images/é.jpg", "Images/x, y.png", "other/no d.gif",
                      "1000.jpg"])
    (photos / "captions.txt").write_text(
        'image,caption\na.jpg,one\ne\u0301.jpg,two\n"x, y.png",three\nother\\no d.gif,four\n'
        "./1000,five\n", encoding="utf8")
    found = load_folder(photos)
    named = dict(zip(found.ids, found.captions["en"], strict=True))
    assert named == {"Images/a.JPG": ("one",), "Images/é.jpg": ("two",),
                     "Images/x, y.png": ("three",), "other/no d.gif": ("four",),
                     "1000.jpg": ("five",)}


def test_a_captions_file_beside_the_folder_and_paths_from_it(photos, monkeypatch):
    draw_all(photos, ["a.jpg", "b.jpg"])
    table = photos.with_name("list.csv")
    table.write_text(f"image,caption\nphotos/a.jpg,one\n{photos / 'b.jpg'},two\n")
    assert load_folder(photos, table).captions["en"] == (("one",), ("two",))
    monkeypatch.chdir(photos)
    for folder in (str(photos), "../photos", ".", "../photos/"):
        assert load_folder(folder, "../list.csv").captions["en"] == (("one",), ("two",))


def test_captions_under_another_name_are_not_passed_over_in_silence(photos, capsys):
    draw_all(photos, ["a.jpg"])
    (photos / "README.txt").write_text("hello")
    load_folder(photos)
    assert "No captions were read" not in capsys.readouterr().out
    (photos / "texts").mkdir()
    (photos / "texts" / "labels.csv").write_text("image,caption\na.jpg,a dog\n")
    assert load_folder(photos).captions == {}
    assert "captions=…: texts/labels.csv" in capsys.readouterr().out
    assert load_folder(photos, "texts/labels.csv").captions["en"] == (("a dog",),)
    assert "No captions were read" not in capsys.readouterr().out


def test_names_of_subfolders_as_captions(photos, monkeypatch):
    draw_all(photos, ["cat/1.jpg", "dog/1.jpg", "dog/old/2.jpg"])
    monkeypatch.chdir(photos.parent.parent)
    for root in (photos, photos.relative_to(Path.cwd())):
        labels = {path: path.parent.name for path in root.glob("*/**/*.jpg")}
        assert load_folder(root, labels).captions["en"] == (("cat",), ("dog",), ("old",))
    draw(photos / "top.jpg", 9)                 # beside the subfolders
    labels = {path: path.parent.name for path in photos.glob("*/**/*.jpg")}
    assert load_folder(photos, labels, keep_bare=True).captions["en"] == (
        ("cat",), ("dog",), ("old",), ())


def test_what_is_no_picture_is_passed_over(photos):
    draw_all(photos, ["a.jpg", "b.tif", "c.bmp"])
    for name in ("notes.docx", "Thumbs.db", ".hidden.jpg", "._a.jpg", "__MACOSX/a.jpg",
                 ".git/b.jpg"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(b"no picture")
    assert load_folder(photos).ids == ("a.jpg", "b.tif", "c.bmp")


def test_pictures_without_any_captions_are_loaded(photos, capsys):
    draw_all(photos, ["x/a.jpg", "y/a.jpg"])
    collection = load_folder(photos)
    assert collection.ids == ("x/a.jpg", "y/a.jpg") and collection.captions == {}
    assert "2 pictures, 0 captions" in capsys.readouterr().out
    for lang in (None, "de"):
        with pytest.raises(ValueError, match=r"^These pictures have no captions\.$"):
            collection.caption_table(lang=lang)


def test_pictures_without_a_caption_are_kept_if_asked_for(photos, capsys):
    draw_all(photos, [f"{i}.jpg" for i in range(6)])
    told = {"2.jpg": ["a dog", "a pug"], "4.jpg": "A dog"}
    assert "keep_bare=True" in refusal(photos, told)
    assert "keep_bare" not in refusal(photos, {"gone.jpg": "x"}, keep_bare=True)
    kept = load_folder(photos, told, keep_bare=True)
    assert "6 pictures, 3 captions; 4 of the pictures have no caption.\n" in capsys.readouterr().out
    assert kept.ids == tuple(f"{i}.jpg" for i in range(6))
    assert kept.captions["en"] == ((), (), ("a dog", "a pug"), (), ("A dog",), ())
    table = kept.caption_table()
    assert table.concept_row.tolist() == [2, 2, 4] and len(kept.caption_table([0, 1])) == 0
    right = kept.right_answers(table, range(6))         # bare pictures are right for nothing
    assert [np.flatnonzero(row).tolist() for row in right] == [[2, 4], [2], [2, 4]]
    assert kept.right_answers(kept.caption_table([0]), range(6)).shape == (0, 6)
    np.testing.assert_array_equal(near_duplicates(kept), np.eye(6, dtype=bool))
    assert sum(map(len, dataclasses.astuple(kept.split(test=0.4, validation=0.2)))) == 6


def test_bare_pictures_are_counted_in_large_folders_and_faults_stay_faults(photos, capsys):
    draw_all(photos, ["x/a.png", "y/a.png", "b.png"])
    for i in range(301):
        draw(photos / f"m{i}.png", i, (2, 2))
    told = {"m0.png": "a dog"}
    assert len(load_folder(photos, told, keep_bare=True)) == 304
    assert capsys.readouterr().out == (
        "304 pictures, 1 caption; 303 of the pictures have no caption.\n")
    assert load_folder(photos, {}, keep_bare=True).captions == {}
    (photos / "cut.png").touch()
    message = refusal(photos, {**told, "a.png": "which?"}, keep_bare=True)
    assert "cut.png: the file is empty" in message and "x/a.png, y/a.png" in message
    sound = load_folder(photos, {**told, "a.png": "which?"}, keep_bare=True, leave_out=True)
    assert len(sound) == 304 and sound.captions["en"].count(()) == 303


# What is wrong

def hostile(photos):
    """One folder with every fault at once; what each should be called."""
    draw_all(photos, ["good.jpg", "bare.jpg", "x/twice.jpg", "y/twice.jpg", "cut.jpg", "other.png"])
    whole = (photos / "cut.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[:len(whole) // 2])
    (photos / "empty.png").touch()
    (photos / "words.gif").write_text("no picture")
    (photos / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    Image.new("1", (9000, 8000)).save(photos / "enormous.png")
    (photos / "link.jpg").symlink_to(photos / "nowhere.jpg")
    rows = [{"image": name, "caption": f"a {name}"} for name in (
        "good.jpg", "twice.jpg", "gone.jpg", "cut.jpg", "empty.png", "words.gif", "phone.heic",
        "enormous.png", "link.jpg")]
    rows += [{"image": "other.png", "caption": "\ud800"}, {"image": "good.jpg", "caption": "  "},
             {"image": "good.jpg", "caption": 7}, {"caption": "whose?"}]
    lines = [json.dumps(row) for row in rows] + ["{no json", "[1]"]
    (photos / "captions.jsonl").write_text("\n".join(lines))
    return [r"twice.jpg \(line 2\): x/twice.jpg, y/twice.jpg", r"gone.jpg \(line 3\)",
            "cut.jpg: .*truncated", "empty.png: the file is empty",
            "words.gif: no picture of a kind", "phone.heic: no picture of a kind",
            "enormous.png: 9000 by 8000 pixels are more than 64,000,000",
            "link.jpg: no such file", "line 10: the caption of other.png is no text",
            "line 11: the caption of good.jpg is empty", "line 12: the caption of good.jpg",
            "line 13: it names no picture", "line 14: no JSON", "line 15: no object",
            r"Pictures without a caption \(2\):\n  bare.jpg\n  other.png\n"]


def test_everything_wrong_is_told_at_once_before_anything_is_computed(photos, monkeypatch):
    faults = hostile(photos)
    monkeypatch.setattr(vision, "extract_features", None)
    message = refusal(photos)
    for fault in faults:
        assert re.search(fault, message), fault
    assert "twice.jpg" not in message.partition("without a caption")[2].partition("used")[0]


def test_what_is_sound_is_loaded_and_the_rest_told(photos, capsys):
    faults = hostile(photos)
    before = sorted(photos.rglob("*"))
    collection = load_folder(photos, leave_out=True)
    said = capsys.readouterr().out
    assert collection.ids == ("good.jpg",) and collection.captions["en"] == (("a good.jpg",),)
    assert all(re.search(fault, said) for fault in faults)
    assert sorted(photos.rglob("*")) == before


@pytest.mark.parametrize(("content", "told"), [
    (b"", "the file is empty"), (b" \n\r\n", "the file is empty"),
    (b"\xef\xbb\xbf", "the file is empty"), (b"image,caption\n", "empty but for its line of names"),
    ("image,caption\na.jpg,größer\n".encode("cp1252"), "line 2 is not UTF-8.*encoding='cp1252'"),
    ("image,caption\na.jpg,größer\n".encode() + "b.jpg,schön\n".encode("cp1252"),
     "mixed encodings: line 3 is not UTF-8, while line 2 is"),
    ("image,caption\na.jpg,x\n".encode("utf-16-le"), "zero bytes.*utf-16-le"),
    (b"a.jpg\nb.jpg\n", "one column alone")])
def test_captions_that_cannot_be_read(photos, content, told):
    draw_all(photos, ["a.jpg", "b.jpg"])
    (photos / "broken.png").write_text("text")
    (photos / "captions.csv").write_bytes(content)
    for leave_out in (False, True):     # without captions there is nothing to go on with
        message = refusal(photos, leave_out=leave_out)
        assert re.search(f"captions.csv: .*{told}", message)
        assert "broken.png" in message and "without a caption" not in message


def test_another_encoding_can_be_told(photos):
    draw_all(photos, ["a.jpg"])
    (photos / "captions.csv").write_bytes("image,caption\na.jpg,größer\n".encode("cp1252"))
    assert load_folder(photos, encoding="cp1252").captions["en"] == (("größer",),)
    assert "no encoding 'klingon'" in refusal(photos, encoding="klingon")
    assert "cannot be read as ascii" in refusal(photos, encoding="ascii")
    assert decode(b"a\r\nb\rc", "ascii") == "a\nb\nc"


def test_folders_that_are_none(photos, tmp_path):
    assert "There is no folder" in refusal(tmp_path / "nowhere")
    assert "There is no folder" in refusal(draw(photos / "a.jpg"))
    assert "No such file" in refusal(photos, "nowhere.csv")
    (tmp_path / "bare").mkdir()
    assert "holds no pictures" in refusal(tmp_path / "bare")
    assert "holds no pictures" in refusal(tmp_path / "bare", leave_out=True)
    for name in ("captions.csv", "metadata.jsonl"):
        (photos / name).write_text("x")
    assert "captions.csv, metadata.jsonl. Say which" in refusal(photos)


def test_columns_that_are_not_known_and_too_many(photos):
    draw_all(photos, ["a.jpg"])
    (photos / "captions.csv").write_text("Datei,Satz\na.jpg,ein Hund\n")
    assert re.search(r"Datei \(line 1\); if it names the columns, tell them", refusal(photos))
    (photos / "captions.csv").write_text("caption,image\na dog, a cat,a.jpg\n")
    assert "line 2: 3 columns where the first line has 2" in refusal(photos)


def test_a_long_list_of_faults_is_cut(photos):
    draw_all(photos, ["a.jpg"])
    rows = "".join(f"gone{i}.jpg,x\n" for i in range(150))
    (photos / "captions.csv").write_text(f"image,caption\na.jpg,x\n{rows}")
    message = refusal(photos)
    assert "picture (150):" in message and "gone99.jpg" in message and "50 more" in message


def test_a_name_in_no_encoding(photos):
    draw_all(photos, ["a.jpg"])
    try:
        draw(photos / "b.jpg").rename(photos / "b\udcff.jpg")
    except OSError:
        pytest.skip("optional: this file system takes no such names")
    assert r"b\udcff.jpg: its name is in no known encoding" in refusal(photos)


# What a collection of photographs can do

def many(photos, n, captions=None):
    """A collection of n tiny pictures and their captions, one each."""
    for i in range(n):
        draw(photos / f"{i:04}.png", i, (2, 2))
    texts = captions or [f"thing{i} is here" for i in range(n)]
    return load_folder(photos, {f"{i:04}.png": texts[i] for i in range(n)})


def test_few_pictures_load_and_only_a_split_refuses(photos, capsys):
    collection = many(photos, 40)
    assert "40 pictures, 40 captions" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"more than 300.*there are 40.*split\(test=0.2"):
        collection.split()
    split = collection.split(test=0.25, validation=4)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [26, 4, 10]
    for size in (-1, 1.0, 0.0, 1.5, "3", True, float("nan")):
        with pytest.raises(ValueError, match="test must be a whole number"):
            collection.split(test=size, validation=1)
    gallery = collection.gallery(split.test)
    np.testing.assert_array_equal(gallery, split.test)


def test_many_pictures_are_split_without_a_word(photos, capsys):
    collection = many(photos, 301)
    assert capsys.readouterr().out == ""
    split = collection.split(strict=False)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [1, 100, 200]


def test_400_captions_of_one_theme_leave_a_training_set(photos):
    rng = np.random.default_rng(0)
    parts = ("brown black white small wet old young spotted".split(),
             "runs jumps sleeps swims barks plays digs sits".split(),
             "beach grass snow water street garden sofa field".split())
    captions = [" ".join(("a", rng.choice(parts[0]), "dog", rng.choice(parts[1]), "on the",
                          rng.choice(parts[2]), "near", rng.choice(parts[0]), "toys"))
                for _ in range(400)]
    split = many(photos, 400, captions).split()
    assert len(split.test) == 200 and len(split.train) > 60 and len(split.validation) > 60


def test_near_duplicates_of_photographs_are_repeated_captions_and_equal_files(photos):
    captions = ["the red car waits at a crossing", "The red car waits at a crossing.",
                "a red car waits", "a cat", "the dog"]
    for i, seed in enumerate((0, 1, 2, 3, 2)):
        draw(photos / f"{i}.png", seed, (5, 5))
    collection = load_folder(photos, {f"{i}.png": text for i, text in enumerate(captions)})
    expected = np.eye(5, dtype=bool)
    expected[[0, 1, 2, 4], [1, 0, 4, 2]] = True
    np.testing.assert_array_equal(near_duplicates(collection), expected)
    np.testing.assert_array_equal(near_duplicates(collection, [4, 1]), expected[:, [4, 1]])


def test_names_in_another_language_are_compared_as_english_ones_are():
    german = Collection(tuple("abc"), {"de": (("roter Hund",), ("alter Hund",), ("Katze",))})
    assert near_duplicates(german)[0].tolist() == [True, True, False]


def test_a_split_that_the_data_came_with():
    texts = tuple((f"w{i} v{i}",) for i in range(5)) + (("w0 v0",),)
    given = Collection(tuple("abcdef"), captions={"en": texts},
                       official=Split(np.array([0, 1, 2]), np.array([3]), np.array([5])))
    for salt in (0, 7):
        assert given.split(salt, strict=False) is given.official
    assert given.split().train.tolist() == [1, 2] and given.split().test.tolist() == [5]
    drawn = given.split(strict=False, test=2, validation=0)
    assert (len(drawn.train), len(drawn.validation), len(drawn.test)) == (4, 0, 2)
    for wrong in (Split(np.array([0, 1]), np.array([1]), np.array([2])),
                  Split(np.array([0]), np.array([], int), np.array([6]))):
        with pytest.raises(ValueError, match="names each concept once at most.*0 to 5"):
            dataclasses.replace(given, official=wrong)


def test_several_right_answers():
    texts = {"en": (("a", "b"), (), ("c",)), "de": ((), ("d",), ())}
    collection = Collection(tuple("xyz"), captions=texts,
                            pictures=PictureTable(np.arange(3), ["photograph"] * 3, tuple("xyz")))
    table = collection.caption_table([2, 0])
    assert table.text == ("c", "a", "b") and table.concept_row.tolist() == [2, 0, 0]
    assert collection.caption_table(lang="de").text == ("d",) and len(table) == 3
    gallery = collection.pictures.concept_row[collection.gallery([2, 0])]
    right = relevance(gallery, table.concept_row)     # pictures ask for captions
    assert right.tolist() == [[True, False, False], [False, True, True]]
    similarity = np.array([[0.1, 0.9, 0.2], [0.5, 0.2, 0.9]])
    assert ranks(similarity, right).tolist() == [3, 1]
    assert ranks(similarity.T, right.T).tolist() == [2, 2, 1]
    np.testing.assert_array_equal(collection.right_answers(table, [2, 0]), right.T)
    with pytest.raises(ValueError, match="no captions in 'fr'; there are some in: en, de"):
        collection.caption_table(lang="fr")


def test_pictures_with_the_same_label_are_all_right():
    labels = {"en": (("Cat",), ("cat ",), ("dog",), ("cat",)), "de": ((), (), ("Hund", "cat"), ())}
    collection = Collection(tuple("wxyz"), captions=labels, pictures=PictureTable(
        [3, 2, 1, 0], ["photograph"] * 4, tuple("zyxw")))
    table = collection.caption_table([0, 2], "en")
    right = collection.right_answers(table, collection.gallery([2, 1, 0]))
    assert right.tolist() == [[True, True, True], [True, False, False]]


def test_tokens_of_captions():
    collection = Collection(("x", "y"), captions={"en": (("A dog.", "a pug"), ("cats",))})
    assert text.concept_tokens(collection) == [["a", "dog", "a", "pug"], ["cats"]]
    lists, concept = text.caption_tokens(collection, concepts=[1, 0])
    assert lists == [["cats"], ["a", "dog"], ["a", "pug"]] and concept.tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="no texts in 'de'; there are some in: en"):
        text.concept_tokens(collection, "de")


def test_intervals_draw_subgroups_or_single_pictures():
    collection = Collection(tuple("abcd"))
    assert collection.clusters.tolist() == list("abcd")
    values = np.array([0.0, 1.0, 1.0, 0.0])
    assert bootstrap_interval(values, collection.clusters)[0] < 0.5
    assert dataclasses.replace(collection, subgroups=tuple("xxyy")).clusters.tolist() == list(
        "xxyy")


# The same folder again

def test_pictures_found_sound_are_not_looked_at_again(photos, monkeypatch):
    monkeypatch.setattr(folder_module, "FEW", 0)
    monkeypatch.setattr(folder_module, "AT_A_TIME", 2)
    draw_all(photos, ["a.jpg", "b.jpg", "c.jpg"])
    (photos / "d.jpg").write_text("text")
    assert "d.jpg" in refusal(photos)
    seen = []
    monkeypatch.setattr(folder_module, "find_unusable", lambda paths: seen.extend(paths) or {})
    draw(photos / "b.jpg", 9, (50, 50))
    load_folder(photos)
    assert [Path(path).name for path in seen] == ["b.jpg", "d.jpg"]


def counted(monkeypatch):
    """How many pictures the network sees from now on, as a list of batch sizes."""
    sizes, extract = [], vision.extract_features

    def spy(images, backbone=None):
        sizes.append(len(images))
        return extract(images, backbone)

    monkeypatch.setattr(vision, "extract_features", spy)
    return sizes


def test_ten_more_pictures_cost_ten(photos, monkeypatch):
    draw_all(photos, [f"m{i:02}.png" for i in range(20)])
    before = vision.picture_features(load_folder(photos))
    for i in range(10):
        draw(photos / f"{'az'[i % 2]}{i}.png", 100 + i)
    sizes = counted(monkeypatch)
    collection = load_folder(photos)
    after = vision.picture_features(collection)
    assert sum(sizes) == 10 and after.shape == (30, 1280)
    old = [row for row, name in enumerate(collection.ids) if name.startswith("m")]
    np.testing.assert_array_equal(after[old], before)
    np.testing.assert_array_equal(vision.picture_features(collection), after)
    assert sum(sizes) == 10


def test_two_folders_of_one_name_and_one_replaced_picture(tmp_path, monkeypatch):
    one, other = tmp_path / "A" / "me" / "photos", tmp_path / "B" / "me" / "photos"
    for number, folder in enumerate((one, other)):
        draw(folder / "a.png", number)
        draw(folder / "b.png", 5)
    first, second = (vision.picture_features(load_folder(folder)) for folder in (one, other))
    assert not np.allclose(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    sizes = counted(monkeypatch)
    draw(one / "a.png", 7)
    replaced = vision.picture_features(load_folder(one))
    assert sizes == [1] and not np.allclose(replaced[0], first[0])
    np.testing.assert_array_equal(replaced[1], first[1])


def test_an_interrupted_run_goes_on_where_it_stopped(photos, monkeypatch):
    monkeypatch.setattr(vision, "BATCH_SIZE", 2)
    monkeypatch.setattr(vision, "BATCHES_A_FILE", 1)
    draw_all(photos, [f"{i}.png" for i in range(6)])
    collection, extract = load_folder(photos), vision.extract_features
    calls = []

    def interrupted(images, backbone=None):
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return extract(images, backbone)

    with monkeypatch.context() as patch:
        patch.setattr(vision, "extract_features", interrupted)
        with pytest.raises(KeyboardInterrupt):
            vision.picture_features(collection)
    sizes = counted(monkeypatch)
    rows = vision.picture_features(collection)
    assert sizes == [2]
    np.testing.assert_allclose(rows, extract(collection.load_pictures(range(6))), rtol=1e-3,
                               atol=1e-4)


def test_damaged_features_are_computed_again(photos, tmp_path, monkeypatch):
    draw_all(photos, ["a.png", "b.png"])
    (photos / "c.png").write_bytes((photos / "a.png").read_bytes())
    collection = load_folder(photos)
    before = vision.picture_features(collection)
    (file,) = (tmp_path / "cache").rglob("*.npz")
    sizes = counted(monkeypatch)
    for content in (b"short", b"x" * file.stat().st_size):
        file.write_bytes(content)
        np.testing.assert_array_equal(vision.picture_features(collection), before)
    assert sizes == [3, 3]


def test_captions_are_read_without_their_pictures(tmp_path):
    path = tmp_path / "any.csv"
    path.write_text("image,caption\na.jpg,one\n,two\n")
    captions, problems = read_captions(path)
    assert [(c.where, c.picture, c.text) for c in captions] == [("line 2", "a.jpg", "one")]
    assert problems == ["line 3: it names no picture"]
