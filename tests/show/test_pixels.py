import io

import pytest
import torch
from PIL import Image

import regional_primitives as rp
from regional_primitives.runtime.eight_bit import bytes_of
from regional_primitives.show.pixels import (
    ColourScale,
    channel_note,
    data_uri,
    magnitude,
    png,
    write_picture,
)

RANGE = (0.0, 1.0)


def read(content):
    return torch.tensor(list(Image.open(io.BytesIO(content)).convert("RGB").tobytes()))


def test_the_image_range_becomes_0_to_255_and_the_rest_is_clipped():
    image = torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0]).expand(3, 1, 5)
    assert bytes_of(image, (-1.0, 1.0))[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert bytes_of(image, (0.0, 1.0))[0, :, 2].tolist() == [0, 0, 0, 255, 255]


def test_pixels_that_are_no_number_are_black():
    assert bytes_of(torch.full((3, 1, 1), float("nan")), (0.0, 1.0)).tolist() == [[[0, 0, 0]]]


@pytest.mark.parametrize("channels", [1, 3])
def test_png_brings_back_every_pixel(channels):
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (5, 7, channels), generator=rng).to(torch.uint8)
    back = read(png(pixels)).view(5, 7, 3)
    assert torch.equal(back, pixels.expand(5, 7, 3).long())


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channel_counts_are_averaged_and_that_is_said(channels):
    image = torch.rand(channels, 4, 4)
    assert torch.equal(bytes_of(image, RANGE), bytes_of(image.mean(0, keepdim=True), RANGE))
    assert f"{channels} channels" in channel_note(channels)
    assert channel_note(1) == channel_note(3) == ""


def test_equal_pictures_give_equal_bytes():
    pixels = bytes_of(torch.rand(3, 8, 8), (0.0, 1.0))
    assert png(pixels) == png(pixels.clone())
    assert data_uri(b"abc") == "data:image/png;base64,YWJj"


def test_magnitude_is_the_root_mean_square_over_channels_in_image_ranges():
    change = torch.tensor([3.0, 4.0, 0.0]).view(3, 1, 1)
    assert float(magnitude(change, (-1.0, 1.0))) == pytest.approx((25 / 3) ** 0.5 / 2)
    assert magnitude(change.expand(6, 3, 2, 2), (0.0, 1.0)).shape == (6, 2, 2)


def test_a_scale_ends_at_a_round_number_and_says_what_it_clips():
    values = torch.full((100, 100), 0.41)
    assert ColourScale.over([values]) == ColourScale(0.5, 0.0)
    values[0, :5] = 0.9
    scale = ColourScale.over([values])
    assert scale.limit == pytest.approx(0.5)
    assert scale.clipped == pytest.approx(5e-4)


def test_a_scale_of_no_change_at_all_still_has_a_limit():
    scale = ColourScale.over([torch.zeros(3, 3)])
    assert scale.limit == 1.0
    assert int(scale.place(torch.zeros(3, 3)).max()) == 0


def test_colours_stand_where_the_ticks_say():
    scale = ColourScale(0.4)
    for value, place in scale.ticks():
        assert int(scale.place(torch.tensor(value))) == pytest.approx(255 * place, abs=0.5)
    bar = read(scale.bar()).view(256, 3)
    half = read(scale.png(torch.full((1, 1), 0.1)))  # √(0.1 / 0.4) = ½
    assert torch.equal(half, bar[128])
    assert torch.equal(read(scale.png(torch.full((1, 1), 9.0))), bar[255])


def test_a_written_picture_can_be_read_again(tmp_path):
    image = torch.rand(3, 4, 4)
    write_picture(tmp_path / "new" / "x.png", image, (0.0, 1.0))
    back = read((tmp_path / "new" / "x.png").read_bytes()).view(4, 4, 3)
    assert torch.equal(back, bytes_of(image, (0.0, 1.0)).long())


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(rp.StorageError, match="cannot write"):
        write_picture(tmp_path / "file" / "x.png", torch.rand(3, 4, 4), (0.0, 1.0))
