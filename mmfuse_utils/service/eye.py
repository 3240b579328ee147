"""What the networks of an artefact see in pictures, one at a time or several at once."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from PIL import Image, ImageOps


class Eye:
    """From pictures to features and class probabilities, by the settings of an artefact.

    settings : "networks", their names; "size", the side in pixels of what they are shown.

    The networks are loaded when they are first needed, as that takes seconds.

    >>> Eye({"networks": ["efficientnet-lite0"], "size": 128}).networks
    ('efficientnet-lite0',)
    """

    def __init__(self, settings: Mapping) -> None:
        self.networks, self.size = tuple(settings["networks"]), int(settings["size"])

    @cached_property
    def backbones(self) -> list:
        """The loaded networks."""
        from mmfuse_utils.vision import load_backbone

        return [load_backbone(name) for name in self.networks]

    def fit(self, picture: np.ndarray) -> np.ndarray:
        """A picture (height, width, 3) as `load_images` brings it to size: (size, size, 3)."""
        return np.asarray(ImageOps.fit(Image.fromarray(picture), (self.size, self.size),
                                       Image.Resampling.BICUBIC))

    def look(self, pictures: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Features (n, dim) and class probabilities (n, 1000) of pictures of any size."""
        from mmfuse_utils.vision import extract_features

        images = np.stack([self.fit(picture) for picture in pictures])
        return self.join([extract_features(images, backbone) for backbone in self.backbones])

    def join(self, features: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """What the networks say together, from the features of each.

        One network speaks for itself. Of several, as in the chapter on the ladder, the square
        roots of the features stand side by side, so that a few loud channels do not drown the
        others, and the classes are the geometric mean.
        """
        from mmfuse_utils.vision import class_probabilities

        seen = [class_probabilities(rows, backbone)
                for rows, backbone in zip(features, self.backbones, strict=True)]
        if len(seen) == 1:
            return features[0], seen[0]
        opinion = np.exp(np.mean([np.log(rows + 1e-30) for rows in seen], axis=0))
        roots = [np.sqrt(np.maximum(rows, 0)) for rows in features]
        return np.hstack(roots), opinion / opinion.sum(axis=1, keepdims=True)
