"""What a page may weigh on a phone, in numbers that do not depend on the machine."""

import gzip
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from conftest import SITE, site_pages

pytestmark = pytest.mark.book

KB = 1000
# What comes with every first page and is kept for the next: style sheet, script, fonts, signs.
SHARED = ("/_static/site.css", "/_static/site.js", "/_static/fonts/", "/_static/logo.svg",
          "/_static/favicon.svg")
SHARED_BYTES = 150 * KB     # a phone on a slow line has them in less than a second
PAGE_BYTES = 600 * KB       # of a chapter; three seconds at 1.6 Mbit/s
SCRIPT_BYTES = 25 * KB      # of a page that only shows: a menu, a switch, a search field
REQUESTS = 120              # pictures near the first view among them; a server sends six at once
ELEMENTS = 22_000           # what a phone lays out in slices; a formula has forty
TEXT = (".html", ".css", ".js", ".svg")     # hosts compress these, GitHub Pages does
JUMPS = 0.1                 # sum of layout shifts that is still called good
ALIVE = ("index.html", "live_search.html", "draw.html", "joint_map.html")   # budgets of their own


def transferred(address):
    """Bytes that a host sends for an address: text packed, the rest as it is."""
    content = (SITE / unquote(urlsplit(address).path).lstrip("/")).read_bytes()
    packed = Path(urlsplit(address).path).suffix in TEXT
    return len(gzip.compress(content, 6)) if packed else len(content)


@pytest.mark.parametrize("page", [page for page in site_pages() if page not in ALIVE])
def test_a_page_is_light_on_a_phone(page, address, open_page):
    asked = []
    tab = open_page("about:blank", width=390)
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"{address}/{page}", wait_until="load")
    asked = list(dict.fromkeys(url for url in asked if url.startswith(address)))
    shared = [url for url in asked if urlsplit(url).path.startswith(SHARED)]
    scripts = [url for url in asked if urlsplit(url).path.endswith(".js")
               and not urlsplit(url).path.endswith("searchindex.js")]
    assert sum(map(transferred, shared)) <= SHARED_BYTES
    assert sum(map(transferred, set(asked) - set(shared))) <= PAGE_BYTES
    assert sum(map(transferred, scripts)) <= SCRIPT_BYTES
    assert len(asked) <= REQUESTS
    assert tab.evaluate("document.querySelectorAll('*').length") <= ELEMENTS


@pytest.mark.parametrize("page", ALIVE)
def test_nothing_jumps_while_a_page_to_try_loads(page, address, open_page):
    tab = open_page(f"{address}/{page}", width=390)
    assert tab.evaluate("""() => new Promise(resolve => {
      let sum = 0;
      new PerformanceObserver(list => list.getEntries().forEach(shift => { sum += shift.value; }))
        .observe({ type: "layout-shift", buffered: true });
      setTimeout(() => resolve(sum), 2000);
    })""") < JUMPS
