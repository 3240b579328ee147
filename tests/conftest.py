"""What several test modules share: the built site, a browser, and the rule on skipped tests.

With MMFUSE_NO_SKIPS=1 (continuous integration sets it) a skipped test counts as a failure, unless
its reason begins with "optional:".
"""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
FORBIDDEN_SKIPS = []
# Chromium's own background traffic off; no sandbox, since tests may run as root.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
if "PYTEST_XDIST_WORKER" in os.environ:     # tests that run side by side share the cores
    os.environ["OMP_NUM_THREADS"] = "1"


def site_pages():
    """Paths of all pages of the built site, relative to it, in order."""
    return sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html")
                  if not path.relative_to(SITE).as_posix().startswith(("_static/", "_sources/")))


@pytest.fixture(scope="session")
def site():
    """Folder of the built book."""
    if not (SITE / "index.html").exists():
        pytest.fail("The book is not built; run `make book` (or `make test`) first.")
    return SITE


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
    from playwright.sync_api import sync_playwright     # most tests need none of it

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


def pytest_addoption(parser):
    parser.addoption("--fuzz-seconds", type=float, default=60,
                     help="how long damaged files are tried (tests/test_fuzz_files.py)")


def pytest_xdist_make_scheduler(config, log):
    """Side by side, the tests of a file run in one process; so do all that grade, in turns."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            scope = super()._split_scope(nodeid)
            grading = ("test_grade.py", "test_grading.py", "test_sandbox.py")
            return "grading" if scope.endswith(grading) else scope

    return ByFile(config, log)


@pytest.fixture(scope="session")
def fuzz_seconds(pytestconfig):
    """How long damaged files are tried, in seconds."""
    return pytestconfig.getoption("fuzz_seconds")


def pytest_runtest_logreport(report):
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not reason.removeprefix("Skipped: ").startswith("optional:"):
        FORBIDDEN_SKIPS.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session, exitstatus):
    if FORBIDDEN_SKIPS and os.environ.get("MMFUSE_NO_SKIPS") == "1" and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    if FORBIDDEN_SKIPS and os.environ.get("MMFUSE_NO_SKIPS") == "1":
        terminalreporter.section("tests that may not be skipped here", red=True)
        for line in FORBIDDEN_SKIPS:
            terminalreporter.line(line)
