"""Frames to vectors: what pooling keeps, what motion maps show, what a clip must not give away."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmfuse_utils import video
from mmfuse_utils.data import load_clips, load_emoji
from mmfuse_utils.data.clips import MOTIONS, N_FRAMES, PIXELS, ClipTable, draw_clip
from mmfuse_utils.metrics import bootstrap_interval

BLIND = (video.pool_mean, video.pool_max, video.pool_difference)


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(0).normal(size=(5, N_FRAMES, 7))


@pytest.fixture(scope="module")
def tracks():
    """For each motion: center (right, down), area, opacity and angle of a wedge, by frame."""
    return {name: track(draw_clip(wedge(), motion, paper(), (48, 48), 34))
            for name, motion in MOTIONS.items()}


def paper():
    return Image.new("RGB", (PIXELS, PIXELS), "white")


def wedge():
    """A black disc whose right half is red, so that its turning shows."""
    sprite = Image.new("RGBA", (128, 128))
    pen = ImageDraw.Draw(sprite)
    pen.ellipse((8, 8, 120, 120), fill="black")
    pen.pieslice((8, 8, 120, 120), -60, 60, fill="red")
    return sprite


def track(frames):
    ink = 255 - frames.astype(float)
    rows = []
    for frame in ink:
        shape = frame[..., 1] > 8  # green is missing from black and from red alike
        down, right = (axis.mean() for axis in np.nonzero(shape))
        red = frame[..., 1] - frame[..., 0] > 0.5 * frame[..., 1].max()
        red_down, red_right = (axis.mean() for axis in np.nonzero(red))
        angle = np.degrees(np.arctan2(red_down - down, red_right - right))  # clockwise
        rows.append((right, down, shape.sum(), frame[..., 1].max() / 255, angle))
    return np.array(rows).T


def turned(angle):
    """Degrees turned between neighboring frames, clockwise, in -180..180."""
    return (np.diff(angle) + 180) % 360 - 180


@pytest.mark.parametrize("pool", BLIND)
def test_pooling_that_cannot_tell_a_clip_from_its_reversal(pool, features):
    np.testing.assert_allclose(pool(features), pool(features[:, ::-1]), atol=1e-12)


def test_mean_and_max_are_blind_to_any_order(features):
    shuffled = features[:, np.random.default_rng(1).permutation(N_FRAMES)]
    np.testing.assert_allclose(video.pool_mean(features), video.pool_mean(shuffled), atol=1e-12)
    np.testing.assert_array_equal(video.pool_max(features), video.pool_max(shuffled))


def test_pooling_that_keeps_the_arrow_of_time(features):
    backwards = features[:, ::-1]
    np.testing.assert_allclose(video.pool_last_minus_first(backwards),
                               -video.pool_last_minus_first(features))
    there = video.pool_time_weighted(features).reshape(5, 3, 7)
    back = video.pool_time_weighted(backwards).reshape(5, 3, 7)
    np.testing.assert_allclose(back, there * np.array([-1, 1, -1])[:, None], atol=1e-12)


def test_shapes_of_pooled_features(features):
    for pool in (*BLIND, video.pool_last_minus_first):
        assert pool(features).shape == (5, 7)
    assert video.pool_time_weighted(features, n_waves=4).shape == (5, 28)


POOLS = (*BLIND, video.pool_last_minus_first, video.pool_time_weighted)
KINDS = ["?", "u1", "i1", "u2", "i4", "i8", "u8", "f2", "f4", "f8"]


@pytest.mark.parametrize("pool", POOLS)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_pooling_neither_wraps_around_nor_truncates(pool, data):
    """Whatever type the numbers come in, extremes too, and as lists."""
    kind = data.draw(st.sampled_from(KINDS))
    shape = data.draw(st.tuples(*map(st.integers, (0, 2, 1), (3, 5, 4))))
    plain = st.floats(-1e4, 1e4, width=16) if "f" in kind else None
    frames = data.draw(arrays(kind, shape, elements=plain))
    exact = pool(frames.astype(float))
    assert exact.dtype == float and pool(frames).shape == exact.shape
    assert pool(frames).dtype == (np.float32 if kind in ("f2", "f4") else float)
    np.testing.assert_allclose(pool(frames), exact, rtol=1e-4, atol=0.1 if "f" in kind else 0)
    if frames.size:
        np.testing.assert_allclose(pool(frames.tolist()), exact, rtol=1e-12)


def test_pooling_of_bytes_by_hand():
    frames = np.array([[[200], [10], [250]]], np.uint8)
    assert video.pool_difference(frames).tolist() == [[215]]
    assert video.pool_last_minus_first(frames[:, 1:][:, ::-1]).tolist() == [[-240]]
    waves = video.pool_time_weighted(np.array([[[1], [2], [6]]]))
    expected = [6 * np.cos(np.pi * k * 5 / 6) + 2 * np.cos(np.pi * k / 2)
                + np.cos(np.pi * k / 6) for k in (1, 2, 3)]
    np.testing.assert_allclose(waves * 3, [expected], atol=1e-12)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("wrong", [
    np.zeros((2, 0, 3)), np.zeros((2, 8)), np.zeros((1, 2, 3, 4)), [], 1.0, None, "abc",
    np.zeros((2, 8, 3), complex), np.full((1, 2, 1), "a"), np.full((1, 2, 1), None)])
def test_pooling_refuses_what_are_no_frames(pool, wrong):
    with pytest.raises(ValueError, match=r"numbers of shape \(n, n_frames, dim\)"):
        pool(wrong)


def test_pooling_of_one_frame():
    one = np.array([[[1, 2]]])
    assert video.pool_mean(one).tolist() == video.pool_max(one).tolist() == [[1, 2]]
    for pool in (video.pool_difference, video.pool_last_minus_first, video.pool_time_weighted):
        with pytest.raises(ValueError, match="n_frames of 2 or more"):
            pool(one)
    assert np.abs(video.pool_time_weighted(one, n_waves=1)).max() < 1e-12


@pytest.mark.parametrize("n_waves", [1, 3, 7, 15])
def test_no_wave_is_the_mean(n_waves):
    waves = video.pool_time_weighted(np.ones((1, 8, 2)), n_waves)
    assert np.abs(waves).max() < 1e-12
    with pytest.raises(ValueError, match="n_frames of 9 or more"):
        video.pool_time_weighted(np.ones((1, 8, 2)), 16)


@pytest.mark.parametrize("n_waves", [0, -1, 1.5, None])
def test_waves_are_counted(n_waves):
    with pytest.raises(ValueError, match="n_waves must be a whole number, 1 or more"):
        video.pool_time_weighted(np.ones((1, 8, 2)), n_waves)


def test_motion_history_by_hand():
    changed = np.zeros((1, 4, 2, 2), dtype=bool)
    changed[0, 0, 0, 0] = True  # only at the first of four steps
    changed[0, [0, 2], 0, 1] = True  # the later change counts
    changed[0, 3, 1, 0] = True
    expected = [[[0.25, 0.75], [1.0, 0.0]]]
    np.testing.assert_array_equal(video.motion_history(changed), expected)


def test_frame_changes_by_hand():
    frames = np.zeros((1, 3, 1, 1, 3), dtype=np.uint8)
    frames[0, 1] = 100
    frames[0, 2] = (100, 0, 0)
    np.testing.assert_allclose(video.frame_changes(frames).ravel(), [100, -70.1], rtol=1e-5)


def test_motion_maps_do_not_depend_on_the_place():
    here = draw_clip(wedge(), MOTIONS["right"], paper(), (30, 40), 20)
    there = draw_clip(wedge(), MOTIONS["right"], paper(), (50, 60), 20)
    one, other = video.motion_maps(np.stack([here, there]))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_motion_maps_keep_the_direction():
    left, right = (draw_clip(wedge(), MOTIONS[name], paper(), (48, 48), 20)
                   for name in ("left", "right"))
    late = video.motion_maps(np.stack([left, right]))[:, 4]
    weight = np.arange(video.MAP_SIZE) - video.MAP_SIZE / 2
    lean = (late.sum(axis=1) * weight).sum(axis=1)  # where late changes outweigh early ones
    assert lean[0] < 0 < lean[1]


def test_a_still_clip_has_empty_motion_maps():
    still = np.full((1, N_FRAMES, PIXELS, PIXELS, 3), 200, np.uint8)
    assert not video.motion_maps(still).any()


def test_difference_pictures_are_means_of_cells():
    frames = np.zeros((1, 2, 96, 96, 3), np.uint8)
    frames[0, 1, :3, 3:6] = 90
    expected = np.zeros((1, 1, 32, 32))
    expected[0, 0, 0, 1] = 90
    np.testing.assert_allclose(video.difference_pictures(frames), expected, atol=1e-4)


@pytest.mark.parametrize("center", [(36, 60), (48, 48), (60, 40)])
@pytest.mark.parametrize("name", MOTIONS)
def test_crops_show_what_moves(name, center):
    frames = draw_clip(wedge(), MOTIONS[name], paper(), center, 40)
    crops = video.moving_crops(frames[None])[0].astype(int)
    assert crops.shape == (3, 112, 112, 3)
    for crop, frame in zip(crops, frames[[1, 3, 5]].astype(int), strict=True):
        seen, there = ((255 - picture[..., 1]).sum() for picture in (crop, frame))
        assert seen / 4 > 0.7 * there  # a crop has four pixels for each of the frame's


def test_a_shape_that_stands_still_is_not_cropped():
    still = draw_clip(wedge(), MOTIONS["shake"], paper(), (70, 70), 30)
    still[:, 5:30, 5:30] = (0, 0, 255)
    crops = video.moving_crops(still[None])[0]
    assert not (crops == (0, 0, 255)).all(axis=-1).any()


@pytest.mark.parametrize("see", [video.frame_changes, video.difference_pictures, video.motion_maps,
                                 video.moving_crops])
@pytest.mark.parametrize("wrong", [
    np.zeros((1, 8, 96, 96, 3)), np.zeros((8, 96, 96, 3), np.uint8), [], None, [[[1]]],
    np.zeros((1, 1, 96, 96, 3), np.uint8), np.zeros((1, 0, 96, 96, 3), np.uint8),
    np.zeros((1, 8, 0, 0, 3), np.uint8), np.zeros((1, 8, 96, 96, 4), np.uint8)])
def test_what_are_no_frames_is_refused(see, wrong):
    with pytest.raises(ValueError, match="frames as uint8 of shape"):
        see(wrong)


@pytest.mark.parametrize("shape", [(6, 96, 96), (8, 55, 96), (8, 96, 55)])
def test_crops_need_seven_frames_of_their_own_size(shape):
    with pytest.raises(ValueError, match="n_frames 7 or more, height and width 56 or more"):
        video.moving_crops(np.zeros((1, *shape, 3), np.uint8))
    least = np.random.default_rng(0).integers(0, 256, (1, 7, 56, 56, 3), np.uint8)
    assert video.moving_crops(least).shape == (1, 3, 112, 112, 3)


@pytest.mark.parametrize("wrong", [np.zeros((1, 7, 8, 8)), np.zeros((7, 8, 8), bool), [], None,
                                   np.zeros((1, 0, 8, 8), bool)])
def test_a_history_needs_truth_values(wrong):
    with pytest.raises(ValueError, match="truth values of shape"):
        video.motion_history(wrong)


@pytest.mark.parametrize("size", [0, -3, 1.5, None, 97])
def test_a_grid_has_a_whole_number_of_cells(size):
    for see in (video.difference_pictures, video.motion_maps):
        with pytest.raises(ValueError, match="size must be a whole number .*from 1 to 96"):
            see(np.zeros((1, 8, 96, 96, 3), np.uint8), size)


def test_of_no_clips_everything_is_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path))
    clips = ClipTable(np.array([], int), (), (), (), (), ())
    for make, shape in ((video.clip_frame_features, (8, 1280)),
                        (video.clip_subject_features, (1280,)),
                        (video.clip_motion_features, (2880,)), (video.clip_features, (4160,)),
                        (video.clip_difference_pictures, (7, 32, 32))):
        assert make(clips).shape == (0, *shape) and make(clips).dtype == np.float32


def test_frames_of_another_shape_or_type_are_refused():
    with pytest.raises(ValueError, match="uint8 of shape"):
        video.frame_changes(np.zeros((1, 8, 96, 96, 3)))
    with pytest.raises(ValueError, match="multiple of 24"):
        video.motion_maps(np.zeros((1, 8, 50, 50, 3), np.uint8))


@pytest.mark.parametrize(("name", "axis", "sign"), [
    ("rise", 1, -1), ("fall", 1, 1), ("left", 0, -1), ("right", 0, 1)])
def test_clips_move_as_their_captions_say(tracks, name, axis, sign):
    path = tracks[name][axis]
    assert sign * (path[-1] - path[0]) > 20
    assert (sign * np.diff(path) >= 0).all()
    assert np.ptp(tracks[name][1 - axis]) < 1.5


def test_clips_jump_shake_and_circle(tracks):
    right, down = tracks["jump"][:2]
    assert down[0] - down.min() > 18 and abs(down[-1] - down[0]) < 1.5 and np.ptp(right) < 1.5
    right, down = tracks["shake"][:2]
    signs = np.sign(right[1:-1] - right[0])
    assert (np.diff(signs[signs != 0]) != 0).sum() >= 3 and np.ptp(down) < 1.5
    right, down = tracks["circle"][:2]
    assert np.ptp(right) > 15 and np.ptp(down) > 15
    assert np.hypot(right[-1] - right[0], down[-1] - down[0]) < 2


def test_clips_grow_shrink_and_fade(tracks):
    assert (np.diff(tracks["grow"][2]) > 0).all()
    assert (np.diff(tracks["shrink"][2]) < 0).all()
    assert (np.diff(tracks["fade"][3]) < 0).all() and tracks["fade"][3][-1] < 0.25


def test_clips_turn_as_their_captions_say(tracks):
    np.testing.assert_allclose(turned(tracks["clockwise"][4]), 45, atol=5)
    np.testing.assert_allclose(turned(tracks["counterclockwise"][4]), -45, atol=5)


def test_clips_stay_where_they_should(tracks):
    for name in ("grow", "shrink", "fade", "clockwise", "counterclockwise"):
        assert max(np.ptp(tracks[name][0]), np.ptp(tracks[name][1])) < 1.5, name


def test_the_first_frame_does_not_give_the_motion_away():
    collection = load_emoji()
    clips = load_clips(collection)
    first = video.clip_frame_features(clips)[:, 0]
    motion, split = np.array(clips.motion), collection.split()
    train, test = (np.flatnonzero(np.isin(clips.subject_row, concepts))
                   for concepts in (split.train, split.test))
    reader = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=500))
    correct = reader.fit(first[train], motion[train]).predict(first[test]) == motion[test]
    low, high = bootstrap_interval(correct, clusters=clips.subject_row[test])
    assert low <= 1 / len(MOTIONS) and high < 0.15


def test_clip_features_have_two_parts_of_length_one():
    clips = load_clips(load_emoji())
    vectors = video.clip_features(clips)
    size = 5 * video.MAP_SIZE ** 2
    assert vectors.shape == (len(clips), 1280 + size) and vectors.dtype == np.float32
    for part in (vectors[:, :1280], vectors[:, 1280:]):
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, rtol=1e-4)
