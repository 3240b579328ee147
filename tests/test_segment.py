"""Words of all languages of the book, also of those that write no spaces between them."""

from collections import Counter

import numpy as np
import pytest

from mmfuse_utils.data import Collection, load_emoji, near
from mmfuse_utils.data.collection import near_duplicates
from mmfuse_utils.data.emoji import LANGUAGES
from mmfuse_utils.data.segment import segment
from mmfuse_utils.data.words import tokens
from mmfuse_utils.text import concept_tokens

RIGHT = {
    "en": ("A woman’s red hat", "a woman's red hat"),
    "de": ("Die Grüße der Straßenbahn", "die grüße der straßenbahn"),
    "fr": ("L’œil d’un éléphant", "l'œil d'un éléphant"),
    "es": ("¿Dónde está el niño?", "dónde está el niño"),
    "pt": ("O coração é vermelho.", "o coração é vermelho"),
    "it": ("L’albero è già verde", "l'albero è già verde"),
    "nl": ("’s Avonds een ijsje", "s avonds een ijsje"),
    "pl": ("Żółta łódź, źrebię", "żółta łódź źrebię"),
    "ru": ("Ёлка — дерево", "ёлка дерево"),
    "uk": ("М’яч і їжак", "м'яч і їжак"),
    "tr": ("İyi kız, güzel ağaç", "iyi kız güzel ağaç"),
    "ar": ("قطة سوداء، وكلب", "قطة سوداء وكلب"),
    "he": ("כלב צ׳יוואווה קטן", "כלב צ'יוואווה קטן"),
    "hi": ("हिन्दी की किताब।", "हिन्दी की किताब"),
    "bn": ("লাল রঙের বই।", "লাল রঙের বই"),
    "th": ("ปลาและแมว", "ปลา และ แมว"),
    "vi": ("Con mèo đen", "con mèo đen"),
    "id": ("Kupu-kupu di taman", "kupu kupu di taman"),
    "ja": ("赤いりんごを食べる", "赤い りんご を 食べる"),
    "ko": ("빨간 사과를 먹다", "빨간 사과를 먹다"),
    "zh": ("红苹果和香蕉", "红 苹果 和 香蕉"),
    "zh-Hant": ("紅蘋果和腳踏車", "紅 蘋果 和 腳踏車"),
}


def test_every_language_of_the_book_is_here():
    assert set(RIGHT) == set(LANGUAGES)


@pytest.mark.parametrize("lang", RIGHT)
def test_words_as_a_reader_of_the_language_sees_them(lang):
    text, expected = RIGHT[lang]
    assert segment([text, ""], lang) == [expected.split(), []]


def test_nothing_is_lost_and_scripts_with_spaces_are_left_alone():
    emoji = load_emoji(LANGUAGES)
    for lang in LANGUAGES:
        texts = [" ".join(entry) for entry in emoji.keywords[lang]]
        cut, whole = segment(texts, lang), [tokens(text) for text in texts]
        assert ["".join(words) for words in cut] == ["".join(words) for words in whole]
        is_unspaced = lang in ("zh", "zh-Hant", "ja", "th")
        assert is_unspaced == (sum(map(len, cut)) > 1.3 * sum(map(len, whole))), lang
        assert is_unspaced or np.mean([a == b for a, b in zip(cut, whole)]) > 0.99, lang


def test_english_stays_as_it_was():
    emoji = load_emoji()
    joined = [" ".join(name + more) for name, more in zip(emoji.names["en"],
                                                          emoji.keywords["en"], strict=True)]
    assert concept_tokens(emoji) == [tokens(text) for text in joined]


def test_a_language_that_is_none_is_refused():
    with pytest.raises(ValueError, match="given by a code such as 'zh'"):
        segment(["红苹果"], "not a language")


def chinese() -> Collection:
    """Near in Chinese alone: 0 and 1 by name; 2 and 3 by keywords; near in English: 4 and 5."""
    english = ("peach", "plum", "hen", "egg", "red ball", "ball"), (("x",),) * 6
    names = "水果桃", "红水果", "母鸡", "蛋", "甲", "乙"
    keywords = "桃", "李子", "农场", "农场", "丙", "丁"
    return Collection(tuple("abcdef"),
                      {"en": tuple((name,) for name in english[0]),
                       "zh": tuple((name,) for name in names)},
                      {"en": tuple((str(i) * 3,) for i in range(6)),
                       "zh": tuple((word,) for word in keywords)})


def test_near_in_a_language_is_near_beside_english():
    pairs = {("en",): {(4, 5)}, ("zh",): {(0, 1)}, ("en", "zh"): {(0, 1), (4, 5)}}
    for languages, expected in pairs.items():
        found = near_duplicates(chinese(), languages=languages)
        assert {(a, b) for a, b in np.argwhere(found).tolist() if a < b} == expected
        np.testing.assert_array_equal(found, found.T)


def test_a_language_without_texts_is_refused():
    with pytest.raises(ValueError, match="no texts in 'fr' to find near-duplicates by"):
        near_duplicates(chinese(), languages=("en", "fr"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_split_strict_in_a_language_keeps_the_test_and_drops_from_the_rest(lang):
    emoji = load_emoji(("en", lang))
    english, strict = emoji.split(3), emoji.split(3, languages=("en", lang))
    np.testing.assert_array_equal(strict.test, english.test)
    assert set(strict.train) <= set(english.train)
    assert set(strict.validation) <= set(english.validation)
    words = [set(entry) for entry in concept_tokens(emoji, lang, keywords=False)]
    counts = Counter(w for entry in words for w in entry)
    held = set().union(*(words[row] for row in strict.test))
    shared = {w for row in strict.train for w in words[row] & held}
    allowed = near.STOP_WORDS | {w for w in shared if counts[w] > near.COMMON or len(w) == 1}
    assert lang == "en" or {w for w in shared - allowed if "'" not in w} == set()
    assert (strict.train.tolist() == english.train.tolist()) == (lang == "en")
