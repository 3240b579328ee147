"""Where things come from: pinned packages, and loaders that turn them into collections."""

from mmfuse_utils.data.clips import ClipTable, load_clips
from mmfuse_utils.data.collection import (
    CaptionTable,
    Collection,
    PictureTable,
    Split,
    relevance,
)
from mmfuse_utils.data.emoji import load_emoji
from mmfuse_utils.data.folder import load_folder
from mmfuse_utils.data.wordnet import load_graph, load_sentences

__all__ = ["CaptionTable", "ClipTable", "Collection", "PictureTable", "Split", "load_clips",
           "load_emoji", "load_folder", "load_graph", "load_sentences", "relevance"]
