"""From a text to its words, whatever the script, the keyboard and the typesetter."""

import re
import unicodedata

# Beyond these lie Chinese characters, and planes without a mark or a sign.
ALL = [chr(code) for code in (*range(0x20000), *range(0xe0000, 0xe1000))]
# A letter may carry marks: accents that no single character has, or the vowel signs of Hindi.
MARKS = "".join(c for c in ALL if unicodedata.category(c)[0] == "M")
NUMBERS = "".join(c for c in ALL if unicodedata.category(c) in ("Nl", "No"))    # such as ½
# What nobody sees: soft hyphens, joiners, marks of direction; but U+200B stands between words.
UNSEEN = [c for c in ALL if unicodedata.category(c) == "Cf" and c != "\u200b"]
UNSEEN += ["\u034f", *map(chr, range(0xfe00, 0xfe10))]
# What typesetters and keyboards put for the straight apostrophe; what stands for nothing.
ALIKE = str.maketrans(dict.fromkeys("‘’‛ʹʻʼʽˈ′´`׳", "'") | dict.fromkeys(UNSEEN))
COMPATIBLE = re.compile("[\ufb00-\ufb06\uff01-\uff5e]")  # joined as in ﬁ, and of double width
LETTER = rf"[^\W\d_{NUMBERS}]"
LETTERS = rf"{LETTER}(?:{LETTER}|[{MARKS}])*"
WORD = re.compile(rf"{LETTERS}(?:'{LETTERS})*")
PLAIN_WORD = re.compile("[a-z]+(?:'[a-z]+)*")


def normalize(text: str) -> str:
    """Lower case, with one spelling for what looks alike: accents, ligatures, apostrophes.

    A letter followed by an accent becomes the accented letter (Unicode's form NFC), wide and
    joined letters become plain ones, typographic apostrophes the straight one, and what nobody
    sees, such as a soft hyphen, goes.

    >>> normalize("WOMAN’S ﬁsh"), len(normalize("e\u0301"))
    ("woman's fish", 1)
    """
    text = unicodedata.normalize("NFC", text)
    plain = COMPATIBLE.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    lower = plain.translate(ALIKE).lower().replace("i\u0307", "i")  # as Turkish İ becomes
    return unicodedata.normalize("NFC", lower)


def tokens(text: str) -> list[str]:
    """Lower-case words of letters, with their marks and inner apostrophes; see `normalize`.

    Raises TypeError for anything but a text.

    >>> tokens('a dog\\'s life; "it was 1 of 3 dogs’"')
    ['a', "dog's", 'life', 'it', 'was', 'of', 'dogs']
    """
    if not isinstance(text, str):
        raise TypeError(f"Expected a text such as 'a cat'; got {type(text).__name__}: {text!r}")
    # Most English texts need no more than the short pattern, which is far quicker.
    return (PLAIN_WORD if text.isascii() else WORD).findall(normalize(text))
