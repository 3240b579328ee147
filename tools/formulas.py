"""Formulas of the built pages: TeX becomes HTML and MathML here, not in the reader's browser.

KaTeX sets them, all of the book in one run of Node. The MathML, which is hidden from sight, is
what screen readers say; it holds the TeX, which `book.js` puts on the clipboard when a formula
is copied.
"""

import html
import json
import re
import sys
import tempfile
from pathlib import Path

from javascript import NODE, run_node

MARKED = re.compile(r"<mmfuse-tex( displayed)?>(.*?)</mmfuse-tex>", re.DOTALL)
# Sphinx numbers equations; KaTeX would number these once more.
NUMBERED = re.compile(r"\\(begin|end)\{(align|alignat|equation|gather)\}")


def typeset_pages(pages):
    """The pages, texts by name, with each marked formula typeset.

    Leaves with page, formula and reason where the TeX of one is wrong.
    """
    wanted = sorted({formula for text in pages.values() for formula in find_formulas(text)})
    made = dict(zip(wanted, typeset(wanted), strict=True))
    wrong = [f"{name}: {tex}\n    {made[tex, displayed]['error']}"
             for name, text in pages.items() for tex, displayed in find_formulas(text)
             if "error" in made[tex, displayed]]
    if wrong:
        sys.exit("These formulas cannot be typeset:\n" + "\n".join(wrong))
    return {name: MARKED.sub(lambda found: made[formula(found)]["html"], text)
            for name, text in pages.items()}


def find_formulas(text):
    """The formulas of a page in its order: TeX, and whether it has lines of its own."""
    return [formula(found) for found in MARKED.finditer(text)]


def formula(found):
    """TeX of a marked formula, and whether it has lines of its own."""
    tex = html.unescape(found[2]).strip()
    return NUMBERED.sub(r"\\\1{\2*}", tex), found[1] is not None


def typeset(formulas):
    """For each formula, {"html": …} or {"error": …}."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "formulas.json")
        file.write_text(json.dumps([{"tex": tex, "displayed": displayed}
                                    for tex, displayed in formulas]), encoding="utf8")
        return json.loads(run_node(NODE / "formulas.js", file))
