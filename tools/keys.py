"""What each notebook's outputs depend on, and a key that changes when any of it does.

That is the notebook itself, the modules of the package that it imports, directly or through
others, the recorded benchmarks that these read, the pinned packages and data, and the version
of Python; nothing else.
"""

import ast
import hashlib
import re
import sys
import tempfile
from fnmatch import fnmatch
from modulefinder import ModuleFinder
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

PACKAGE = "mmfuse_utils"
ALWAYS = ("requirements.txt", f"{PACKAGE}/data/sources.py")     # the pins of packages and data


def list_notebooks(root):
    """The notebooks of the book in reading order."""
    return sorted((root / "notebooks").glob("*.ipynb"))


def notebook_keys(root):
    """Key of each notebook by its file name: equal keys, equal outputs."""
    return {path.name: notebook_key(root, path) for path in list_notebooks(root)}


def notebook_key(root, path):
    """Hash of one notebook and of everything that it depends on."""
    files = {root / name for name in ALWAYS} | {path} | dependencies(root, path)
    digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for file in sorted(filter(Path.is_file, files)):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def dependencies(root, path):
    """Files of the package, and recorded benchmarks, that a notebook uses.

    All files of the package for a notebook that cannot be read: its run will show the error.
    """
    try:
        code = notebook_code(path)
    except ValueError:
        return package_files(root)
    # A name in a string may be imported: by importlib, by a magic command, by another process.
    named = {f"\nimport {name}" for text in strings(code)
             for name in re.findall(rf"\b{PACKAGE}(?:\.\w+)*", text)}
    modules = imported_files(root, code + "".join(sorted(named)))
    beside = {file for file in package_files(root) if modules and file.suffix != ".py"}
    sources = [code, *(file.read_text(encoding="utf8") for file in modules - beside)]
    return modules | beside | {file for source in sources for file in recorded(root, source)}


def notebook_code(path):
    """A notebook's code cells as one program: magic commands as calls, all else as strings."""
    cells = nbformat.read(path, as_version=4).cells
    sources = [TransformerManager().transform_cell(re.sub(r"\A\s*%%[^\n]*", "", cell.source))
               for cell in cells if cell.cell_type == "code"]
    return "\n".join(source if parses(source) else repr(source) for source in sources)


def parses(source):
    """Whether a text is a Python program."""
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def strings(source):
    """The string constants of a program, those inside f-strings too."""
    return [node.value for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def package_files(root):
    """All files of the package but what Python compiles for itself."""
    return {file for file in (root / PACKAGE).rglob("*")
            if file.is_file() and "__pycache__" not in file.parts}


class PackageFinder(ModuleFinder):
    """Follows imports within the package alone: all other packages are pinned."""

    def find_module(self, name, path, parent=None):
        if path is None and name != PACKAGE:
            raise ImportError(name)
        return super().find_module(name, path, parent)


def imported_files(root, code):
    """Files of the package's modules that a program imports, directly or through others.

    All files of the package where one of them does not parse, or lies in a folder without an
    __init__.py, since the finder stops there.
    """
    finder = PackageFinder(path=[str(root)])
    with tempfile.TemporaryDirectory(prefix="mmfuse-") as folder:
        script = Path(folder, "notebook.py")
        script.write_text(code, encoding="utf8")
        try:
            finder.run_script(str(script))
        # It raises one of the first two at a folder without __init__.py.
        except (AttributeError, TypeError, SyntaxError):
            return package_files(root)
    if any((root / f"{name.replace('.', '/')}.py").exists() for name in finder.badmodules):
        return package_files(root)
    files = {Path(module.__file__) for module in finder.modules.values() if module.__file__}
    return files & package_files(root)


def recorded(root, source):
    """Recorded benchmarks that a program names.

    A name that is put together, such as f"{name}.json", may be any of them.
    """
    if "benchmarks" not in source or not parses(source):
        return set()
    names = [re.split(r"[/\\]", text)[-1] for text in strings(source) if text.endswith(".json")]
    patterns = [f"*{name}" if name.startswith(".") else name for name in names]
    return {file for file in (root / "benchmarks").glob("*.json")
            if any(fnmatch(file.name, pattern) for pattern in patterns)}
