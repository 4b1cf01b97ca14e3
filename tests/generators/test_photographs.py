from __future__ import annotations

import contextlib
import json
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from regional_primitives import InputError, MissingExtraError, StorageError
from regional_primitives.generators import photographs
from regional_primitives.generators.photographs import (
    PHOTOGRAPHS,
    draw_crop,
    read_photograph,
)
from regional_primitives.runtime.streams import stream

ORIENTATION = 0x0112
# How each EXIF orientation is stored → what undoes it, as the standard has it.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: np.rot90(a, 1),
}


def _noise(height, width, bands=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, bands), dtype=np.uint8)


def _bytes(picture):
    """Give a picture [1, 3, height, width] in [0, 1] as an array [height, width, 3] of bytes."""
    assert picture.dtype == torch.float32
    return (picture[0] * 255).round().byte().permute(1, 2, 0).numpy()


def _png(path, width, height, depth, colour, rows):
    """Write a PNG by hand: Pillow can neither write 16-bit colour nor lie about the size."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


# Reading


@pytest.mark.parametrize(
    ("height", "width", "top", "left"),
    [(32, 32, 0, 0), (32, 50, 0, 9), (45, 32, 6, 0), (33, 32, 0, 0)],
)
def test_pixels_of_the_middle_square(tmp_path, height, width, top, left):
    pixels = _noise(height, width)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    picture = read_photograph(str(tmp_path / "noise.png"), 32)
    assert picture.shape == (1, 3, 32, 32)
    assert np.array_equal(_bytes(picture), pixels[top : top + 32, left : left + 32])


def test_black_is_0_and_white_is_1(tmp_path):
    for value in (0, 255):
        Image.new("RGB", (40, 40), (value,) * 3).save(tmp_path / "plain.png")
        assert (read_photograph(tmp_path / "plain.png", 32) == value / 255).all()


def test_shrinking_does_not_alias(tmp_path):
    """A checkerboard of single pixels is grey from afar, wherever it is sampled."""
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "board.png")
    assert (read_photograph(tmp_path / "board.png", 64)[..., 2:-2, 2:-2] - 0.5).abs().max() < 0.01


def test_small_pictures_are_enlarged(tmp_path):
    ramp = np.linspace(0, 255, 8).round().astype(np.uint8)
    Image.fromarray(np.tile(ramp, (8, 1))).save(tmp_path / "ramp.png")
    for size in (32, 40, 512):
        picture = read_photograph(tmp_path / "ramp.png", size)
        assert picture.shape == (1, 3, size, size)
        rows = picture[0, 0]
        assert (rows == rows[0]).all()
        assert (rows[0].diff() > -0.02).all()
        assert rows[0].unique().numel() > 0.4 * min(size, 256)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_exif_rotation_is_applied(tmp_path, orientation, suffix):
    # Blocks of 16 pixels, so that JPEG keeps the colours apart.
    stored = _noise(2, 3, seed=1).repeat(16, 0).repeat(16, 1)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path, plain = tmp_path / f"turned.{suffix}", tmp_path / f"plain.{suffix}"
    Image.fromarray(stored).save(path, exif=exif, quality=95)
    Image.fromarray(stored).save(plain, quality=95)
    upright = UPRIGHT[orientation](np.asarray(Image.open(plain)))
    assert upright.shape[:2] == ((32, 48) if orientation < 5 else (48, 32))
    middle = upright[:, 8:40] if orientation < 5 else upright[8:40]
    assert np.array_equal(_bytes(read_photograph(path, 32)), middle)


# Modes: what is written, with what pixel, under what suffix → the RGB that is read

COLOURS = [
    ("1", 1, "png", (255, 255, 255)),
    ("L", 77, "png", (77, 77, 77)),
    ("LA", (77, 255), "png", (77, 77, 77)),
    ("LA", (100, 51), "png", (224, 224, 224)),
    ("RGB", (10, 20, 30), "png", (10, 20, 30)),
    ("RGBA", (10, 20, 30, 255), "png", (10, 20, 30)),
    ("RGBA", (10, 20, 30, 0), "png", (255, 255, 255)),
    ("RGBA", (255, 0, 0, 51), "png", (255, 204, 204)),
    ("CMYK", (255, 0, 0, 0), "tif", (0, 255, 255)),
    ("YCbCr", (128, 128, 128), "tif", (128, 128, 128)),
    ("I;16", 257 * 77, "png", (77, 77, 77)),
    ("I;16", 65535, "tif", (255, 255, 255)),
    ("I", 257 * 200, "tif", (200, 200, 200)),
]


@pytest.mark.parametrize(("mode", "colour", "suffix", "expected"), COLOURS)
def test_every_mode_becomes_rgb(tmp_path, mode, colour, suffix, expected):
    path = tmp_path / f"plain.{suffix}"
    Image.new(mode, (32, 32), colour).save(path)
    seen = _bytes(read_photograph(path, 32)).astype(int)
    assert (abs(seen - expected) <= 1).all(), seen[0, 0]


@pytest.mark.parametrize(
    ("mode", "premultiplied", "expected"),
    [("LA", (20, 51), (224, 224, 224)), ("RGBA", (51, 0, 0, 51), (255, 204, 204))],
)
def test_premultiplied_transparency(tmp_path, mode, premultiplied, expected):
    path = tmp_path / "layer.tif"
    Image.new(mode, (32, 32), premultiplied).save(path)
    # Pillow does not write these: the tag ExtraSamples says 2, alpha as it is; 1 is premultiplied.
    straight = struct.pack("<HHIH", 338, 3, 1, 2)
    content = path.read_bytes()
    assert content.count(straight) == 1
    path.write_bytes(content.replace(straight, struct.pack("<HHIH", 338, 3, 1, 1)))
    assert (_bytes(read_photograph(path, 32)) == expected).all()


def test_16_bits_keep_their_order_and_orientation(tmp_path):
    values = (np.arange(32 * 40).reshape(32, 40) * 51).astype(np.uint16)
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    Image.fromarray(values).save(tmp_path / "deep.png", exif=exif)
    expected = (values[::-1, ::-1][:, 4:36] / 257).round()
    seen = _bytes(read_photograph(tmp_path / "deep.png", 32))
    assert np.array_equal(seen, expected[..., None].repeat(3, 2))


def test_16_bit_colour(tmp_path):
    row = b"\0" + struct.pack(">HHH", 0xFFFF, 0x8000, 0) * 32
    path = _png(tmp_path / "deep.png", 32, 32, 16, 2, row * 32)
    assert (_bytes(read_photograph(path, 32)) == (255, 128, 0)).all()


def test_palette_with_a_transparent_entry(tmp_path):
    picture = Image.new("P", (32, 32), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.paste(1, (16, 0, 32, 32))
    for name in ("see-through.png", "see-through.gif"):
        picture.save(tmp_path / name, transparency=1)
        seen = _bytes(read_photograph(tmp_path / name, 32))
        assert (seen[:, :16] == (255, 0, 0)).all()
        assert (seen[:, 16:] == 255).all()


def test_rgb_with_a_transparent_colour(tmp_path):
    picture = Image.new("RGB", (32, 32), (9, 9, 9))
    picture.paste((50, 60, 70), (0, 0, 32, 16))
    picture.save(tmp_path / "keyed.png", transparency=(9, 9, 9))
    seen = _bytes(read_photograph(tmp_path / "keyed.png", 32))
    assert (seen[:16] == (50, 60, 70)).all()
    assert (seen[16:] == 255).all()


def test_cmyk_jpeg(tmp_path):
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=95)
    seen = _bytes(read_photograph(tmp_path / "print.jpg", 32)).astype(int)
    assert (abs(seen - (255, 0, 0)) <= 3).all()


# Files that are refused


@pytest.mark.parametrize("size", [0, -64, 4097, True, 64.0, "64", None])
def test_bad_input_size(tmp_path, size):
    Image.fromarray(_noise(64, 64)).save(tmp_path / "noise.png")
    message = "size must be a whole number "
    with pytest.raises(InputError, match=message):
        read_photograph(tmp_path / "noise.png", size)
    with pytest.raises(InputError, match=message):
        draw_crop(stream(0), size)


def test_bad_input_no_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.png is not there; give one picture file"):
        read_photograph(tmp_path / "nothing.png", 64)
    with pytest.raises(InputError, match="is a folder; give one picture file"):
        read_photograph(tmp_path, 64)
    with pytest.raises(InputError, match=r"is not there|cannot read"):
        read_photograph(tmp_path / ("long" * 200), 64)


@pytest.mark.parametrize("content", [b"", b"no picture", b"<svg xmlns='x'/>", b"\x89PNG\r\n\x1a\n"])
def test_bad_input_no_picture(tmp_path, content):
    path = tmp_path / "text.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"text\.png is not a picture .* save it as PNG"):
        read_photograph(path, 64)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "bmp", "webp"])
def test_bad_input_truncated(tmp_path, suffix):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(_noise(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        InputError, match=rf"cut\.{suffix} (cannot be read, truncated|is not a pic)"
    ):
        read_photograph(path, 64)


@pytest.mark.parametrize("seed", range(40))
def test_bad_input_damaged(tmp_path, seed):
    """Whatever the damage, the file is read or refused: no decoder's own error gets through."""
    path = tmp_path / f"damaged.{('png', 'jpg', 'gif', 'tif')[seed % 4]}"
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(_noise(32, 32)).save(path, exif=exif)
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for place in rng.integers(8, min(len(content), 400), 8):
        content[place] = rng.integers(256)
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        assert read_photograph(path, 32).shape == (1, 3, 32, 32)


