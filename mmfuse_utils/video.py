"""From frames to one vector a clip: what a frame shows, and what changes between frames."""

import numpy as np
from tqdm.auto import tqdm

from mmfuse_utils.cache import cached_array, content_key
from mmfuse_utils.data.clips import N_FRAMES, ClipTable
from mmfuse_utils.vision import Backbone, extract_features, load_backbone

CLIPS_AT_ONCE = 32


def clip_frame_features(clips: ClipTable, backbone: Backbone | None = None) -> np.ndarray:
    """Features of every frame of every clip: (n_clips, 8, dim), float32, kept in the cache."""
    backbone = backbone or load_backbone()
    key = content_key(backbone.name, backbone.weights, clips.key, clips.motion)

    def compute() -> np.ndarray:
        starts = tqdm(range(0, len(clips), CLIPS_AT_ONCE), desc="Clip features", unit="batch",
                      mininterval=1)
        rows = np.arange(len(clips))
        frames = (clips.load_frames(rows[i:i + CLIPS_AT_ONCE]) for i in starts)
        return np.concatenate([extract_features(batch.reshape(-1, *batch.shape[2:]), backbone)
                               for batch in frames]).reshape(len(clips), N_FRAMES, -1)

    return cached_array("clips", key, compute)
