"""Sphinx extension of this book: the foot of each page, and old anchors that still lead somewhere.

Foot     which edition the page is from, and a link that reports a problem with it: where the
         repository is known, a new issue that has the page's name and edition in it already
Anchors  as moved.yml has it, a place that got a new name, or went to another page, is still found
         by its old one
"""

import html
import json
import re
from pathlib import Path
from urllib.parse import urlencode

import yaml


def add_foot(app, pagename, templatename, context, doctree):
    """Put the edition, and the way to report a problem, below the page's own foot."""
    edition, repository = app.config.mmfuse_edition, app.config.mmfuse_repository
    report = ("Is something wrong on this page? Where you report it, give this version and the "
              f"page's name, <code>{html.escape(pagename)}</code>.")
    if repository:
        body = f"Page: {pagename}\n{edition}\n\nWhat is wrong, and what you expected:\n\n"
        query = urlencode({"title": f"Problem on the page {pagename}", "body": body})
        report = (f'<a class="mmfuse-report" href="{html.escape(repository)}/issues/new?'
                  f'{html.escape(query)}">Report a problem with this page</a>.')
    foot = context.get("theme_extra_footer", "")
    context["theme_extra_footer"] = (
        f'{foot}<p class="mmfuse-edition">{html.escape(edition)} {report}</p>')


def keep_anchor(page, old, new):
    """A page's HTML with one more anchor, at the place called new; that place has to be there."""
    place = re.search(rf'<\w+[^<>]*\sid="{re.escape(new)}"', page)
    if place is None:
        raise ValueError(f"moved.yml leads #{old} to #{new}, which is not on that page")
    return f'{page[:place.start()]}<span id="{old}"></span>{page[place.start():]}'


def lead_on(page, old, address):
    """A page's HTML that leads on whoever comes for an anchor which is on another page now."""
    script = (f"<script>if (location.hash === {json.dumps('#' + old)}) "
              f"location.replace({json.dumps(address)})</script>")
    return page.replace("</head>", f"{script}\n</head>", 1)


def relative_address(source, target):
    """The address of a page, as a link on another one gives it."""
    return "../" * source.count("/") + f"{target}.html"


def keep_anchors(app, exception):
    """Keep those old anchors of which moved.yml tells; its entries without # are whole pages."""
    moved = yaml.safe_load(Path(app.srcdir, "moved.yml").read_text(encoding="utf8"))
    places = {old: new for old, new in moved.items() if "#" in old}
    for old, new in places.items() if exception is None else ():
        (source, anchor), (target, goal) = old.split("#"), new.split("#")
        path = Path(app.outdir, f"{source}.html")
        page = path.read_text(encoding="utf8")
        page = (keep_anchor(page, anchor, goal) if source == target else
                lead_on(page, anchor, f"{relative_address(source, target)}#{goal}"))
        path.write_text(page, encoding="utf8")


def setup(app):
    app.add_config_value("mmfuse_edition", "", "html")
    app.add_config_value("mmfuse_repository", "", "html")
    app.connect("html-page-context", add_foot)
    app.connect("build-finished", keep_anchors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