def test_bad_input_program(tmp_path):
    """Pillow would hand such a file to Ghostscript."""
    Image.fromarray(_noise(64, 64)).save(tmp_path / "drawing.png", format="EPS")
    with pytest.raises(InputError, match="is a program that draws"):
        read_photograph(tmp_path / "drawing.png", 64)


@pytest.mark.parametrize(("width", "height"), [(7, 100), (100, 7), (1, 1)])
def test_bad_input_few_pixels(tmp_path, width, height):
    Image.fromarray(_noise(height, width)).save(tmp_path / "dot.png")
    with pytest.raises(InputError, match=rf"{width} × {height} pixels; at least 8 a side"):
        read_photograph(tmp_path / "dot.png", 64)


@pytest.mark.parametrize("side", [10_001, 60_000])
def test_bad_input_bomb(tmp_path, side):
    """Refuse a small file that claims many pixels before any is decoded, and say it once."""
    path = _png(tmp_path / "bomb.png", side, side, 8, 2, b"\0" * 1000)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(InputError, match="too many pixels"):
            read_photograph(path, 64)
    assert not said


def test_bad_input_numbers_of_unknown_white(tmp_path):
    Image.new("F", (32, 32), 0.5).save(tmp_path / "real.tif")
    with pytest.raises(InputError, match="real numbers, whose black and white are unknown"):
        read_photograph(tmp_path / "real.tif", 32)
    for value in (70_000, -1):
        Image.new("I", (32, 32), value).save(tmp_path / "whole.tif")
        with pytest.raises(InputError, match=f"whole numbers from {value} to {value}"):
            read_photograph(tmp_path / "whole.tif", 32)


