"""Video files: what is written is read back, by time; what is broken is refused by name."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from mmfuse_utils.data.clips import N_FRAMES, PIXELS
from mmfuse_utils.video_files import CODECS, load_videos, write_video


@pytest.fixture
def gray_levels():
    """Fifteen flat frames, each 16 gray levels lighter than the one before."""
    return np.stack([np.full((PIXELS, PIXELS, 3), 8 + 16 * t, np.uint8) for t in range(15)])


@pytest.fixture
def scene():
    """Frames with smooth shades and a bright square that moves to the right."""
    frames = np.zeros((N_FRAMES, PIXELS, PIXELS, 3), np.uint8)
    frames[..., 0] = np.linspace(40, 200, PIXELS)
    frames[..., 2] = np.linspace(200, 40, PIXELS)[:, None]
    for t in range(N_FRAMES):
        frames[t, 40:60, 8 * t:8 * t + 20] = 250
    return frames


@pytest.mark.parametrize("extension", CODECS)
def test_what_is_written_is_read_back(scene, tmp_path, extension):
    write_video(tmp_path / f"a{extension}", scene)
    read = load_videos([tmp_path / f"a{extension}"])
    assert read.shape == (1, *scene.shape) and read.dtype == np.uint8
    assert np.abs(read[0].astype(int) - scene).mean() < 5


@pytest.mark.parametrize("extension", CODECS)
def test_frames_are_evenly_spaced_in_time(gray_levels, tmp_path, extension):
    write_video(tmp_path / f"a{extension}", gray_levels)
    levels = load_videos([tmp_path / f"a{extension}"])[0].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(levels, 8 + 16 * np.arange(0, 15, 2), atol=3)


def test_time_counts_and_not_the_number_of_the_frame(gray_levels, tmp_path):
    """Frames 0 to 7 last one second each, frames 8 to 14 a seventh."""
    path = tmp_path / "uneven.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=7)
        stream.width = stream.height = PIXELS
        stream.codec_context.time_base = Fraction(1, 70)
        for t, frame in enumerate(gray_levels):
            picture = av.VideoFrame.from_ndarray(frame)
            picture.pts, picture.time_base = 70 * min(t, 7) + 10 * max(t - 7, 0), Fraction(1, 70)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    levels = load_videos([path])[0].mean(axis=(1, 2, 3))  # times 0, 8/7, 16/7, ... 8 seconds
    np.testing.assert_allclose(levels, 8 + 16 * np.array([0, 1, 2, 3, 4, 5, 6, 14]), atol=3)


def test_a_part_of_a_video(gray_levels, tmp_path):
    write_video(tmp_path / "a.mp4", gray_levels, rate=2)
    part = load_videos([tmp_path / "a.mp4"], start=1.0, end=4.5)[0].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(part, 8 + 16 * np.arange(2, 10), atol=3)


def test_a_short_video_repeats_its_frames(gray_levels, tmp_path):
    write_video(tmp_path / "a.gif", gray_levels[:2])
    levels = load_videos([tmp_path / "a.gif"])[0].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(levels, [8] * 7 + [24], atol=1)


def test_a_wide_video_loses_its_sides(scene, tmp_path):
    wide = np.concatenate([np.zeros_like(scene), scene, np.zeros_like(scene)], axis=2)
    write_video(tmp_path / "wide.webm", wide)
    assert np.abs(load_videos([tmp_path / "wide.webm"])[0].astype(int) - scene).mean() < 5


def test_all_files_that_cannot_be_used_are_named(scene, tmp_path):
    good, still, noise = (tmp_path / name for name in ("good.mp4", "still.gif", "noise.webm"))
    write_video(good, scene)
    Image.fromarray(scene[0]).save(still)
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(ValueError, match="3 of 4 videos") as caught:
        load_videos([good, still, noise, tmp_path / "missing.mp4"])
    message = str(caught.value)
    assert "good.mp4" not in message and "1 frames" in message
    assert all(name in message for name in ("still.gif", "noise.webm", "missing.mp4: No such file"))


def test_a_file_with_sound_alone_is_refused(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match="no picture track"):
        load_videos([path])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("extension", CODECS)
def test_a_file_cut_short_is_refused(gray_levels, tmp_path, extension, share):
    whole, cut = tmp_path / f"whole{extension}", tmp_path / f"cut{extension}"
    noise = np.random.default_rng(0).integers(0, 60, gray_levels.shape).astype(np.uint8)
    write_video(whole, gray_levels // 2 + noise)
    content = whole.read_bytes()
    cut.write_bytes(content[:int(share * len(content))])
    with pytest.raises(ValueError, match="cut" + extension):
        load_videos([cut])


@pytest.mark.parametrize("extension", CODECS)
def test_whatever_is_wrong_inside_the_error_is_the_same(scene, tmp_path, extension):
    rng, path = np.random.default_rng(1), tmp_path / f"a{extension}"
    write_video(path, scene)
    content = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(40):
        broken = content.copy()
        broken[rng.integers(0, len(broken), 10)] = rng.integers(0, 256, 10)
        path.write_bytes(broken.tobytes())
        try:
            read = load_videos([path])
        except ValueError as error:
            assert str(path) in str(error)
        else:
            assert read.shape == (1, *scene.shape)


def test_another_ending_or_shape_is_refused(scene, tmp_path):
    with pytest.raises(ValueError, match=r"\.mp4, \.webm, \.gif"):
        write_video(tmp_path / "a.txt", scene)
    for wrong in (scene[0], scene.astype(float), scene[:, :95]):
        with pytest.raises(ValueError, match="height and width even"):
            write_video(tmp_path / "a.mp4", wrong)
    assert not list(tmp_path.iterdir())
