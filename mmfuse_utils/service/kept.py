"""Artefacts in the package's cache: found quickly where they are, and made where they are not."""

import os
from collections.abc import Callable
from pathlib import Path

import mmfuse_utils
from mmfuse_utils.cache import cache_dir, content_key, load_kept
from mmfuse_utils.data import load_folder
from mmfuse_utils.data.pictures import file_digests
from mmfuse_utils.data.sources import SOURCES
from mmfuse_utils.service.artefact import FORMAT, Artefact, load_artefact, write_artefact

# What decides how an artefact comes out. Their text is part of the key, so that none has to be
# imported, which takes seconds, to see whether there is an artefact of today's making.
RECIPE = ("cache.py", "data/collection.py", "data/emoji.py", "data/pictures.py", "data/wordnet.py",
          "data/words.py", "fusion.py", "service/build.py", "service/eye.py", "service/lexicon.py",
          "service/own.py", "text.py", "vision.py", "word2vec.py", "word2vec_blocks.py")


def emoji_artefact() -> Artefact:
    """The emoji's artefact, from the cache; built there where it is missing or damaged."""
    def build() -> Artefact:
        from mmfuse_utils.service.build import build_emoji

        return build_emoji()

    return kept_artefact(recipe_key("emoji"), build)


def own_artefact(folder: str | os.PathLike, captions: str | os.PathLike | None = None,
                 leave_out: bool = False) -> Artefact:
    """The artefact of a folder, from the cache; built where a file or a caption has changed.

    leave_out : serve what is sound, and print what is not.

    Raises ValueError that names all that is wrong with the folder, as `load_folder` does.
    Pictures without a caption are served with the others.
    """
    collection = load_folder(folder, captions, leave_out=leave_out, keep_bare=True)
    digests = file_digests(collection.pictures.path)

    def build() -> Artefact:
        from mmfuse_utils.service.own import build_own

        return build_own(collection, digests)

    return kept_artefact(recipe_key("own", digests, collection.ids, collection.captions), build)


def recipe_key(*parts: object) -> str:
    """Key of what is built from some parts, the pinned data and the code of today.

    >>> recipe_key("emoji") == recipe_key("emoji")
    True
    """
    root = Path(mmfuse_utils.__file__).parent
    code = [(root / name).read_text(encoding="utf8") for name in RECIPE]
    pins = [(source.spec, source.integrity) for source in SOURCES.values()]
    return content_key(FORMAT, pins, code, parts)


def kept_artefact(key: str, build: Callable[[], Artefact]) -> Artefact:
    """An artefact kept in the cache under a key; one process builds it, the others wait."""
    return load_kept(cache_dir() / "service" / key,
                     lambda folder: write_artefact(build(), folder), load_artefact)