# Crops


def test_crops_are_pictures_that_differ():
    crops = torch.cat([draw_crop(stream(seed), 32) for seed in range(24)])
    assert crops.shape == (24, 3, 32, 32)
    assert crops.min() >= 0
    assert crops.max() <= 1
    rows = crops.flatten(1)
    assert torch.cdist(rows, rows).fill_diagonal_(1).min() > 0.5


def test_crops_take_from_their_stream_alone_and_always_as_much():
    before = torch.get_rng_state()
    for seed in range(8):
        rng, other = stream(seed), stream(seed)
        draw_crop(rng, 32)
        torch.rand(5, generator=other, dtype=torch.float64)
        assert torch.equal(rng.get_state(), other.get_state())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("width", "height", "size"), [(400, 250, 32), (250, 400, 128), (60, 50, 64)]
)
def test_crops_lie_within_the_photograph(monkeypatch, width, height, size):
    """Read place and scale off a picture whose red grows to the right, its green downwards."""
    ramp = np.zeros((height, width, 3), dtype=np.uint8)
    ramp[..., 0] = np.arange(width) * 255 / (width - 1)
    ramp[..., 1] = np.arange(height)[:, None] * 255 / (height - 1)
    monkeypatch.setattr(photographs, "_shipped", lambda name: Image.fromarray(ramp))
    shorter, mirrored, sides, lefts, tops = min(width, height), 0, [], [], []
    for seed in range(200):
        red, green = draw_crop(stream(seed), size)[0, :2]
        across, down = red.mean(0) * (width - 1), green.mean(1) * (height - 1)
        mirrored += bool(across[0] > across[-1])
        # The outer pixels lie half a step inside the crop.
        step = float(down[-1] - down[0]) / (size - 1)
        assert step == pytest.approx(abs(float(across[-1] - across[0])) / (size - 1), rel=0.15)
        sides.append(step * size)
        lefts.append(float(across.min()))
        tops.append(float(down[0]))
    smallest = min(shorter, max(size, 0.4 * shorter))
    assert min(sides) == pytest.approx(smallest, rel=0.12)
    assert max(sides) == pytest.approx(shorter, rel=0.06)
    assert 70 < mirrored < 130
    for starts, length in ((lefts, width), (tops, height)):
        assert min(starts) < 0.1 * length
        # The furthest crop begins where a smallest one would still fit.
        assert max(starts) == pytest.approx(length - smallest, abs=0.15 * length)


