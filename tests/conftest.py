"""What several test modules share: the built site, and the rule on skipped tests.

With MMFUSE_NO_SKIPS=1 (continuous integration sets it) a skipped test counts as a failure, unless
its reason begins with "optional:".
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
FORBIDDEN_SKIPS = []
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
