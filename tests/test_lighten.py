"""The pass that makes the built pages light: nothing that a page uses is lost on the way."""

import base64
import io
import re
from pathlib import Path

import formulas
import frame
import lighten
import pictures
import pytest
import sphinx_book_theme
from bs4 import BeautifulSoup
from conftest import SITE, site_pages
from fontTools.ttLib import TTFont
from javascript import node_modules, run_node
from PIL import Image

VENDORS = ("pydata_sphinx_theme", "sphinx_book_theme", "sphinx_design", "myst_nb")


def marked(tex, displayed=""):
    return f"<p><mmfuse-tex{displayed}>{tex}</mmfuse-tex></p>"


def test_a_formula_is_drawn_said_and_keeps_its_tex():
    page = formulas.typeset_pages({"a": marked("a &lt; \\frac{1}{2}")})["a"]
    soup = BeautifulSoup(page, "html.parser")
    assert soup.select_one("math mfrac mn").get_text() == "1"
    assert soup.select_one("annotation").get_text() == "a < \\frac{1}{2}"
    assert soup.select_one(".katex-html")["aria-hidden"] == "true"
    assert "katex-display" not in page
    assert "katex-display" in formulas.typeset_pages({"a": marked("a", " displayed")})["a"]


def test_an_environment_is_not_numbered_twice():
    tex = r"\begin{align}a &amp;= b \\ c &amp;= d\end{align}"
    assert "eqn-num" not in formulas.typeset_pages({"a": marked(tex, " displayed")})["a"]


@pytest.mark.parametrize("tex", [r"\frac{1}", r"\unknown", "naïve"])
def test_wrong_tex_ends_the_build_and_is_told_with_its_page(tex):
    pages = {"right": marked("a"), "notebooks/wrong.html": marked(tex)}
    with pytest.raises(SystemExit, match=f"(?s)notebooks/wrong.html: {re.escape(tex)}\n +\\S"):
        formulas.typeset_pages(pages)


def picture(kind, noise=False):
    made = Image.effect_noise((400, 300), 80) if noise else Image.new("RGB", (40, 30), "#d55e00")
    buffer = io.BytesIO()
    made.convert("RGB").save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


def test_pictures_become_files_with_their_size_and_only_the_first_is_not_late(tmp_path):
    same = f'<img alt="" src="data:image/webp;base64,{picture("webp")}">'
    text = (f'{same}{same}<img alt="b" src="data:image/png;base64,{picture("png")}">'
            f'<svg><image xlink:href="data:image/png;base64,{picture("png")}"/></svg>')
    (tmp_path / "notebooks").mkdir()
    page = pictures.place_pictures(tmp_path, {"notebooks/a.html": text})["notebooks/a.html"]
    soup = BeautifulSoup(page, "html.parser")
    files = [tag["src"] for tag in soup.find_all("img")] + [soup.image["xlink:href"]]
    assert "base64" not in page and files[0] == files[1] and files[2] == files[3]
    for file in files:
        assert Image.open(tmp_path / "notebooks" / file).size == (40, 30)
    assert {(tag["width"], tag["height"]) for tag in soup.find_all("img")} == {("40", "30")}
    assert [tag.get("loading") for tag in soup.find_all("img")] == [None, "lazy", "lazy"]


@pytest.mark.parametrize("noise", [False, True], ids=["flat", "photograph"])
def test_a_png_gets_smaller_and_a_drawing_stays_the_same(noise):
    before = base64.b64decode(picture("png", noise))
    after, kind = pictures.smaller(before, "png")
    assert kind == "webp" and len(after) < len(before)
    if not noise:
        first, second = (Image.open(io.BytesIO(content)).convert("RGB").tobytes()
                         for content in (before, after))
        assert first == second


