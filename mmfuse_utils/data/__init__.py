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
from mmfuse_utils.data.flickr8k import describe_photographs, load_flickr8k
from mmfuse_utils.data.folder import load_folder
from mmfuse_utils.data.wordnet import load_graph, load_sentences

__all__ = ["CaptionTable", "ClipTable", "Collection", "PictureTable", "Split",
           "describe_photographs", "load_clips", "load_emoji", "load_flickr8k", "load_folder",
           "load_graph", "load_sentences", "relevance"]
