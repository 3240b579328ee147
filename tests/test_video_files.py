"""Video files: what is written is read back, by time; what is broken is refused by name."""

import itertools
import os
from decimal import Decimal
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmfuse_utils import video_files
from mmfuse_utils.cache import WriteError
from mmfuse_utils.data.clips import N_FRAMES, PIXELS
from mmfuse_utils.video_files import CODECS, load_videos, write_video

EIGHT_OF_FIFTEEN = 8 + 16 * np.arange(0, 15, 2)     # gray levels, see `gray_levels`


@pytest.fixture
def gray_levels():
    """Fifteen flat frames, each 16 gray levels lighter than the one before."""
    return np.stack([np.full((PIXELS, PIXELS, 3), 8 + 16 * t, np.uint8) for t in range(15)])


def flat(levels):
    """One flat frame for each gray level."""
    return np.stack([np.full((PIXELS, PIXELS, 3), level, np.uint8) for level in levels])


def encode(path, frames, codec, pixels="yuv420p", *, kind=None, rate=8, start=0, hold=1,
           options=(), sound=0, prepare=lambda stream: None):
    """Write a video in any codec and container.

    frames : (n, height, width, 3 or 4). start : frames of silence before the first. hold : frames
    for which the last one stays. sound : its length in seconds.
    """
    with av.open(path, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, options=dict(options))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        prepare(stream)
        if sound:
            silence(container, sound)
        for number, frame in enumerate(frames):
            layout = "rgba" if frame.shape[-1] == 4 else "rgb24"
            picture = av.VideoFrame.from_ndarray(frame, layout)
            picture.pts, picture.time_base = start + number, 1 / Fraction(rate)
            container.mux(packet_of(stream.encode(picture), hold, start + len(frames) - 1))
        container.mux(packet_of(stream.encode(), hold, start + len(frames) - 1))


def packet_of(packets, hold, last):
    for packet in packets:
        if packet.pts == last:
            packet.duration = hold
    return packets


def silence(container, seconds):
    """A track of silence in the sound codec that the container prefers."""
    track = container.add_stream(container.default_audio_codec, rate=48_000, layout="mono")
    shape = (1, 48_000 * seconds)
    sample = {"fltp": np.float32, "s16": np.int16, "s32p": np.int32}[track.format.name]
    frame = av.AudioFrame.from_ndarray(np.zeros(shape, sample), track.format.name, "mono")
    frame.sample_rate = 48_000
    container.mux(track.encode(frame))
    container.mux(track.encode())


def levels_of(path, **part):
    return load_videos([path], **part)[0].mean(axis=(1, 2, 3))


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
    assert "still.gif" in message and "noise.webm" in message
    assert "missing.mp4: No such file" in message


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


