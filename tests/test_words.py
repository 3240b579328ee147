"""Words in every script, whatever the keyboard and the typesetter put for a letter."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmfuse_utils.data import words
from mmfuse_utils.data.words import tokens

APOSTROPHES = "'’‘ʼ′´`"
LETTERS = st.text("abcdeéñßøзийλत", min_size=1, max_size=5)


@given(LETTERS, LETTERS, st.sampled_from(APOSTROPHES[1:]))
def test_whatever_the_apostrophe_the_word_is_the_same(a, b, apostrophe):
    assert tokens(f"{a}{apostrophe}{b}") == tokens(f"{a}'{b}")
    assert tokens(f"{apostrophe}{a}{apostrophe} {b}{apostrophe}") == tokens(f"'{a}' {b}'")


@given(st.text())
def test_every_spelling_of_a_text_has_the_same_words(text):
    composed, apart = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert tokens(composed) == tokens(apart)
    assert tokens(" ".join(tokens(text))) == tokens(text)


@pytest.mark.parametrize(("text", "expected"), [
    ("woman’s hat", ["woman's", "hat"]), ("WOMANʼS HAT", ["woman's", "hat"]),
    ("Cafe\u0301 ﬁsh ＷＩＤＥ", ["café", "fish", "wide"]), ("İstanbul", ["istanbul"]),
    ("wo\u00adman", ["woman"]), ("हिन्दी फ़िल्म", ["हिन्दी", "फ़िल्म"]), ("বাংলা ভাষা", ["বাংলা", "ভাষা"]),
    ("คำถาม", ["คำถาม"]), ("ɛ\u0300wé", ["ɛ\u0300wé"]), ("שָׁלוֹם צ׳ק", ["שָׁלוֹם", "צ'ק"])])
def test_words_of_other_scripts_and_keyboards_stay_whole(text, expected):
    assert tokens(text) == [unicodedata.normalize("NFC", word) for word in expected]


@pytest.mark.parametrize(("text", "expected"), [
    ("می\u200cخواهم", "میخواهم"), ("a\u200db", "ab"), ("a\u200eb", "ab"), ("a\u034fb", "ab"),
    ("𑄇𑄴𑄥", "𑄇𑄴𑄥"), ("𞤆𞤵𞥅", "𞤨𞤵𞥅"), ("a½b", "a b"), ("①", "")])
def test_what_nobody_sees_does_not_cut_and_no_number_is_a_letter(text, expected):
    assert tokens(text) == expected.split()


@given(st.text(st.characters(max_codepoint=127)))
def test_the_quick_way_for_plain_texts_gives_the_same(text):
    assert tokens(text) == words.WORD.findall(words.normalize(text))


def test_no_mark_or_sign_is_forgotten():
    categories = {chr(code): unicodedata.category(chr(code)) for code in range(sys.maxunicode + 1)}
    assert set(words.MARKS) == {c for c, kind in categories.items() if kind[0] == "M"}
    assert set(words.NUMBERS) == {c for c, kind in categories.items() if kind in ("Nl", "No")}
    assert set(words.UNSEEN) >= {c for c, kind in categories.items() if kind == "Cf"} - {"\u200b"}


@pytest.mark.parametrize("odd", [None, 3, float("nan"), b"cat", ["cat"]])
def test_only_a_text_has_words(odd):
    with pytest.raises(TypeError, match="Expected a text such as"):
        tokens(odd)


@pytest.mark.parametrize(("text", "expected"), [
    ("", []), ("A Dog", ["a", "dog"]), ("x_y 3rd 1", ["x", "y", "rd"]),
    ("rock'n'roll", ["rock'n'roll"]), ("'quoted'", ["quoted"]), ("dogs' tails", ["dogs", "tails"]),
    ("crème-brûlée", ["crème", "brûlée"]), ("Ёлка 木", ["ёлка", "木"])])
def test_tokens(text, expected):
    assert tokens(text) == expected
