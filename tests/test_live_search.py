"""The page "Search pictures with words": as Python finds, within its budget, for every reader."""

import base64
import gzip
import re
from urllib.parse import quote_plus

import held_out
import numpy as np
import pytest
from packing import pack, pack_bits, quantize, unpack, unpack_bits

from mmfuse_utils.data import load_emoji
from mmfuse_utils.data.collection import near_duplicates
from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.text import tokenize

QUERIES = """red apple; animal that lives in the sea; something to write with; happy face; dog; cat
a house where people live; fast vehicle; musical instrument with strings; yellow fruit; snow; music
rain and thunder; hot drink; green vegetable; ship; flying animal; bird of prey; old building; king
clothes for winter; tool for cutting; angry man; person who cooks; game with a ball; star; moon
doctor; sweet dessert; bread and cheese; big cat; train on rails; small insect; flower; tree; clock
book; money; heart; a love letter; key to a door; fire; water; sleeping; mountain; beach holiday
a dangerous animal with teeth; birthday party; red red apple; the fish of the deep ocean; camera
medicine""".replace("\n", ";").split(";")
QUERIES = [query.strip() for query in QUERIES]


@pytest.fixture(scope="module")
def data(site):
    return site / "_static" / "live" / "data"


@pytest.fixture(scope="module")
def shipped(data):
    """Header and arrays of every file that the page loads, read from the files themselves."""
    def content(name):
        script = (data / f"search-{name}.js").read_text(encoding="utf8")
        return unpack(base64.b64decode(script.rsplit('"', 2)[1]))
    return {name: content(name) for name in ("first", "methods", "words", "chinese", "clips")}


def unfold(folded):
    """Words stored as how many letters each shares with the one before."""
    words = [""]
    for line in folded.split("\n"):
        words.append(words[-1][:int(line[0], 36)] + line[1:])
    return words[1:]


class Reference:
    """The page's methods once more, in NumPy and by their definitions, on the same numbers."""

    def __init__(self, shipped, method):
        header, arrays = shipped["first"]
        self.words = unfold(header["words"])
        self.rows = unit_rows(arrays["vectors"])
        self.small, self.fold = set(header["small"].split()), arrays["fold"]
        arrays = arrays | shipped["methods"][1] | shipped["clips"][1]
        self.parts = [(unit_rows(arrays[name]), arrays.get(f"{name}_mean"), weight)
                      for name, weight in header["recipes"][method].items()]

    def told(self, phrase):
        words = [word for word in tokenize(phrase) if word not in self.small]
        known = [self.rows[self.words.index(word)] for word in words if word in self.words]
        return np.sum(known, axis=0) / np.linalg.norm(np.sum(known, axis=0))

    def scores(self, phrase):
        told, total = self.told(phrase), 0
        for places, means, weight in self.parts:
            means = np.zeros((1, 100)) if means is None else means.astype(float)
            own = means[self.fold] if len(means) > 1 else means
            rest = told - own
            cosines = (rest * places).sum(axis=1) / np.linalg.norm(rest, axis=1)
            total = total + weight * cosines
        return total

    def of_picture(self, row):
        scores = sum(weight * places @ places[row] for places, _, weight in self.parts)
        scores[row] = -np.inf
        return scores


def first_ten(scores):
    """Places of the ten best, the earlier one of equal scores first."""
    return np.argsort(-scores, kind="stable")[:10].tolist()


# What is shipped

def test_arrays_come_back_as_they_were_packed():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 5))
    for bits in (1, 3, 4, 8):
        codes, levels = quantize(values, bits)
        assert np.array_equal(unpack_bits(pack_bits(codes.ravel(), bits), bits, 35),
                              codes.ravel())
        exact = {"plain": np.float32(values), "few": np.array([[1, 2, 65535]], np.uint16)}
        header, arrays = unpack(pack({"a": "é"}, {"table": (codes, levels), **exact}))
        assert header["a"] == "é"
        assert np.array_equal(arrays["table"], levels[codes])
        assert all(np.array_equal(arrays[name], array) for name, array in exact.items())


def test_quantizing_takes_the_nearest_level_and_finer_is_nearer():
    values = np.random.default_rng(1).normal(size=4000)
    errors = []
    for bits in (2, 3, 4):
        codes, levels = quantize(values, bits)
        assert np.array_equal(codes, np.abs(values[:, None] - levels).argmin(axis=1))
        errors.append(np.mean((values - levels[codes]) ** 2))
    # The least possible for normal numbers (Max, 1960); so many draws come near it.
    assert np.allclose(errors, [0.1175, 0.03454, 0.009497], rtol=0.1)


def test_no_picture_is_placed_by_a_map_that_has_seen_something_like_it():
    emoji = load_emoji()
    splits, near = held_out.folds(emoji), near_duplicates(emoji)
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(len(emoji)))
    for split in splits:
        assert len(split.train) > 300
        assert not near[np.ix_(split.train, split.test)].any()
    book = emoji.split(0)
    assert np.array_equal(splits[0].test, book.test)
    assert np.array_equal(splits[0].train, book.train)