@pytest.mark.parametrize("share", [0.2, 0.5, 0.6, 0.8, 0.9, 0.99])
@pytest.mark.parametrize("extension", [*CODECS, ".apng", ".png", ".avi", ".mkv"])
def test_a_file_cut_short_is_refused(gray_levels, tmp_path, extension, share):
    whole, cut = tmp_path / f"whole{extension}", tmp_path / f"cut{extension}"
    noise = np.random.default_rng(0).integers(0, 60, gray_levels.shape).astype(np.uint8)
    if extension in CODECS:
        write_video(whole, gray_levels // 2 + noise)
    else:
        codec, pixels, kind = {".avi": ("mpeg4", "yuv420p", "avi"),
                               ".mkv": ("libx264", "yuv420p", "matroska")}.get(
            extension, ("apng", "rgb24", "apng"))
        encode(whole, gray_levels // 2 + noise, codec, pixels, kind=kind)
    assert len(load_videos([whole])) == 1
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
    for wrong in (scene[:0], [], None, scene[0].tolist(), iter(scene)):
        with pytest.raises(ValueError, match="of shape"):
            write_video(tmp_path / "a.gif", wrong)
    with pytest.raises(ValueError, match=r"one size; got frames of shapes \(90, 96, 3\), \(96"):
        write_video(tmp_path / "a.gif", [scene[0], scene[1][:90]])


@pytest.mark.parametrize("extension", CODECS)
@pytest.mark.parametrize("form", [list, tuple, np.asfortranarray])
def test_frames_come_as_a_list_or_in_any_layout(scene, tmp_path, extension, form):
    write_video(tmp_path / f"a{extension}", form(scene))
    assert np.abs(load_videos([tmp_path / f"a{extension}"])[0].astype(int) - scene).mean() < 5


# ---- whole videos, and the order and the times of their frames

@pytest.mark.parametrize("kind", ["mkv", "webm", "mp4", "mov"])
@pytest.mark.parametrize("look", [{"start": 2, "sound": 4}, {"hold": 24}, {"hold": 24, "sound": 1},
                                  {"start": 5, "hold": 24, "sound": 9}])
def test_a_late_first_and_a_long_last_frame_are_whole(gray_levels, tmp_path, kind, look):
    """The picture starts after the sound, or its last frame is held for three seconds."""
    codec = "libvpx-vp9" if kind == "webm" else "libx264"
    encode(tmp_path / f"a.{kind}", gray_levels, codec, **look)
    np.testing.assert_allclose(levels_of(tmp_path / f"a.{kind}"), EIGHT_OF_FIFTEEN, atol=3)


def test_a_live_recording_promises_no_length(gray_levels, tmp_path):
    encode(tmp_path / "live.webm", gray_levels, "libvpx-vp9")
    content = (tmp_path / "live.webm").read_bytes()
    place = content.index(b"\x18\x53\x80\x67") + 4     # the segment, then its length in 8 bytes
    (tmp_path / "live.webm").write_bytes(content[:place] + b"\x01" + b"\xff" * 7
                                         + content[place + 8:])
    np.testing.assert_allclose(levels_of(tmp_path / "live.webm"), EIGHT_OF_FIFTEEN, atol=3)


@pytest.mark.parametrize("more", [b"\r\n and more", bytes(1000), b"," * 1000, b"!" * 5000,
                                  np.random.default_rng(0).bytes(1000)])
@pytest.mark.parametrize("extension", [".gif", ".apng"])
def test_what_follows_the_mark_at_the_end_does_no_harm(gray_levels, tmp_path, extension, more):
    path = tmp_path / f"a{extension}"
    if extension == ".gif":
        write_video(path, gray_levels)
    else:
        encode(path, gray_levels, "apng", "rgb24")
    with open(path, "ab") as file:
        file.write(more)
    np.testing.assert_allclose(levels_of(path), EIGHT_OF_FIFTEEN, atol=1)


def test_signs_of_an_end_inside_a_gif_are_not_its_end(tmp_path):
    """Colors of the bytes 0 and 59 look like the end of the file."""
    path = tmp_path / "a.gif"
    pictures = [Image.new("RGB", (96, 96), (59, 0, 59 + step)) for step in range(3)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    content = path.read_bytes()
    assert b"\0;" in content[:-2] and len(load_videos([path])) == 1
    path.write_bytes(content[:content.rindex(b"\0;", 0, -2) + 9])
    with pytest.raises(ValueError, match="a.gif: "):
        load_videos([path])


@pytest.mark.parametrize("part", [
    {"start": "a"}, {"start": None}, {"start": float("nan")}, {"start": float("inf")},
    {"start": -1}, {"start": [1]}, {"start": 2, "end": 1}, {"start": 1, "end": 1}, {"end": 0},
    {"end": -2.5}, {"end": float("nan")}, {"end": "b"}, {"start": 1j}])
def test_a_part_that_makes_no_sense_blames_no_video(tmp_path, part):
    with pytest.raises(ValueError, match="Expected a start of 0 seconds or more") as caught:
        load_videos([tmp_path / "none.mp4"], **part)
    assert "none.mp4" not in str(caught.value)


@pytest.mark.parametrize("size", [0, -1, 1.5, 8.0, None, "8", 10 ** 9])
def test_a_size_that_makes_no_sense_blames_no_video(tmp_path, size):
    with pytest.raises(ValueError, match="^size must be a whole number of pixels, from 1 to 8"):
        load_videos([tmp_path / "none.mp4"], size)


def test_any_kind_of_number_bounds_a_part(gray_levels, tmp_path):
    write_video(tmp_path / "a.mp4", gray_levels, rate=2)
    for start, end in ((1, 4.5), (Fraction(1), Fraction(9, 2)), (np.float32(1), Decimal("4.5"))):
        np.testing.assert_allclose(levels_of(tmp_path / "a.mp4", start=start, end=end),
                                   8 + 16 * np.arange(2, 10), atol=3)


@pytest.mark.parametrize("default", [0, 1, None])
def test_of_several_tracks_the_default_one_is_read(tmp_path, default):
    """The first where none is marked."""
    with av.open(tmp_path / "a.mkv", "w", options={"default_mode": "passthrough"}) as container:
        tracks = [container.add_stream("libx264", rate=8) for _ in range(2)]
        for number, track in enumerate(tracks):
            track.width = track.height = 96
            track.pix_fmt = "yuv420p"
            track.disposition = av.stream.Disposition.default if number == default else 0
        for track, level in zip(tracks, (60, 180), strict=True):
            for frame in flat([level] * 9):
                container.mux(track.encode(av.VideoFrame.from_ndarray(frame)))
            container.mux(track.encode())
    np.testing.assert_allclose(levels_of(tmp_path / "a.mkv"), 180 if default == 1 else 60, atol=3)


B_FRAMES = {"bf": "3", "b_strategy": "0"}


@pytest.mark.parametrize("name", ["a.avi", "a.h264", "a.ts", "a.mkv", "a.mp4", "a.flv", "a.mpg"])
def test_frames_stored_out_of_order_are_shown_in_order(gray_levels, tmp_path, name):
    """H.264 stores some frames after later ones; AVI then has no right times, ".h264" none."""
    kind = {"a.h264": "h264", "a.mpg": "mpeg"}.get(name)
    encode(tmp_path / name, gray_levels, "libx264", kind=kind, options=B_FRAMES)
    np.testing.assert_allclose(levels_of(tmp_path / name), EIGHT_OF_FIFTEEN, atol=3)
    np.testing.assert_allclose(levels_of(tmp_path / name, start=0.5, end=1.375),
                               8 + 16 * np.arange(4, 12), atol=3)


@pytest.mark.parametrize("name", ["a.avi", "a.m2v", "a.mjpeg", "a.y4m", "a.nut", "a.ivf", "a.obu"])
def test_other_kinds_are_read_in_order(gray_levels, tmp_path, name):
    codec, pixels, kind = {
        "a.avi": ("mpeg4", "yuv420p", None), "a.m2v": ("mpeg2video", "yuv420p", "mpeg2video"),
        "a.mjpeg": ("mjpeg", "yuvj420p", "mjpeg"), "a.ivf": ("libvpx", "yuv420p", None),
        "a.y4m": ("wrapped_avframe", "yuv420p", "yuv4mpegpipe"),
        "a.nut": ("ffv1", "yuv420p", None), "a.obu": ("libsvtav1", "yuv420p", "obu")}[name]
    encode(tmp_path / name, gray_levels, codec, pixels, kind=kind, rate=25)
    np.testing.assert_allclose(levels_of(tmp_path / name), EIGHT_OF_FIFTEEN, atol=4)


@pytest.mark.parametrize("first_at", [0, 8, 8 * 3600])
@pytest.mark.parametrize("options", [{}, B_FRAMES])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_joined_recordings_follow_each_other(tmp_path, first_at, options, order):
    """Each has times of its own, which begin anew or leap by hours."""
    halves = flat(range(0, 120, 10)), flat(range(120, 240, 10))
    for number, half in enumerate(halves):
        encode(tmp_path / f"{number}.ts", half, "libx264", options=options,
               start=number * first_at)
    joined = b"".join((tmp_path / f"{number}.ts").read_bytes() for number in order)
    (tmp_path / "joined.ts").write_bytes(joined)
    expected = np.concatenate([halves[number] for number in order]).mean(axis=(1, 2, 3))
    shown = np.floor(np.linspace(0, 23, N_FRAMES) + 1e-3).astype(int)
    levels = levels_of(tmp_path / "joined.ts")
    assert np.abs(levels - expected[shown]).max() <= 13     # one frame's difference, and rounding
    np.testing.assert_allclose(levels[[0, 7]], expected[[0, 23]], atol=3)


def test_the_cover_of_a_record_is_no_video(gray_levels, tmp_path):
    cover = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
    with av.open(tmp_path / "song.mp3", "w") as container:
        track = container.add_stream("png", rate=1)
        track.width = track.height = 32
        track.pix_fmt = "rgb24"
        track.disposition = av.stream.Disposition.attached_pic
        silence(container, 1)
        container.mux(track.encode(cover))
    write_video(tmp_path / "good.mp4", gray_levels)
    with pytest.raises(ValueError, match=r"1 of 2 videos.*\n.*song.mp3: has no picture track"):
        load_videos([tmp_path / "song.mp3", tmp_path / "good.mp4"])


# ---- GIF

@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=12).flatmap(
    lambda levels: st.lists(st.sampled_from(levels), min_size=2, max_size=20)))
def test_a_gif_keeps_all_frames_and_levels(tmp_path_factory, levels):
    """Equal frames too, and a clip in which nothing moves."""
    path = tmp_path_factory.mktemp("gif") / "a.gif"
    write_video(path, flat(levels))
    shown = np.floor(np.linspace(0, len(levels) - 1, N_FRAMES) + 1e-9).astype(int)
    np.testing.assert_allclose(levels_of(path), np.array(levels)[shown], atol=0.5)


@pytest.mark.parametrize("extension", CODECS)
def test_repeated_levels_come_back_from_every_kind(tmp_path, extension):
    levels = [20, 40, 60, 80, 80, 80, 80, 80]
    write_video(tmp_path / f"a{extension}", flat(levels))
    np.testing.assert_allclose(levels_of(tmp_path / f"a{extension}"), levels, atol=2)


def test_a_gif_keeps_the_colors_of_each_frame(tmp_path):
    """Each frame has 256 colors of its own."""
    ramp = np.linspace(0, 255, PIXELS)[:, None] * np.ones(PIXELS)
    frames = np.zeros((N_FRAMES, PIXELS, PIXELS, 3))
    for t in range(N_FRAMES):
        frames[t, ..., t % 3], frames[t, ..., (t + 1) % 3] = ramp, 30 * t
    frames = frames.astype(np.uint8)
    write_video(tmp_path / "a.gif", frames)
    assert np.abs(load_videos([tmp_path / "a.gif"])[0].astype(int) - frames).mean() < 2


# ---- as a player shows it

TRANSPARENT = [("a.apng", "apng", "rgba"), ("a.webm", "libvpx-vp9", "yuva420p"),
               ("b.webm", "libvpx", "yuva420p"), ("a.mov", "qtrle", "argb"),
               ("b.mov", "prores_ks", "yuva444p10le"), ("a.mkv", "ffv1", "yuva420p"),
               ("a.nut", "png", "ya8"), ("b.nut", "png", "rgba64be")]


@pytest.mark.parametrize(("name", "codec", "pixels"), TRANSPARENT)
def test_transparent_parts_are_white(tmp_path, name, codec, pixels):
    """Left clear, in the middle half clear over gray, right opaque."""
    frames = np.full((N_FRAMES, 96, 96, 4), 100, np.uint8)
    frames[..., :32, 3], frames[..., 32:64, 3], frames[..., 64:, 3] = 0, 128, 255
    options = {"auto-alt-ref": "0"} if codec == "libvpx" else {}    # VP8 asks for it
    encode(tmp_path / name, frames, codec, pixels, options=options)
    read = load_videos([tmp_path / name])[0, :, 4:-4].mean(axis=(0, 1, 3))
    np.testing.assert_allclose([read[4:28].mean(), read[36:60].mean(), read[68:92].mean()],
                               [255, 177, 100], atol=6)


def test_a_transparent_gif_is_white(tmp_path):
    frames = [Image.new("RGBA", (96, 96), (90, 90, 90, 0)) for _ in range(3)]
    for t, frame in enumerate(frames):
        frame.paste((10, 20, 30, 255), (0, 0, 96, 30 + t))
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], disposal=2,
                   duration=100)
    read = load_videos([tmp_path / "a.gif"])[0]
    assert (read[:, 40:] == 255).all() and (np.abs(read[:, :30] - (10, 20, 30.0)) < 9).all()


