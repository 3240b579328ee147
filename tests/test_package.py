"""The package keeps its own rules: layers, sizes and docstrings."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(importlib.import_module("mmfuse_utils").__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# A module imports only from modules to its left; those of a folder also from each other.
FOLDERS = ("data", "service")
ORDER = ["cache", "data", "text", "word2vec_blocks", "word2vec", "vision", "video_files", "video",
         "metrics", "significance", "retrieval", "search", "estimators", "fusion", "fisher",
         "towers", "caption_towers", "ladder", "protocol", "rivals", "service",
         "ledger", "prepare", "check", "viz"]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module(path: Path) -> str:
    """The first name after the package's: "data" for every file in data/."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """First names after mmfuse_utils of everything that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}: a relative import"
            names |= ({f"mmfuse_utils.{alias.name}" for alias in node.names}
                      if node.module == "mmfuse_utils" else {node.module})
    return {name.split(".")[1] for name in names if name.startswith("mmfuse_utils.")}


def functions(path: Path):
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def public(tree: ast.AST, prefix: str = ""):
    """Public functions, classes and methods, not what is defined inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node, f"{prefix}{node.name}.")


@pytest.mark.parametrize("path", [p for p in FILES if module(p) != "__init__"], ids=relative)
def test_imports_come_from_the_left(path):
    own = module(path)
    assert own in ORDER, f"{own} has no place yet: add it to ORDER here and to the plan"
    allowed = {*ORDER[:ORDER.index(own)], *([own] if own in FOLDERS else [])}
    assert imported(path) <= allowed


def test_no_circle_within_data():
    for path in FILES:
        name = ".".join(("mmfuse_utils", *path.relative_to(ROOT).with_suffix("").parts))
        if not name.endswith("__"):
            importlib.import_module(name)


def test_importing_the_package_imports_no_heavy_library():
    code = "import sys, mmfuse_utils.cache, mmfuse_utils.metrics; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True,
                            check=True)
    assert not {"torch", "gensim", "matplotlib"} & set(result.stdout.split())


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_files_and_functions_are_short(path):
    lines = path.read_text(encoding="utf8").splitlines()
    assert len(lines) <= 300
    assert [(i, len(line)) for i, line in enumerate(lines, 1) if len(line) > 99] == []
    sizes = {f.name: f.end_lineno - f.lineno + 1 - docstring_lines(f) for f in functions(path)}
    assert {name: size for name, size in sizes.items() if size > 40} == {}


def docstring_lines(function: ast.FunctionDef) -> int:
    first = function.body[0]
    has = ast.get_docstring(function) is not None
    return first.end_lineno - first.lineno + 1 if has else 0


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_what_is_public_is_explained_and_annotated(path):
    tree = ast.parse(path.read_text(encoding="utf8"))
    assert ast.get_docstring(tree), "the module has no docstring"
    lacking = [name for name, node in public(tree) if not ast.get_docstring(node)]
    assert lacking == []


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_no_exception_is_swallowed(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
            assert not (len(node.body) == 1 and isinstance(node.body[0], ast.Pass)), node.lineno