@pytest.mark.book
def test_sizes_are_within_the_budget_and_said_as_they_are(site, data, shipped):
    def cost(*paths):
        return sum(len(gzip.compress(path.read_bytes(), 6)) for path in paths)

    live = data.parent
    assert cost(live / "search.js", data / "search-first.js") <= 250_000
    assert cost(live / "search_box.js", data / "search-first.js") <= 250_000
    sizes = shipped["first"][0]["facts"]["sizes"]
    for name in ("methods", "words", "chinese", "clips"):
        assert sizes[name] == cost(data / f"search-{name}.js")
    for name in ("pictures", "clips"):
        files = list((data / f"search-{name}").iterdir())
        assert sizes[f"{name} shown"] == sum(path.stat().st_size for path in files)
    assert sum(sizes.values()) + cost(data / "search-first.js") <= 6_000_000


@pytest.mark.book
def test_few_bits_keep_what_full_precision_finds(shipped):
    facts = shipped["first"][0]["facts"]["methods"]
    for method in ("ridge", "conse", "best"):
        assert facts[method]["same"] >= 0.85
        assert abs(facts[method]["hit"] - facts[method]["full"]) <= 0.03
    assert facts["conse"]["hit"] < facts["ridge"]["hit"] < facts["best"]["hit"]


# The page in a browser

SHOWN = """name => [...document.querySelectorAll(`.mmfuse-method-${name} .mmfuse-hit img`)].map(
  picture => picture.src.match(/([^/]+)\\.webp$/)[1])"""
FILMS = """() => [...document.querySelectorAll(".mmfuse-method-clips .mmfuse-film")].map(
  film => Number(film.style.backgroundImage.match(/([0-9]+)\\.webp/)[1]))"""


def open_search(open_page, address, query="red apple", **settings):
    tab = open_page(f"{address}/live_search.html#q={quote_plus(query)}", **settings)
    tab.wait_for_selector(".mmfuse-method-ridge .mmfuse-hit")
    return tab


def load_part(tab, words, appears):
    tab.locator(".mmfuse-offers button", has_text=words).click()
    tab.wait_for_selector(appears)


def ask(tab, query):
    """Type a phrase and wait until the page has settled."""
    field = tab.get_by_label("Search pictures with words")
    field.fill(query)
    field.press("Enter")
    tab.wait_for_function(
        "query => new URLSearchParams(location.hash.slice(1)).get('q') === query", arg=query)


@pytest.mark.book
def test_the_first_ten_are_those_of_python(address, open_page, shipped):
    tab = open_search(open_page, address)
    load_part(tab, "Three more methods", ".mmfuse-method-best .mmfuse-hit")
    load_part(tab, "Clips that move", ".mmfuse-method-clips .mmfuse-hit")
    ids = shipped["first"][0]["ids"].split()
    references = {name: Reference(shipped, name)
                  for name in ("ridge", "conse", "best", "seen", "clips")}
    assert len(set(QUERIES)) >= 50
    for query in QUERIES:
        ask(tab, query)
        for name, reference in references.items():
            expected = first_ten(reference.scores(query))
            if name == "clips":
                assert tab.evaluate(FILMS) == expected, query
            else:
                assert tab.evaluate(SHOWN, name) == [ids[row] for row in expected], query


@pytest.mark.book
def test_a_picture_asks_and_finds_what_python_finds(address, open_page, shipped):
    tab = open_search(open_page, address)
    load_part(tab, "Three more methods", ".mmfuse-method-best .mmfuse-hit")
    header, _ = shipped["first"]
    ids, looks = header["ids"].split(), shipped["methods"][1]["looks"]
    row = ids.index(tab.evaluate(SHOWN, "ridge")[0])
    tab.locator(".mmfuse-method-ridge .mmfuse-hit").first.click()
    tab.wait_for_function("id => location.hash === `#picture=${id}`", arg=ids[row])
    for name in ("ridge", "conse", "best", "seen"):
        expected = first_ten(Reference(shipped, name).of_picture(row))
        assert tab.evaluate(SHOWN, name) == [ids[other] for other in expected]
    assert tab.evaluate(SHOWN, "concat") == [ids[other] for other in looks[row][:10]]
    assert row not in looks[row]


@pytest.mark.book
def test_concatenation_finds_nothing_by_a_phrase_and_says_so(address, open_page):
    tab = open_search(open_page, address)
    assert tab.evaluate(SHOWN, "concat") == []
    assert "finds nothing" in tab.locator(".mmfuse-method-concat").inner_text()


@pytest.mark.book
def test_scores_add_up_word_by_word(address, open_page, shipped):
    tab = open_search(open_page, address, "red apple")
    line = tab.locator(".mmfuse-method-ridge .mmfuse-sum").inner_text()
    joined = line.replace("− ", "-").replace("−", "-").replace("+ ", "")
    numbers = [float(part) for part in re.findall(r"-?[0-9]+\.[0-9]+", joined)]
    assert "red" in line and "apple" in line
    assert numbers[0] == pytest.approx(sum(numbers[1:]), abs=0.021)     # four rounded numbers
    assert numbers[0] == pytest.approx(Reference(shipped, "ridge").scores("red apple").max(),
                                       abs=0.006)