@pytest.fixture
def corners():
    """Two frames of 96 by 64 pixels, the corners red, green, blue and gray, row by row."""
    frames = np.full((2, 64, 96, 3), 40, np.uint8)
    for (down, right), color in zip(itertools.product((0, 1), (0, 1)), COLORS, strict=True):
        frames[:, 40 * down:40 * down + 24, 64 * right:64 * right + 32] = color
    return frames


COLORS = (250, 30, 30), (30, 200, 30), (30, 30, 250), (150, 150, 150)


@pytest.mark.parametrize("down", [(0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0)])
@pytest.mark.parametrize("mirror", [1, -1])
def test_turned_and_mirrored_marks_are_obeyed(corners, tmp_path, down, mirror):
    """The mark is a matrix: where a step to the right and a step down in the file go."""
    right = (mirror * down[1], -mirror * down[0], 0)
    matrix = [65536 * number for number in (*right, *down)] + [0, 0, 2 ** 30]
    encode(tmp_path / "a.mp4", corners, "libx264",
           prepare=lambda stream: stream.set_display_matrix(matrix))
    read = load_videos([tmp_path / "a.mp4"], size=48)[0, 0].astype(int)
    for (p, q), color in zip(((-1, -1), (1, -1), (-1, 1), (1, 1)), COLORS, strict=True):
        x, y = (p * right[i] + q * down[i] for i in (0, 1))     # from the center, where it goes
        place = read[24 + 20 * y, 24 + 20 * x]
        assert np.abs(place - color).max() < 40, (p, q, place)


