"""Make the built site light, page by page and as a whole. Sphinx's own output works, but weighs.

    formulas       typeset here (formulas.py), not in the reader's browser
    code           without marks that have no color of their own
    speech         no empty headings of tables, and folds are called by what stands on them
    drawings       without digits, groups and lists of fonts that do not show
    pictures       files, small, sized, loaded when they come near (pictures.py)
    frame          one style sheet and one script for all pages, without what none of them needs
                   (frame.py); what a page is about, for search engines

Nothing here changes what a page says.
"""

import re

from formulas import typeset_pages
from frame import frame_pages
from pictures import place_pictures

DRAWING = re.compile(r'<svg\b[^>]*class="mmfuse-drawing"[^>]*>.*?</svg>', re.DOTALL)
# A group without a name or a style, around one thing.
GROUP = re.compile(r"<g>\s*(<(path|use|text|image)\b[^>]*(?:/>|>[^<]*</\2>))\s*</g>")
LISTING = re.compile(r'(?<=<div class="highlight"><pre>).*?(?=</pre></div>)', re.DOTALL)
EMPTY_HEAD = re.compile(r"<th\b([^>]*)>(?:\s|&nbsp;|&#160;|<p>\s*</p>)*</th>")
TWICE = re.compile(r'<span class="(\w{1,2})">([^<]*)</span><span class="\1">')


def lighten(site):
    """Rewrite all pages of a built site; leaves with a message where a formula is wrong."""
    pages = typeset_pages(read_pages(site))
    plain = plain_marks((site / "_static" / "pygments.css").read_text(encoding="utf8"))
    pages = {name: mend_speech(slim_drawings(slim_code(text, plain)))
             for name, text in pages.items()}
    pages = frame_pages(site, place_pictures(site, pages))
    for name, text in pages.items():
        (site / name).write_text(text, encoding="utf8")


def read_pages(site):
    """Texts of the site's pages by name, but for those that only lead to another."""
    files = {path.relative_to(site).as_posix(): path for path in sorted(site.rglob("*.html"))}
    texts = {name: path.read_text(encoding="utf8") for name, path in files.items()
             if not name.startswith(("_static/", "_sources/"))}
    return {name: text for name, text in texts.items() if 'id="main-content"' in text}


def slim_code(text, plain):
    """A page whose listings have no marks that do not show, and no two alike in a row.

    A listing of forty lines has a thousand marks; half of them only say "name" or "comma".
    """
    unseen = re.compile(rf'<span class="(?:{"|".join(plain)})">([^<]*)</span>')

    def slim(found):
        listing = unseen.sub(r"\1", found[0]).replace("<span></span>", "")
        while TWICE.search(listing):
            listing = TWICE.sub(r'<span class="\1">\2', listing)
        return listing

    return LISTING.sub(slim, text)


def mend_speech(text):
    """A page that is read aloud as it is seen: no empty cell of a table is announced as a heading,
    what opens and closes has the name that stands on it, and sources are a list."""
    text = EMPTY_HEAD.sub(r"<td\1></td>", text)
    text = text.replace('role="doc-biblioentry"', 'role="listitem"')    # retired by DPUB-ARIA 1.1
    return text.replace('<summary aria-label="Toggle hidden content">', "<summary>")


def round_places(tag):
    """A tag with its places in two decimals; factors below one keep theirs."""
    return re.sub(r"(?<![\d.])[1-9]\d*\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag[0])


def slim_drawings(text):
    """A page whose figures have two decimals, fewer groups, and the font of book.css."""
    def slim(found):
        drawing = re.sub(r"<[^>]*>", round_places, found[0])
        drawing = re.sub(r" font-family: 'DejaVu Sans'[^;\"]*;", "", drawing)
        drawing = re.sub(r"\s*\n\s*", "\n", drawing)
        while GROUP.search(drawing):
            drawing = GROUP.sub(r"\1", drawing)
        return drawing

    return DRAWING.sub(slim, text)


def plain_marks(css):
    """Marks of code that look as code does without a mark, in light and in dark."""
    themes = []
    for theme in ("light", "dark"):
        start = re.escape(f'html[data-theme="{theme}"] .highlight')
        ink = re.search(rf"{start} {{[^}}]*[ ;](color: #\w+)", css)[1]
        rules = dict(re.findall(rf"{start} \.(\w+) {{ ([^}}]*?) }}", css))
        themes.append({mark for mark, rule in rules.items() if rule.lower() == ink.lower()})
    return sorted(set.intersection(*themes))
