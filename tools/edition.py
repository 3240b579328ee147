"""Which edition of the book a page is from, and where its repository is.

Nothing here asks the clock: the same commit gives the same pages, whenever they are built.
"""

import re
import tomllib

import yaml
from environment import ask


def describe_edition(root):
    """A sentence such as "Version 0.1.0, built from commit 1a2b3c4 of 2026-11-30.".

    Where there is no git, or no history, it is the version with the day of its release.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf8"))["project"]
    git = ("git", "--no-optional-locks", f"--git-dir={root / '.git'}", f"--work-tree={root}")
    commit = ask(*git, "log", "-1", "--format=%H %cs")
    if commit is None:
        citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf8"))
        return f"Version {project['version']} of {citation['date-released']}."
    number, day = commit.split()
    changed = ", with changes since" if ask(*git, "status", "--porcelain") else ""
    return f"Version {project['version']}, built from commit {number[:7]} of {day}{changed}."


def repository_url(root):
    """Address for the repository buttons: a GitHub remote's https address, else None.

    Only the project's own repository counts, not one that its folder happens to lie in.
    """
    remote = ask("git", f"--git-dir={root / '.git'}", "remote", "get-url", "origin") or ""
    found = re.fullmatch(r"(?:https://github\.com/|(?:ssh://)?git@github\.com[:/])"
                         r"([\w.-]+/[\w.-]+?)(?:\.git)?/?", remote)
    return f"https://github.com/{found[1]}" if found else None