@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(1, 2), Fraction(64, 45)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_round_disk_stays_round(tmp_path, aspect, turned):
    """Stored with pixels that are wide or narrow; the disk fills half of the height or width."""
    down, right = np.mgrid[:96, :96] - 47.5
    disk = (right * float(aspect)) ** 2 + down ** 2 < 24 ** 2
    frames = np.repeat(np.where(disk, 250, 10).astype(np.uint8)[None, ..., None], 3, axis=-1)

    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = aspect
        if turned:
            stream.set_display_rotation(90)

    encode(tmp_path / "a.mp4", frames.repeat(2, axis=0), "libx264", prepare=prepare)
    read = load_videos([tmp_path / "a.mp4"])[0, 0, ..., 0] > 128
    assert read.any(axis=0).sum() == pytest.approx(read.any(axis=1).sum(), abs=2)
    scale = max(1, 1 / aspect)          # the shorter side is the height, or the width
    assert read.any(axis=1).sum() == pytest.approx(48 * float(scale), abs=2)


def test_pixels_beyond_reason_are_refused(corners, tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", corners)
    encode(tmp_path / "b.mp4", corners, "libx264", prepare=lambda stream: setattr(
        stream.codec_context, "sample_aspect_ratio", Fraction(9)))
    assert len(load_videos([tmp_path / "a.mp4", tmp_path / "b.mp4"])) == 2
    monkeypatch.setattr(video_files, "MAX_PIXELS", 30_000)      # 9 times as many as in a frame
    with pytest.raises(ValueError, match=r"1 of 2 videos.*\n.*b.mp4: "):
        load_videos([tmp_path / "a.mp4", tmp_path / "b.mp4"])
    monkeypatch.setattr(video_files, "MAX_PIXELS", 3_000)
    with pytest.raises(ValueError, match=r"2 of 2 videos"):
        load_videos([tmp_path / "a.mp4", tmp_path / "b.mp4"])


# ---- names, rates and folders

NAMES = ["a%03d.gif", "100%d.gif", "part [1] {a}.mp4", "-", "Ünï çødé.webm"]
if os.name != "nt":     # Windows allows neither of these signs
    NAMES += ["talk: part 1.mp4", "http:clip.mp4", "file:x.gif", "concat:a.mp4|b.mp4", "pipe:0",
              "what?*.webm", "a\nb.mp4"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_a_name(scene, tmp_path, monkeypatch, name):
    """Relative to the current folder, where FFmpeg takes some for addresses or patterns."""
    monkeypatch.chdir(tmp_path)
    if name.endswith(tuple(CODECS)):
        write_video(name, scene)
    else:
        write_video("a.mp4", scene)
        os.rename("a.mp4", name)
    assert np.abs(load_videos([name])[0].astype(int) - scene).mean() < 5
    assert os.listdir() == [name]


def test_a_playlist_may_not_open_other_files(scene, tmp_path):
    encode(tmp_path / "a.ts", scene, "libx264")
    for name, text in (("a.m3u8", f"#EXTM3U\n#EXTINF:1,\n{tmp_path / 'a.ts'}\n#EXT-X-ENDLIST\n"),
                       ("b.txt", "ffconcat version 1.0\nfile a.ts\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=name):
            load_videos([tmp_path / name])


@pytest.mark.parametrize("rate", [1, 0.5, 12.5, 23.976, 29.97, Fraction(30000, 1001), 50, 60,
                                  np.float64(29.97), np.int64(24), np.float32(29.97),
                                  Decimal("29.97")])
@pytest.mark.parametrize("extension", [".mp4", ".webm"])
def test_any_rate_is_kept(scene, tmp_path, rate, extension):
    path = tmp_path / f"a{extension}"
    write_video(path, scene, rate)
    with av.open(path) as container:
        times = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, np.arange(N_FRAMES) / float(rate), atol=0.0011)


@pytest.mark.parametrize("rate", [0.002, 0.003, 1, 12.5, 29.97, 50, 99.9, 100])
def test_a_gif_keeps_the_rate_to_a_hundredth_of_a_second(scene, tmp_path, rate):
    write_video(tmp_path / "a.gif", scene, rate)
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.n_frames == N_FRAMES
        picture.seek(0)
        assert picture.info["duration"] == pytest.approx(1000 / rate, abs=10)


@pytest.mark.parametrize("rate", [0, 1e-4, -8, float("nan"), float("inf"), None, "8"])
@pytest.mark.parametrize("extension", CODECS)
def test_a_rate_that_means_nothing_is_refused(scene, tmp_path, rate, extension):
    with pytest.raises(ValueError, match=r"Expected from 0.00[12] to \d+ frames a second in a \."):
        write_video(tmp_path / f"a{extension}", scene, rate)
    with pytest.raises(ValueError, match="to 100 frames a second in a .gif file; got 240"):
        write_video(tmp_path / "a.gif", scene, 240)
    with pytest.raises(ValueError, match="from 0.002 to .*; got 0.0019"):
        write_video(tmp_path / "a.gif", scene, 0.0019)      # frames of 526 s
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extension", CODECS)
def test_a_closed_folder_is_named_and_the_cache_is_not(scene, tmp_path, extension):
    (tmp_path / "folder").write_text("a file stands here")
    with pytest.raises(WriteError, match="a file stands where a folder should be") as caught:
        write_video(tmp_path / "folder" / f"a{extension}", scene)
    message = str(caught.value)
    assert str(tmp_path / "folder") in message and "cache" not in message.lower()


# ---- lists of paths, and trouble of any type

def test_one_path_is_not_a_list_and_a_generator_is(scene, tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, scene)
    for wrong in (path, str(path), os.fsencode(path)):
        with pytest.raises(TypeError, match="list of paths of videos; got one path"):
            load_videos(wrong)
    assert len(load_videos(p for p in (path, str(path)))) == 2
    with pytest.raises(ValueError, match=r"2 of 3 videos.*\nNone: .*\n7: "):
        load_videos([None, path, 7])


@pytest.mark.parametrize("trouble", [TypeError("t"), MemoryError(), RuntimeError("r"),
                                     av.FFmpegError(1, "f"), AssertionError(), KeyError("k")])
def test_whatever_the_decoder_raises_all_files_are_named(scene, tmp_path, monkeypatch, trouble):
    write_video(tmp_path / "a.mp4", scene)

    def upright(*_):
        raise trouble

    monkeypatch.setattr(video_files, "_upright", upright)
    with pytest.raises(ValueError, match=r"2 of 2 videos.*\n.*a.mp4: .+\n.*a.mp4: ."):
        load_videos([tmp_path / "a.mp4"] * 2)