def test_every_photograph_is_drawn(monkeypatch):
    names = []
    plain = Image.new("RGB", (64, 64))
    monkeypatch.setattr(photographs, "_shipped", lambda name: names.append(name) or plain)
    for seed in range(400):
        draw_crop(stream(seed), 32)
    assert sorted(set(names)) == sorted(PHOTOGRAPHS)
    assert min(names.count(name) for name in PHOTOGRAPHS) > 50


def test_without_pillow_or_scikit_image(tmp_path, monkeypatch):
    Image.fromarray(_noise(64, 64)).save(tmp_path / "noise.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r'pip install "regional_primitives\[photos\]"'):
        read_photograph(tmp_path / "noise.png", 64)
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(MissingExtraError, match=r"drawing photographs needs .*\[photos\]"):
        draw_crop(stream(0), 64)


def test_scikit_image_without_a_photograph(monkeypatch):
    monkeypatch.setattr(photographs, "PHOTOGRAPHS", ("gone.png",))
    with pytest.raises(StorageError, match=r"gone\.png is missing: .* pip install scikit-image"):
        draw_crop(stream(0), 64)


def test_importing_is_light_and_drawing_leaves_scikit_image_alone():
    code = (
        "import json, sys, torch\n"
        "from regional_primitives.generators import photographs\n"
        "from regional_primitives.generators.zoo import photos\n"
        "before = set(sys.modules)\n"
        "photographs.draw_crop(torch.Generator(), 32)\n"
        "print(json.dumps([sorted(before), sorted(sys.modules)]))\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    before, after = json.loads(process.stdout)
    assert not {"PIL", "skimage"} & set(before)
    assert "PIL" in after
    assert "skimage" not in after
