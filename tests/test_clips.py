"""Clips: always the same, captions by the grammar, and no first frame gives its motion away."""

import dataclasses
import hashlib
import itertools
import os
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from mmfuse_utils.data import clips as module
from mmfuse_utils.data import Collection, PictureTable, load_clips, load_emoji
from mmfuse_utils.data.clips import (CAMERA, DRIFT, MOTIONS, PHRASES, Pose, draw_clip, ground,
                                     load_every_motion, with_article)

LOOKS = ("right", "down", "size", "speed", "camera right", "camera down", "shape right",
         "shape down", "shape side")
DIGEST = """
import hashlib
from mmfuse_utils.data import load_clips, load_emoji
clips = load_clips(load_emoji())
rows = range(0, len(clips), 100)
print(hashlib.sha256(clips.load_frames(rows).tobytes() + repr(clips.caption).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def emoji():
    return load_emoji()


@pytest.fixture(scope="module")
def clips(emoji):
    return load_clips(emoji)


@pytest.fixture(scope="module")
def looks(clips):
    """What is drawn for every clip, whatever its motion: a column for each name in `LOOKS`."""
    seen = []

    def note(sprite, motion, background, center, size, speed, camera, shapes):
        seen.append([*center, size, speed, *camera, *shapes[0][2], shapes[0][0].width])
        return np.zeros(1)

    patch = pytest.MonkeyPatch()
    patch.setattr(module, "read_pictures", lambda paths: [None for _ in paths])
    patch.setattr(module, "draw_clip", note)
    clips.load_frames(range(len(clips)))
    patch.undo()
    return dict(zip(LOOKS, np.array(seen).T, strict=True))


def test_the_table(clips, emoji):
    n = len(clips)
    assert n > 1500
    assert {len(column) for column in (clips.subject_row, clips.style, clips.caption,
                                       clips.picture, clips.key)} == {n}
    assert set(clips.motion) == set(MOTIONS) == set(PHRASES) and len(MOTIONS) >= 10
    assert min(Counter(clips.motion).values()) > 0.8 * n / len(MOTIONS)
    for row in range(0, n, 50):
        pictures = emoji.pictures.path.index(clips.picture[row])
        assert emoji.pictures.concept_row[pictures] == clips.subject_row[row]
        assert emoji.pictures.style[pictures] == clips.style[row]


def test_a_subjects_clips_differ_in_motion_and_style(clips):
    by_subject = {}
    for row, subject in enumerate(clips.subject_row):
        by_subject.setdefault(subject, []).append(row)
    for rows in by_subject.values():
        assert len(rows) == 3
        assert len({clips.motion[row] for row in rows}) == 3
        assert len({clips.style[row] for row in rows}) == 3


def test_frames_are_the_same_in_every_process(clips):
    rows = range(0, len(clips), 100)
    expected = hashlib.sha256(clips.load_frames(rows).tobytes()
                              + repr(clips.caption).encode()).hexdigest()
    for seed in "12":
        result = subprocess.run([sys.executable, "-c", DIGEST], text=True, capture_output=True,
                                check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        assert result.stdout.split() == [expected]


def test_frames_do_not_depend_on_which_rows_are_asked_for(clips):
    together = clips.load_frames([5, 900, 17])
    assert together.shape == (3, 8, 96, 96, 3) and together.dtype == np.uint8
    for row, frames in zip((5, 900, 17), together, strict=True):
        np.testing.assert_array_equal(clips.load_frames([row])[0], frames)


def test_clips_of_a_concept_do_not_depend_on_the_other_concepts(clips, emoji):
    keep = np.arange(len(emoji)) % 2 == 0
    ids, groups, subgroups, names, keywords = (
        tuple(itertools.compress(column, keep)) for column in (
            emoji.ids, emoji.groups, emoji.subgroups, emoji.names["en"], emoji.keywords["en"]))
    table, even = emoji.pictures, emoji.pictures.concept_row % 2 == 0
    half = dataclasses.replace(
        emoji, ids=ids, groups=groups, subgroups=subgroups, names={"en": names},
        keywords={"en": keywords},
        pictures=PictureTable(table.concept_row[even] // 2, table.style[even],
                              tuple(itertools.compress(table.path, even))))
    assert set(load_clips(half).caption) <= set(clips.caption)
    assert set(load_clips(half).key) <= set(clips.key)


def with_pictures(clips, folder, colors):
    """The first clips with plain pictures of their own, one a color."""
    for number, color in enumerate(colors):
        Image.new("RGB", (20, 20), color).save(folder / f"{number}.png")
    n = len(colors)
    return dataclasses.replace(
        clips, subject_row=clips.subject_row[:n], motion=clips.motion[:n], style=clips.style[:n],
        caption=clips.caption[:n], key=clips.key[:n],
        picture=tuple(str(folder / f"{number}.png") for number in range(n)))


def test_the_key_is_of_what_all_pictures_hold(clips, tmp_path):
    before = with_pictures(clips, tmp_path, ["red", "green", "blue"]).content_key()
    assert with_pictures(clips, tmp_path, ["red", "green", "blue"]).content_key() == before
    others = {with_pictures(clips, tmp_path, colors).content_key() for colors in (
        ["red", "green", "navy"], ["red", "lime", "blue"], ["pink", "green", "blue"])}
    assert len(others | {before}) == 4


def test_all_pictures_that_cannot_be_used_are_named(clips, tmp_path):
    table = with_pictures(clips, tmp_path, ["red", "green", "blue"])
    (tmp_path / "0.png").write_text("text")
    (tmp_path / "2.png").unlink()
    with pytest.raises(ValueError, match=r"2 of 3 pictures.*\n.*0.png.*\n.*2.png"):
        table.load_frames(range(3))
    with pytest.raises(ValueError, match=r"1 of 3 pictures.*\n.*2.png"):
        table.content_key()


def test_the_first_frame_is_the_same_whatever_the_motion(clips):
    for row in (0, 700, 2000):
        tables = [dataclasses.replace(clips, motion=(motion,) * len(clips)) for motion in MOTIONS]
        firsts = [table.load_frames([row])[0, 0] for table in tables]
        assert all((frame == firsts[0]).all() for frame in firsts)


@pytest.mark.parametrize("what", LOOKS)
def test_how_a_clip_looks_tells_nothing_about_the_motion(clips, looks, what):
    groups = [looks[what][np.array(clips.motion) == motion] for motion in MOTIONS]
    assert stats.kruskal(*groups).pvalue > 0.001


@pytest.mark.parametrize(("what", "low", "high"), [
    ("right", 36, 60), ("down", 36, 60), ("size", 38, 52), ("speed", 0.6, 1.3),
    ("camera right", -CAMERA, CAMERA), ("shape right", -DRIFT, DRIFT)])
def test_looks_are_drawn_evenly(looks, what, low, high):
    assert stats.kstest(looks[what], "uniform", (low, high - low)).pvalue > 0.001


@pytest.mark.parametrize("column", ["style", "group"])
def test_motions_are_spread_evenly_over_styles_and_groups(clips, emoji, column):
    values = (clips.style if column == "style"
              else [emoji.groups[row] for row in clips.subject_row])
    table = np.array([[sum(m == motion and v == value for m, v in zip(clips.motion, values,
                                                                      strict=True))
                       for motion in MOTIONS] for value in sorted(set(values))])
    assert stats.chi2_contingency(table).pvalue > 0.001


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_motion_starts_at_rest_and_then_moves(motion):
    start, path = MOTIONS[motion](0), [MOTIONS[motion](u) for u in np.linspace(0, 1, 8)]
    np.testing.assert_allclose(dataclasses.astuple(start), dataclasses.astuple(Pose()), atol=1e-9)
    assert all(0 <= pose.opacity <= 1 and pose.scale > 0 for pose in path)
    sprite = Image.new("RGBA", (128, 128), (200, 0, 0, 255))
    sprite.paste((0, 0, 200, 255), (0, 0, 64, 128))  # so that a turn shows
    background = Image.new("RGB", (96, 96), "white")
    frames = draw_clip(sprite, MOTIONS[motion], background, (48, 48), 32).astype(int)
    assert np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3)).max() > 0.5


def test_a_subject_stays_in_sight(clips, looks):
    """The center never leaves the picture."""
    for row, motion in enumerate(clips.motion):
        right, down, speed, camera_right, camera_down = (
            looks[name][row] for name in ("right", "down", "speed", "camera right", "camera down"))
        for u in np.linspace(0, 1, 8):
            pose = MOTIONS[motion](u).times(speed)
            assert 0 < right + pose.right - camera_right * u < 96
            assert 0 < down + pose.down - camera_down * u < 96


def test_the_ground_is_textured_and_leaves_room_for_the_camera():
    picture = np.asarray(ground(np.random.default_rng(0)))
    assert picture.shape == (96 + 2 * CAMERA, 96 + 2 * CAMERA, 3)
    assert picture.mean() > 150 and picture.std() > 5


def test_the_camera_drifts_over_the_ground_and_the_subject():
    background, dot = ground(np.random.default_rng(0)), Image.new("RGBA", (9, 9), "red")
    still = draw_clip(dot, lambda u: Pose(), background, (48.2, 48.2), 9)
    drifting = draw_clip(dot, lambda u: Pose(), background, (48.2, 48.2), 9, camera=(3, -2))
    np.testing.assert_array_equal(still[0], drifting[0])
    np.testing.assert_array_equal(still[0, :-2, 3:], drifting[-1, 2:, :-3])


def test_shapes_drift_behind_the_subject():
    paper, dot = Image.new("RGB", (96, 96), "white"), Image.new("RGBA", (9, 9), "red")
    shape = Image.new("RGBA", (7, 7), "blue"), np.array([48.0, 48.0]), np.array([20.0, 0.0])
    frames = draw_clip(dot, lambda u: Pose(), paper, (48, 48), 9, shapes=[shape])
    blue = (frames == (0, 0, 255)).all(axis=-1)
    assert not blue[0].any() and blue[-1].sum() == 49
    assert np.nonzero(blue[-1])[1].mean() == pytest.approx(68, abs=1)


def test_a_pose_at_another_speed():
    half = Pose(right=4, down=-8, scale=0.25, turn=90, opacity=0.16).times(0.5)
    assert dataclasses.astuple(half) == pytest.approx((2, -4, 0.5, 45, 0.4))


def test_every_motion_of_every_subject(clips, emoji):
    test = emoji.split().test
    gallery = load_every_motion(emoji, test)
    subjects = set(clips.subject_row) & set(test)
    assert len(gallery) == len(MOTIONS) * len(subjects)
    assert set(zip(gallery.subject_row, gallery.motion, strict=True)) == {
        (subject, motion) for subject in subjects for motion in MOTIONS}
    assert len(set(gallery.style)) == len(set(emoji.pictures.style))
    rows = [row for row in range(len(gallery)) if gallery.key[row] == gallery.key[0]]
    first = gallery.load_frames(rows)[:, 0]
    assert len(rows) > 1 and (first == first[0]).all()


def few(names, groups, n_pictures):
    """A collection of a few concepts, the first ones with a picture each."""
    texts = {"en": tuple((name,) if name else () for name in names)}
    return Collection(tuple("abcdef"[:len(names)]), texts, texts, groups, groups, PictureTable(
        np.arange(n_pictures), np.array(["noto"] * n_pictures, dtype=str),
        tuple(f"{number}.png" for number in range(n_pictures))))


NO_CLIPS = [few((), (), 0), few(("tiger",), ("animals-nature",), 0),
            few(("tiger", "skis"), ("people", "objects"), 2),
            few((None,), ("animals-nature",), 1)]


@pytest.mark.parametrize("collection", NO_CLIPS)
@pytest.mark.parametrize("load", [load_clips, lambda c: load_every_motion(c, range(len(c)))])
def test_without_subjects_or_pictures_there_are_no_clips(collection, load):
    table = load(collection)
    assert len(table) == 0 and table.subject_row.shape == (0,)
    assert table.subject_row.dtype.kind == "i" and table.caption == table.key == ()
    assert table.load_frames([]).shape == (0, 8, 96, 96, 3)
    assert table.content_key() == load_clips(NO_CLIPS[0]).content_key()


def test_no_rows_and_no_concepts(clips, emoji):
    frames = clips.load_frames([])
    assert frames.shape == (0, 8, 96, 96, 3) and frames.dtype == np.uint8
    for nothing in ([], (), np.array([])):
        assert len(load_every_motion(emoji, nothing)) == 0


def test_subjects_without_a_picture_are_left_out():
    some = few(("tiger", "horse"), ("animals-nature",) * 2, 1)
    assert set(load_every_motion(some, [0, 1]).subject_row) == {0} == set(
        load_clips(some).subject_row)


def test_captions_are_an_article_a_name_and_a_phrase(clips, emoji):
    for row in range(len(clips)):
        name = emoji.names["en"][clips.subject_row[row]][0]
        start = re.match(r"(an?) ", clips.caption[row]).group()
        assert clips.caption[row] in {start + f"{name} {phrase}"
                                      for phrase in PHRASES[clips.motion[row]]}
    used = {phrase for caption in set(clips.caption) for phrases in PHRASES.values()
            for phrase in phrases if caption.endswith(" " + phrase)}
    assert used == {phrase for phrases in PHRASES.values() for phrase in phrases}


def test_phrases_belong_to_one_motion_each():
    phrases = [phrase for pair in PHRASES.values() for phrase in pair]
    assert len(set(phrases)) == len(phrases)
    assert not any(a != b and a.endswith(" " + b) for a in phrases for b in phrases)


@pytest.mark.parametrize(("name", "expected"), [
    ("octopus", "an octopus"), ("tiger", "a tiger"), ("hourglass done", "an hourglass done"),
    ("house", "a house"), ("unicorn", "a unicorn"), ("umbrella", "an umbrella"),
    ("ukulele", "a ukulele"), ("euro banknote", "a euro banknote"), ("ewe", "a ewe"),
    ("one-piece swimsuit", "a one-piece swimsuit"), ("onion", "an onion"),
    ("x-ray", "an x-ray"), ("T-Rex", "a T-Rex"), ("e-mail", "an e-mail"), ("bus", "a bus"),
    ("glass of milk", "a glass of milk"), ("cactus", "a cactus"),
    ("grapes", None), ("skis", None), ("sunglasses", None), ("salt & pepper", None)])
def test_with_article(name, expected):
    assert with_article(name) == expected