@pytest.mark.book
def test_unknown_words_are_said_kindly_with_a_near_spelling(address, open_page):
    tab = open_search(open_page, address, "red aple")
    line = tab.locator(".mmfuse-unknown")
    line.wait_for()
    assert "aple" in line.inner_text()
    line.get_by_role("button", name="apple", exact=True).click()
    tab.wait_for_function("() => location.hash === '#q=red+apple'")
    assert tab.locator(".mmfuse-unknown").count() == 0
    ask(tab, "qqqqqqzx")
    assert "not among my words" in tab.locator(".mmfuse-unknown").inner_text()
    assert tab.locator(".mmfuse-method").count() == 0
    assert "None of these words" in tab.get_by_role("status").inner_text()
    ask(tab, "of the")
    assert "add one that says" in tab.get_by_role("status").inner_text()


@pytest.mark.book
def test_more_words_and_chinese_come_when_asked_for(address, open_page, shipped):
    tab = open_search(open_page, address)
    first = set(unfold(shipped["first"][0]["words"]))
    rare = next(word for word in unfold(shipped["words"][0]["words"])
                if word not in first and len(word) == 9)
    ask(tab, rare)
    tab.locator(".mmfuse-unknown .mmfuse-load").click()
    tab.wait_for_selector(".mmfuse-method-ridge .mmfuse-hit")
    assert tab.locator(".mmfuse-unknown").count() == 0
    ask(tab, "红苹果")
    tab.locator(".mmfuse-unknown .mmfuse-load").first.click()
    tab.wait_for_selector(".mmfuse-method-ridge .mmfuse-owed")
    owed = set(tab.locator(".mmfuse-method-ridge .mmfuse-owed").all_inner_texts())
    assert owed <= {"红", "苹果"} and owed


@pytest.mark.book
def test_it_works_from_a_file_and_by_keyboard_alone(site, open_page):
    tab = open_page((site / "live_search.html").as_uri())
    tab.wait_for_selector(".mmfuse-method-ridge .mmfuse-hit")
    tab.get_by_label("Search pictures with words").focus()
    tab.keyboard.press("Control+A")
    tab.keyboard.type("dog")
    tab.wait_for_function("() => location.hash === '#q=dog'")
    for _ in range(200):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.matches('.mmfuse-method-ridge .mmfuse-hit')"):
            break
    picture = tab.evaluate("document.activeElement.querySelector('img').alt")
    assert ", drawn by " in picture
    tab.keyboard.press("Enter")
    tab.wait_for_function("() => location.hash.startsWith('#picture=')")
    said = tab.get_by_role("status").inner_text()
    name = picture.split(", drawn by ")[0]
    assert f"the picture {name}, ridge puts first" in said
    assert tab.evaluate("document.activeElement.querySelector('img').alt") == picture
    tab.keyboard.press("Enter")                     # on the picture that asks: by its name
    tab.wait_for_function("name => new URLSearchParams(location.hash.slice(1)).get('q') === name",
                          arg=name)


@pytest.mark.book
@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_clips_move_when_asked_and_never_by_themselves(address, open_page, motion):
    tab = open_search(open_page, address, reduced_motion=motion)
    load_part(tab, "Clips that move", ".mmfuse-method-clips .mmfuse-hit")
    tab.mouse.move(0, 0)
    playing = "film => getComputedStyle(film).animationName"
    film = tab.locator(".mmfuse-film").first
    assert film.evaluate(playing) == "none"
    button = tab.locator(".mmfuse-method-clips .mmfuse-hit").first
    button.click()
    tab.mouse.move(0, 0)
    button.evaluate("button => button.blur()")
    assert film.evaluate(playing) == "mmfuse-film"
    assert button.get_attribute("aria-pressed") == "true"


@pytest.mark.book
def test_the_first_page_searches_as_well(address, open_page, shipped):
    tab = open_page(f"{address}/index.html", width=390)
    field = tab.get_by_label("Search pictures with words")
    assert field.bounding_box()["y"] < 844          # in the first screen of a phone
    assert tab.evaluate("() => Object.keys(mmfuseStore.loaded)") == []      # nothing runs unasked
    ahead = tab.wait_for_selector("link[rel=prefetch]", state="attached")
    assert ahead.get_attribute("href").endswith("/_static/live/data/search-first.js")
    field.fill("dog")
    tab.wait_for_selector(".mmfuse-method-ridge .mmfuse-hit")
    ids = shipped["first"][0]["ids"].split()
    assert tab.evaluate(SHOWN, "ridge") == [
        ids[row] for row in first_ten(Reference(shipped, "ridge").scores("dog"))]
    link = tab.locator("[data-live=search_box] .mmfuse-after a")
    tab.wait_for_function("link => link.hash === '#q=dog'", arg=link.element_handle())
