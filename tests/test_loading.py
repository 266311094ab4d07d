import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import ExifTags, Image

from ifl_hub.image_processing import ImageLoadError, load_image
from ifl_hub.image_processing.loading import MAX_MEGAPIXELS


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rgb(height=5, width=7, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_one_line(error, name):
    message = str(error.value)
    assert "\n" not in message
    assert name in message
    assert ";" in message  # what is wrong; what to do


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
@settings(max_examples=30, deadline=None)
def test_rgb_pixels_come_through_untouched(pixels):
    for source in (
        pixels,
        Image.fromarray(pixels),
        encode(Image.fromarray(pixels)),
        encode(Image.fromarray(pixels), "TIFF"),
    ):
        loaded = load_image(source)
        np.testing.assert_array_equal(loaded.pixels, pixels)
        assert loaded.pixels.dtype == np.uint8
        assert loaded.notes == ()
        assert loaded.size == pixels.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_every_exif_orientation_comes_upright(orientation, kind):
    # What a viewer shows, and what the camera stored for each tag (TIFF 6.0, tag 274).
    upright = np.zeros((16, 32, 3), dtype=np.uint8)
    upright[:8, :16] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    loaded = load_image(encode(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options))
    assert np.abs(loaded.pixels.astype(int) - upright).max() <= 8
    assert loaded.notes == (() if orientation == 1 else ("EXIF orientation applied",))


def test_grey_bilevel_and_palette():
    grey = rgb()[..., 0]
    np.testing.assert_array_equal(load_image(encode(Image.fromarray(grey))).pixels, np.repeat(grey[..., None], 3, 2))
    bits = Image.fromarray(grey > 127)
    assert bits.mode == "1"
    np.testing.assert_array_equal(load_image(encode(bits)).pixels[..., 1], np.where(grey > 127, 255, 0))
    palette = Image.fromarray(rgb()).quantize(8)
    assert palette.mode == "P"
    np.testing.assert_array_equal(load_image(encode(palette)).pixels, np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_goes_on_white_and_opaque_pixels_stay(mode):
    rgba = np.dstack([rgb()[..., :1].repeat(3, axis=2), np.full((5, 7), 255, np.uint8)])
    opaque = load_image(encode(Image.fromarray(rgba).convert(mode)))
    np.testing.assert_array_equal(opaque.pixels, rgba[..., :3])
    assert opaque.notes == ()
    rgba[2, 3, 3] = 0
    loaded = load_image(encode(Image.fromarray(rgba).convert(mode)))
    assert loaded.notes == ("transparency composited on white",)
    assert (loaded.pixels[2, 3] == 255).all()
    rgba[2, 3, :3] = 255
    np.testing.assert_array_equal(loaded.pixels, rgba[..., :3])


def test_palette_with_a_transparent_colour():
    palette = Image.new("P", (4, 2), 0)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((0, 0), 1)
    loaded = load_image(encode(palette, transparency=1))
    assert loaded.pixels[0, 0].tolist() == [255, 255, 255]
    assert loaded.pixels[1, 1].tolist() == [10, 20, 30]
    assert loaded.notes == ("transparency composited on white",)


def test_cmyk():
    cmyk = Image.fromarray(rgb()).convert("CMYK")
    loaded = load_image(encode(cmyk, "TIFF"))
    np.testing.assert_array_equal(loaded.pixels, np.asarray(cmyk.convert("RGB")))
    assert loaded.notes == ("CMYK converted to RGB without its colour profile",)
    assert load_image(encode(cmyk, "JPEG")).pixels.shape == (5, 7, 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_rescaled_not_clipped(kind):
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(4, 64)
    loaded = load_image(encode(Image.fromarray(ramp), kind))
    np.testing.assert_array_equal(loaded.pixels[..., 0].ravel(), np.arange(256))
    assert loaded.notes == ("16-bit rescaled to 8 bits",)
    np.testing.assert_array_equal(load_image(ramp).pixels, loaded.pixels)


def test_sixteen_bit_colour_png():
    wide = rgb().astype(np.uint16) * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
    data = png_of(7, 5, depth=16, colour=2, body=zlib.compress(rows))
    np.testing.assert_array_equal(load_image(data).pixels, rgb())


def png_of(width, height, depth, colour, body):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_float_tiff():
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(4, 64)
    for values, note in [(ramp, "float rescaled to 8 bits"), (ramp * 9 - 4, "values -4 to 5 rescaled to 8 bits")]:
        loaded = load_image(encode(Image.fromarray(values), "TIFF"))
        np.testing.assert_array_equal(loaded.pixels[..., 2].ravel(), np.arange(256))
        assert loaded.notes == (note,)
    np.testing.assert_array_equal(
        load_image(encode(Image.fromarray(ramp * 255), "TIFF")).pixels[..., 2].ravel(), np.arange(256)
    )
    ramp[1, 1] = np.nan
    with pytest.raises(ImageLoadError, match="NaN") as error:
        load_image(encode(Image.fromarray(ramp), "TIFF"))
    assert_one_line(error, "bytes")


def test_of_an_animation_the_first_frame_and_it_is_said():
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "green", "blue")]
    for kind, note in [
        ("GIF", "animated (3 frames): first frame only"),
        ("PNG", "animated (3 frames): first frame only"),
        ("TIFF", "3 pictures in one file: first picture only"),
    ]:
        loaded = load_image(encode(frames[0], kind, save_all=True, append_images=frames[1:]))
        assert loaded.notes == (note,)
        assert loaded.pixels[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_truncated_files_are_refused_by_name(tmp_path, kind, kept):
    data = encode(Image.fromarray(rgb(64, 64)), kind)
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageLoadError) as error:
        load_image(path)
    assert_one_line(error, str(path))


@given(st.sampled_from(["JPEG", "PNG", "TIFF", "WEBP", "GIF"]), st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_files_load_or_are_refused_but_never_crash(kind, data):
    damaged = bytearray(encode(Image.fromarray(rgb(16, 16)), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert load_image(bytes(damaged)).pixels.ndim == 3
    except ImageLoadError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.jpg", b"", "empty (0 bytes)"),
        ("text.jpg", b"hello, I am text", "not a picture"),
        ("page.png", b"<html><body>404</body></html>", "not a picture"),
        ("drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    ],
)
def test_files_that_are_no_pictures(tmp_path, name, content, problem):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImageLoadError) as error:
        load_image(str(path))
    assert_one_line(error, str(path))
    assert problem in str(error.value)


def test_missing_files_and_folders(tmp_path):
    for path, problem in [(tmp_path / "none.jpg", "no such file"), (tmp_path, "is a folder")]:
        with pytest.raises(ImageLoadError, match=problem) as error:
            load_image(path)
        assert_one_line(error, str(path))


def test_decompression_bombs_are_refused_before_they_unpack(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(50_000, 50_000, depth=8, colour=2, body=zlib.compress(b"\0" * 1000)))
    with pytest.raises(ImageLoadError, match=f"2500 megapixels, the limit is {MAX_MEGAPIXELS}") as error:
        load_image(path)
    assert_one_line(error, str(path))


@pytest.mark.slow
def test_a_large_photo_is_no_bomb():
    limit = Image.MAX_IMAGE_PIXELS
    pixels = load_image(encode(Image.new("L", (16_320, 12_240)), "PNG", compress_level=1)).pixels
    assert pixels.shape == (12_240, 16_320, 3)
    assert limit == Image.MAX_IMAGE_PIXELS  # Pillow's own guard is back


SHAPES = st.tuples(st.integers(1, 5), st.integers(5, 9), st.sampled_from([1, 3]))


@given(
    st.one_of(
        hnp.arrays(np.bool_, SHAPES),
        hnp.arrays(np.uint8, SHAPES),
        hnp.arrays(np.uint16, SHAPES),
        hnp.arrays(np.int32, SHAPES),
        hnp.arrays(np.float32, SHAPES, elements=st.floats(0, 1, width=32)),
        hnp.arrays(np.float64, SHAPES, elements=st.floats(-1e9, 1e9)),
    )
)
@settings(max_examples=150, deadline=None)
def test_arrays_of_any_type_give_rgb_in_the_same_order_of_brightness(values):
    pixels = load_image(values).pixels
    assert (pixels.shape, pixels.dtype) == ((*values.shape[:2], 3), np.uint8)
    before, after = values[..., 0].ravel(), pixels[..., 0].ravel().astype(int)
    assert (np.diff(after[np.argsort(before, kind="stable")]) >= 0).all()


def test_array_layouts():
    pixels = rgb(6, 9)
    np.testing.assert_array_equal(load_image(np.moveaxis(pixels, 2, 0)).pixels, pixels)
    np.testing.assert_array_equal(load_image(pixels[..., 0]).pixels, pixels[..., :1].repeat(3, axis=2))
    np.testing.assert_array_equal(load_image(pixels / np.float32(255)).pixels, pixels)
    np.testing.assert_array_equal(load_image(pixels.astype(np.int64)).pixels, pixels)


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 3, 4, 5)), np.zeros((5, 5, 7)), np.zeros((0, 3, 3)), np.full((3, 3), "a")]
)
def test_arrays_that_are_no_pictures(bad):
    with pytest.raises(ImageLoadError, match="is not a picture; give"):
        load_image(bad)


def test_other_objects_are_refused():
    with pytest.raises(ImageLoadError, match="cannot read a picture from dict"):
        load_image({})
