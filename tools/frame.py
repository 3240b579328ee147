"""The frame of the built pages: one style sheet and one script, made of those that Sphinx lists.

What no page needs is left out: rules of style sheets, letters of fonts, whole scripts. Nothing
waits for a script, no colors change once they are painted, and each page says what it is about.
"""

import hashlib
import html
import json
import re
import shutil
import tempfile
from pathlib import Path

from javascript import NODE, node_modules, run_node

KATEX = "katex/katex.min.css"
STYLE, SCRIPT = "site.css", "site.js"
OWN_STYLES = ("book.css", "live.css")        # kept whole
# Icons are letters of a font; theme.js does what is needed of Bootstrap and the theme.
REPLACED = ("all.min.js", "bootstrap.js", "pydata-sphinx-theme.js")
TABS = "design-tabs.js"             # only where there are tabs
APART = ("live/", "plotly/", "searchtools.js", "language_data.js")     # for the pages that ask
STYLE_LINK = re.compile(
    r'\s*<link\b(?=[^>]*rel="stylesheet")[^>]*href="(?:\.\./)*_static/([^"?]+)[^>]*>')
SCRIPT_TAG = re.compile(r'\s*<script\b[^>]*src="(?:\.\./)*([^"?]+)[^"]*"[^>]*></script>')
PRELOAD = re.compile(r'\s*<link rel="preload"[^>]*>')
WRITTEN = re.compile(r"<script>\s*document\.write\(`(.*?)`\);\s*</script>", re.DOTALL)
# Settings of scripts that are left out, and the theme's first lines.
SETTINGS = re.compile(r'\s*<script(?: data-cfasync="false")?>\s*(?:DOCUMENTATION_OPTIONS\.pagename|'
                      r"document\.documentElement\.dataset).*?</script>", re.DOTALL)
# What is seen of a formula, and at most the rest of its paragraph.
FORMULA = re.compile(r'class="katex-html"(.*?)(?=<(?:span class="katex"|/p|/td|/li|/div)>)',
                     re.DOTALL)
VIEWPORT = '<meta name="viewport" content="width=device-width, initial-scale=1">'
FIRST_LINES = """<script>
    {
      const mode = localStorage.getItem("mode") || "auto";
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      const theme = mode === "auto" ? (dark ? "dark" : "light") : mode;
      Object.assign(document.documentElement.dataset, { mode, theme });
      const way = performance.getEntriesByType("navigation")[0]?.type;
      if (way === "navigate" && !location.hash) document.documentElement.classList.add(
        "mmfuse-late");
    }
    </script>
    <noscript><style>.only-dark, .theme-switch-button, .search-button__button
      { display: none !important; }</style></noscript>"""
DESCRIPTION = 155                   # characters at most; search engines show no more


def frame_pages(site, pages):
    """The pages, texts by name, in their light frame, whose files are written to _static."""
    static = site / "_static"
    styles, scripts = find_parts(pages)
    pages = {name: frame(name, text) for name, text in pages.items()}
    join_scripts(static, scripts)
    join_styles(static, styles, pages)
    stamps = {file: hashlib.sha256((static / file).read_bytes()).hexdigest()[:8]
              for file in (STYLE, SCRIPT)}
    for file, stamp in stamps.items():
        pages = {name: text.replace(f'/{file}"', f'/{file}?v={stamp}"', 1)
                 for name, text in pages.items()}
    return pages


def find_parts(pages):
    """Style sheets, and scripts for all pages, in the order in which the pages name them."""
    styles, scripts = {}, {}
    for text in pages.values():
        styles |= dict.fromkeys(STYLE_LINK.findall(text))
        scripts |= dict.fromkeys(name.removeprefix("_static/")
                                 for name in SCRIPT_TAG.findall(text) if is_joined(name))
    if not any("sd-tab-set" in text for text in pages.values()):
        scripts.pop(TABS, None)
    return list(styles), list(scripts)


def is_joined(name):
    """Whether a script, by its address, is part of the one for all pages."""
    return (name.startswith("_static/") and not name.endswith(REPLACED)
            and not name.removeprefix("_static/").startswith(APART))


def frame(name, text):
    """A page with the light frame."""
    static = "../" * name.count("/") + "_static"
    text = re.sub(r'\s*<meta name="viewport"[^>]*>', "", text)
    for pattern in (PRELOAD, SETTINGS, STYLE_LINK):
        text = pattern.sub("", text)
    text = SCRIPT_TAG.sub(lambda found: defer(found[0], found[1]), WRITTEN.sub(r"\1", text))
    lines = [VIEWPORT, FIRST_LINES, f'<link rel="stylesheet" href="{static}/{STYLE}">',
             f'<script defer src="{static}/{SCRIPT}"></script>']
    about = describe(text)
    if about:
        lines.insert(1, f'<meta name="description" content="{html.escape(about, quote=True)}">')
    first = re.search(r'<meta charset="utf-8"\s*/?>', text)[0]
    return text.replace(first, "\n    ".join([first, *lines]), 1)


def defer(tag, name):
    """A script's tag as it stands in the light frame: none for parts of what is joined."""
    if name.endswith(REPLACED) or is_joined(name):
        return ""
    return tag if " defer" in tag else tag.replace("<script", "<script defer", 1)


def describe(text):
    """What a page is about: its first paragraph without formulas, cut between words."""
    article = text[max(text.find("</h1>"), 0):]
    for found in re.finditer(r"<p>(.*?)</p>", article, re.DOTALL):
        plain = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", found[1]))).strip()
        if 'class="katex"' not in found[1] and len(plain) >= DESCRIPTION // 3:
            return plain if len(plain) <= DESCRIPTION else (
                plain[:DESCRIPTION - 1].rsplit(" ", 1)[0].rstrip(",;:") + " …")
    return None


def join_scripts(static, scripts):
    """Write the script of all pages."""
    text = "\n;".join((static / name).read_text(encoding="utf8") for name in scripts)
    joined = static / SCRIPT
    joined.write_text(re.sub(r"(?m)^//# sourceMappingURL=.*", "", text), encoding="utf8")
    esbuild = node_modules() / "esbuild" / "bin" / "esbuild"
    run_node(esbuild, joined, "--minify", "--legal-comments=inline", "--allow-overwrite",
             "--log-level=error", f"--outfile={joined}")


def join_styles(static, styles, pages):
    """Write the style sheet of all pages, and the fonts that it names."""
    shutil.copytree(node_modules() / "katex" / "dist" / "fonts", static / "katex" / "fonts")
    shutil.copyfile(node_modules() / "katex" / "dist" / Path(KATEX).name, static / KATEX)
    scripts = [path.read_text(encoding="utf8")
               for path in (static / SCRIPT, *static.glob("live/*.js"), static / "searchtools.js")]
    tags = (tag for text in pages.values() for tag in re.findall(r"<[a-z][^>]*>", text))
    words = {word for part in (*tags, *scripts) for word in re.findall(r"[\w-]+", part)}
    letters = {letter for text in pages.values() for part in FORMULA.findall(text)
               for letter in html.unescape(re.sub(r"<[^>]*>", "", f"<{part}"))}
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "settings.json")
        settings.write_text(json.dumps({
            "folder": str(static), "styles": [KATEX, *styles], "keep": OWN_STYLES,
            "words": sorted(words), "letters": "".join(sorted(letters)), "target": STYLE,
        }), encoding="utf8")
        run_node(NODE / "styles.js", settings)
