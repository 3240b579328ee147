"""The built book in a real browser: nothing asked of other sites, no errors, narrow and dark."""

import functools
import http.server
import shutil
import threading

import pytest
from conftest import SITE, site_pages
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.book

# Chromium's own background traffic off; no sandbox, since tests may run as root.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Elements that reach beyond the window although nothing around them scrolls or hides them.
OVERFLOWING = """() => [...document.querySelectorAll(".bd-article *")].filter(element => {
  if (element.getBoundingClientRect().right <= innerWidth + 1) return false;
  if (!element.checkVisibility()) return false;
  for (let up = element.parentElement; up; up = up.parentElement)
    if (getComputedStyle(up).overflowX !== "visible") return false;
  return true;
}).map(element => element.outerHTML.slice(0, 120))"""
every_page = pytest.mark.parametrize("page", site_pages())


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Say nothing: a test's output is for its failure."""


@pytest.fixture(scope="module")
def address(site):
    """Address of a server on this machine that serves the site."""
    handler = functools.partial(QuietHandler, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium on this machine, so the pages were not opened in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open an address and return the page; afterwards it must have had nothing to complain of."""
    complaints, contexts = [], []

    def note_console(message):
        if message.type == "error":
            complaints.append(f"console: {message.text}")

    def note_request(request):
        if not request.url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:")):
            complaints.append(f"outside request: {request.url}")

    def start(url, width=1280, **settings):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **settings))
        page = contexts[-1].new_page()
        page.on("console", note_console)
        page.on("pageerror", lambda error: complaints.append(f"page error: {error}"))
        page.on("request", note_request)
        page.goto(url, wait_until="load")
        return page

    yield start
    for context in contexts:
        context.close()
    assert complaints == []


def wait_for_mathematics(page):
    page.wait_for_function("""() => !document.querySelector(".math") ||
        (window.MathJax && MathJax.startup && MathJax.startup.promise)""")
    page.evaluate("async () => { if (window.MathJax) await MathJax.startup.promise; }")


@every_page
def test_page_is_whole_on_a_phone(page, address, open_page):
    tab = open_page(f"{address}/{page}", width=390)
    wait_for_mathematics(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.evaluate(OVERFLOWING) == []


@every_page
def test_page_opens_from_the_disk(page, open_page):
    tab = open_page((SITE / page).as_uri(), color_scheme="dark")
    wait_for_mathematics(tab)
    assert tab.locator("mjx-merror, [data-mjx-error]").count() == 0
    assert tab.locator(".math").count() == tab.locator(".math:has(mjx-container)").count()
    assert tab.evaluate("document.fonts.ready.then(() => true)")


def test_some_page_shows_mathematics(address, open_page):
    tab = open_page(f"{address}/notebooks/01_skipgram_mathematics.html")
    wait_for_mathematics(tab)
    assert tab.locator("mjx-container").count() > 5


def test_the_theme_button_switches_to_dark(address, open_page):
    tab = open_page(f"{address}/index.html", color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    seen = {tab.evaluate("document.documentElement.dataset.theme"): tab.evaluate(background)}
    for _ in range(3):
        tab.locator("button.theme-switch-button").first.click()
        theme = tab.evaluate("document.documentElement.dataset.theme")
        seen[theme] = tab.evaluate(background)
    assert set(seen) == {"light", "dark"}
    assert seen["light"] != seen["dark"]


@pytest.mark.parametrize("way", ["server", "disk"])
def test_search_finds_a_word(way, address, open_page):
    start = address if way == "server" else SITE.as_uri()
    tab = open_page(f"{start}/search.html?q=gradient")
    tab.wait_for_selector("#search-results ul.search li a", timeout=15000)
    targets = tab.eval_on_selector_all("#search-results ul.search li a",
                                       "links => links.map(link => link.getAttribute('href'))")
    assert any("refresher" in target for target in targets)


@pytest.mark.parametrize(("folded", "inside"), [
    ("details.hide", "pre"), (".bd-article details:not([class])", "p")],
    ids=["solution of an exercise", "answer to a question"])
def test_what_is_folded_away_opens_on_a_click(folded, inside, address, open_page):
    tab = open_page(f"{address}/notebooks/01_skipgram_mathematics.html")
    details = tab.locator(folded).first
    assert not details.locator(inside).first.is_visible()
    details.locator("summary").click()
    assert details.locator(inside).first.is_visible()