def test_a_listing_keeps_its_text_and_every_color():
    css = "\n".join(f'html[data-theme="{theme}"] .highlight {rule}'
                    for theme, ink in (("light", "#111111"), ("dark", "#eeeeee"))
                    for rule in (f"{{ background: #777777; color: {ink} }}",
                                 f".n {{ color: {ink} }}", ".k { color: #0000ff }"))
    assert lighten.plain_marks(css) == ["n"]
    code = ('<div class="highlight"><pre><span></span><span class="k">if</span> '
            '<span class="n">a</span><span class="k">:</span><span class="k">x</span></pre></div>')
    outside = '<span class="n">not code</span>'
    assert lighten.slim_code(code + outside, ["n"]) == (
        '<div class="highlight"><pre><span class="k">if</span> a<span class="k">:x</span></pre>'
        "</div>" + outside)


def test_a_drawing_keeps_its_words_and_small_factors():
    drawing = ('<svg class="mmfuse-drawing"><g>\n<text x="1.23456">3.14159</text>\n</g>'
               '<g id="a"><path d="M 12.34567 0.01234"/></g></svg>')
    assert lighten.slim_drawings(drawing) == (
        '<svg class="mmfuse-drawing"><text x="1.23">3.14159</text>'
        '<g id="a"><path d="M 12.35 0.01234"/></g></svg>')


def test_a_page_says_what_it_is_about_in_words_that_are_not_cut():
    formula = f'<p>{"word " * 20}<span class="katex">x</span></p>'
    page = f"</h1><p>Short.</p>{formula}<p>A &amp; b, {'many words ' * 30}</p>"
    about = frame.describe(page)
    assert about.startswith("A & b, many words") and about.endswith("words …")
    assert 100 < len(about) <= frame.DESCRIPTION and frame.describe("<h1>No text</h1>") is None


def selectors(css):
    """For each selector of a style sheet, the classes that it names."""
    plain = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    return {frozenset(re.findall(r"\.(-?[a-zA-Z_][\w-]*)", selector))
            for names in re.findall(r"([^{}]+)\{", plain) for selector in names.split(",")}


@pytest.fixture(scope="module")
def soups(site):
    return {page: BeautifulSoup((site / page).read_text(encoding="utf8"), "html.parser")
            for page in site_pages()}


@pytest.mark.book
def test_no_rule_of_a_class_that_a_page_has_is_lost(soups):
    here = Path(sphinx_book_theme.__file__).parents[1]
    sheets = [path for vendor in VENDORS for path in (here / vendor).rglob("*.css")]
    sheets.append(node_modules() / "katex" / "dist" / "katex.css")
    assert len(sheets) > 6
    ruled = set().union(*(selectors(path.read_text(encoding="utf8")) for path in sheets))
    used = {name for soup in soups.values() for tag in soup.find_all(class_=True)
            for name in tag["class"]}
    kept = set().union(*selectors((SITE / "_static" / frame.STYLE).read_text(encoding="utf8")))
    needed = {name for names in ruled if names <= used for name in names}
    assert len(needed) > 80
    assert needed - kept == set()


@pytest.mark.book
def test_the_icon_font_has_every_icon_of_a_page(soups, tmp_path):
    css = (SITE / "_static" / frame.STYLE).read_text(encoding="utf8")
    used = {name for soup in soups.values() for tag in soup.select('[class*="fa-"]')
            for name in tag["class"] if name.startswith("fa-")} - {"fa-solid", "fa-lg"}
    letters = {name: letter for names, letter in re.findall(
        r'([^{}]*):{1,2}before\{content:"([^"]*)"\}', css)
        for name in re.findall(r"\.(fa-[\w-]+)", names)}
    font = next((SITE / "_static" / "fonts").glob("fa-solid-*.woff2"))
    script = tmp_path / "unpack.js"
    script.write_text('const fs = require("node:fs");\n'
                      'require("fontverter").convert(fs.readFileSync(process.argv[2]), "sfnt")'
                      ".then((font) => fs.writeFileSync(process.argv[3], font));", encoding="utf8")
    run_node(script, font, tmp_path / "font.ttf")
    has = TTFont(tmp_path / "font.ttf").getBestCmap()
    assert {"fa-bars", "fa-sun", "fa-magnifying-glass"} <= used <= set(letters)
    for name in used:
        letter = re.sub(r"\\([0-9a-f]+) ?", lambda found: chr(int(found[1], 16)), letters[name])
        assert ord(letter) in has, name
