"""Picture files as users have them: one way in, and all that cannot be used is named."""

import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmfuse_utils.data import pictures
from mmfuse_utils.data.pictures import (
    file_digests,
    load_images,
    on_white,
    read_each,
    read_pictures,
)

EVERY_WAY = (load_images, read_pictures, file_digests)


@pytest.fixture
def drawing():
    """A picture of 40 by 60 pixels, red on the left, gray-blue on the right."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30], pixels[:, 30:] = (250, 20, 20), (90, 100, 160)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "P", "PA", "RGBA", "1", "CMYK", "YCbCr"])
def test_files_of_any_mode_become_red_green_blue(drawing, tmp_path, mode):
    extension = "jpg" if mode in ("CMYK", "YCbCr") else "tif" if mode == "PA" else "png"
    path = tmp_path / f"picture.{extension}"
    drawing.convert("L" if mode == "1" else "RGB").convert(mode).save(path)
    loaded = load_images([path], size=20)
    assert loaded.shape == (1, 20, 20, 3) and loaded.dtype == np.uint8
    left, right = loaded[0, 5:15, 2:7].mean((0, 1)), loaded[0, 5:15, 13:18].mean((0, 1))
    if mode in ("L", "LA", "1"):    # ITU-R BT.601; black and white dots stand for gray
        np.testing.assert_allclose(left, 3 * [88.8], atol=20 if mode == "1" else 2)
        np.testing.assert_allclose(right, 3 * [103.9], atol=20 if mode == "1" else 2)
    else:                           # a palette of 216 colors has steps of 51
        np.testing.assert_allclose(left, (250, 20, 20), atol=26 if "P" in mode else 4)
        np.testing.assert_allclose(right, (90, 100, 160), atol=26 if "P" in mode else 4)


@pytest.mark.parametrize("size", [0, -1, 1.5, 8.0, None, "8", (8, 8), 10 ** 9, float("nan")])
def test_a_size_that_makes_no_sense_blames_no_picture(tmp_path, size):
    for paths in ([], [tmp_path / "none.png"]):
        with pytest.raises(ValueError, match="^size must be a whole number of pixels, from 1"):
            load_images(paths, size)


def test_a_size_is_a_whole_number_of_any_type(drawing, tmp_path):
    drawing.save(tmp_path / "a.png")
    for size in (200, np.int64(200), np.uint8(200)):
        assert load_images([tmp_path / "a.png"], size).shape == (1, 200, 200, 3)


def test_transparent_parts_become_white(tmp_path):
    Image.new("RGBA", (30, 30), (200, 0, 0, 0)).save(tmp_path / "nothing.png")
    palette = Image.new("P", (30, 30), 0)
    palette.putpalette([200, 0, 0])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert (load_images([tmp_path / "nothing.png", tmp_path / "palette.png"]) == 255).all()


def test_sixteen_bits_keep_their_brightness(tmp_path):
    gray = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(gray).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(load_images([tmp_path / "deep.png"], size=8)[0, :, :, 0],
                                  gray // 257)


def test_a_rotation_mark_is_obeyed(drawing, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6                                # "turn me a quarter clockwise"
    deep = Image.fromarray(np.asarray(drawing)[:, :, 0].astype(np.uint16) * 257)
    for name, picture in (("turned.png", drawing), ("deep.png", deep)):
        picture.save(tmp_path / name, exif=exif)
        red = load_images([tmp_path / name], size=20)[0, :, :, 0] > 200
        assert red[:8].all() and not red[12:].any()


def test_all_files_that_cannot_be_used_are_named(drawing, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 5000)
    good, cut, text, empty, large, real, whole, missing = paths = [
        tmp_path / name for name in ("good.png", "cut.jpg", "text.png", "empty.png", "large.png",
                                     "real.tif", "whole.tif", "missing.png")]
    drawing.save(good)
    drawing.save(cut)
    cut.write_bytes(cut.read_bytes()[:400])
    text.write_text("not a picture")
    empty.write_bytes(b"")
    drawing.resize((90, 60)).save(large)
    Image.fromarray(np.ones((9, 9), np.float32)).save(real)
    Image.fromarray(np.full((9, 9), 100_000, np.int32)).save(whole)
    with pytest.raises(ValueError, match="7 of 8 pictures cannot be used") as caught:
        load_images(paths)
    message = str(caught.value)
    assert all(str(path) in message for path in (cut, text, empty, large, real, whole, missing))
    assert str(good) not in message and "90 by 60 pixels are more than 5,000" in message


@pytest.mark.filterwarnings("error")
def test_enormous_pictures_are_told_in_our_own_words(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)     # warns above, refuses above twice
    monkeypatch.setattr(pictures, "MAX_PIXELS", 700)
    for name, side in (("good", 20), ("large", 40), ("bomb", 50)):
        Image.new("1", (side, side)).save(tmp_path / f"{name}.png")
    told = pictures.find_unusable(sorted(tmp_path.iterdir()))
    assert {os.path.basename(path): reason for path, reason in told.items()} == {
        "bomb.png": "its pixels are more than 700",
        "large.png": "40 by 40 pixels are more than 700"}


@pytest.mark.parametrize("share", np.linspace(0, 0.95, 20))
@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_a_file_cut_anywhere_is_refused(tmp_path, extension, share):
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    path = tmp_path / f"cut.{extension}"
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:int(share * len(whole))])
    with pytest.raises(ValueError, match=r"1 of 1 pictures cannot be used"):
        load_images([path])


def tiff(values, bits, photometric=1):
    """A gray TIFF of one row: little-endian numbers of 16 bits, or 12 bits packed tightly."""
    if bits == 16:
        pixels = np.asarray(values, "<u2").tobytes()
    else:
        digits = "".join(f"{value:012b}" for value in values)
        pixels = int(digits, 2).to_bytes(len(digits) // 8, "big")
    tags = {256: len(values), 257: 1, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 1,
            279: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return (b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels
            + struct.pack("<H", len(tags)) + entries + bytes(4))


@pytest.mark.parametrize(("bits", "photometric"), [(12, 1), (16, 1), (16, 0)])
def test_deep_gray_keeps_its_brightness(tmp_path, bits, photometric):
    """The brightest number of so many bits is white, or black where the file says so."""
    values = np.linspace(0, 2 ** bits - 1, 8).astype(int)
    (tmp_path / "deep.tif").write_bytes(tiff(values, bits, photometric))
    gray = np.array(read_pictures([tmp_path / "deep.tif"])[0])[0]
    expected = np.linspace(0, 255, 8) if photometric else np.linspace(255, 0, 8)
    assert (np.abs(gray[:, 0] - expected) <= 1).all() and (gray[:, 3] == 255).all()


@pytest.mark.parametrize("brightest", [255, 1000, 4095, 65535])
def test_gray_of_netpbm_is_scaled_by_what_the_file_calls_its_brightest(tmp_path, brightest):
    values = np.array([0, brightest // 2, brightest])
    numbers = values.astype(">u2" if brightest > 255 else np.uint8).tobytes()
    (tmp_path / "a.pgm").write_bytes(b"P5 3 1 %d\n" % brightest + numbers)
    gray = np.array(read_pictures([tmp_path / "a.pgm"])[0])[0, :, 0]
    np.testing.assert_allclose(gray, [0, 127, 255], atol=1)


def test_deep_gray_can_be_transparent(tmp_path):
    """One of the 65,536 grays stands for nothing: it becomes white, its neighbors stay."""
    gray = np.array([[0, 500, 501, 65535]], np.uint16)
    Image.fromarray(gray).save(tmp_path / "a.png", transparency=500)
    picture = read_pictures([tmp_path / "a.png"])[0]
    assert np.array(picture)[0, :, 3].tolist() == [255, 0, 255, 255]
    assert on_white(picture)[0].tolist() == [[0] * 3, [255] * 3, [1] * 3, [255] * 3]


UPRIGHT = {1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1],
           4: lambda p: p[::-1], 5: lambda p: p.swapaxes(0, 1),
           6: lambda p: p.swapaxes(0, 1)[:, ::-1], 7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
           8: lambda p: p.swapaxes(0, 1)[::-1]}     # the eight marks of the EXIF standard


@pytest.mark.parametrize("mark", UPRIGHT)
@pytest.mark.parametrize(("kind", "how"), [
    ("png", {}), ("webp", {"lossless": True}), ("tif", {}), ("tif", {"compression": "tiff_lzw"})])
def test_every_rotation_mark_is_obeyed(tmp_path, mark, kind, how):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    exif = Image.Exif()
    exif[0x0112] = mark
    Image.fromarray(pixels).save(tmp_path / f"a.{kind}", exif=exif, **how)
    picture = read_pictures([tmp_path / f"a.{kind}"])[0]
    np.testing.assert_array_equal(np.array(picture), UPRIGHT[mark](pixels))


@pytest.mark.parametrize("read", EVERY_WAY)
def test_one_path_is_not_a_list_and_a_generator_is(drawing, tmp_path, read):
    path = tmp_path / "a.png"
    drawing.save(path)
    for wrong in (path, str(path), os.fsencode(path)):
        with pytest.raises(TypeError, match=r"list of paths of pictures; got one path.*brackets"):
            read(wrong)
    assert len(read(p for p in (path, str(path)))) == 2
    assert len(read(np.array([str(path)]))) == 1 and len(read(())) == 0


@pytest.mark.parametrize("read", EVERY_WAY)
def test_what_is_no_path_is_named(drawing, tmp_path, read):
    drawing.save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="3 of 4 pictures") as caught:
        read([None, tmp_path / "a.png", 7, tmp_path])
    assert "None: " in str(caught.value) and "\n7: " in str(caught.value)
    assert f"{tmp_path}: Is a directory" in str(caught.value) or os.name == "nt"
    assert "elete" not in str(caught.value)     # never the advice to delete the reader's files


TROUBLE = [RuntimeError("r"), NotImplementedError(), struct.error("s"), MemoryError(),
           RecursionError(), zlib.error("z"), KeyError("k"), AttributeError("a"), EOFError(),
           OverflowError("o"), ZeroDivisionError(), UnicodeDecodeError("utf8", b"", 0, 1, "u"),
           SyntaxError("y"), OSError("none"), AssertionError(), Image.DecompressionBombError("b")]


@settings(deadline=None)
@given(st.lists(st.none() | st.sampled_from(TROUBLE), max_size=6))
def test_whatever_a_decoder_raises_all_files_are_named(troubles):
    def read(path):
        error = troubles[int(path)]
        if error is not None:
            raise error
        return path

    files, bad = [str(i) for i in range(len(troubles))], [e for e in troubles if e is not None]
    done = []
    if not bad:
        assert list(read_each(read, files, "files")) == files
        return
    with pytest.raises(ValueError, match=f"{len(bad)} of {len(troubles)} files") as caught:
        done.extend(read_each(read, files, "files"))
    lines = dict(line.split(": ", 1) for line in str(caught.value).splitlines()[1:])
    assert lines.keys() | set(done) == set(files) and not lines.keys() & set(done)
    assert all(lines.values())      # never without a reason


def test_the_reader_can_interrupt():
    def read(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(read_each(read, ["a"], "files"))


def test_a_decoder_that_raises_anything_is_named(drawing, tmp_path, monkeypatch):
    drawing.save(tmp_path / "a.png")

    def load(*_):
        raise NotImplementedError("a rare kind")

    monkeypatch.setattr(Image.Image, "convert", load)
    with pytest.raises(ValueError, match="a.png: a rare kind"):
        load_images([tmp_path / "a.png"])


def test_a_digest_is_of_what_a_file_holds(tmp_path):
    for name, content in (("a", b"one"), ("b", b"two"), ("c", b"one")):
        (tmp_path / name).write_bytes(content)
    one, two, three = file_digests([tmp_path / name for name in "abc"])
    assert one == three != two and len(one) == 64
