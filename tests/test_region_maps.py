"""Label maps as files, and superpixels of pictures."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from regional_primitives import InputError, Regions, StorageError

LABELS = np.array([[0, 0, 3, 3], [7, 7, 3, 255]], dtype=np.uint8)
NAMES = {"0": "sky", "3": "tree", "7": "road", "255": None}


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "names.json"
    path.write_text(json.dumps(NAMES))
    return path


@pytest.mark.parametrize("mode", ["palette", "grey", "16 bits", "numpy"])
def test_a_map_is_read_from_a_file_of_any_kind(tmp_path, names, mode):
    path = tmp_path / ("map.npy" if mode == "numpy" else "map.png")
    if mode == "numpy":
        np.save(path, LABELS.astype(np.int32))
    elif mode == "16 bits":
        Image.fromarray(LABELS.astype(np.uint16)).save(path)
    else:
        picture = Image.fromarray(LABELS)
        if mode == "palette":
            picture.putpalette([7] * 768)
        picture.save(path)
    regions = Regions.read(path, names)
    assert regions.names == ("sky", "tree", "road")
    assert torch.equal(regions.labels, torch.tensor([[0, 0, 1, 1], [2, 2, 1, -1]]))
    assert Regions.read(path).count == 4  # without names, 255 is a label as any other


@pytest.mark.parametrize("names", [["a", "b"], None])
def test_what_is_written_is_read_again_with_its_names(tmp_path, names):
    regions = Regions.from_labels(torch.tensor([[0, 0, -1], [1, 1, -1]]), names)
    regions.write(tmp_path / "map.png")
    again = Regions.read(tmp_path / "map.png")
    assert again == regions
    assert again.names == regions.names
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.mode == "P"


def test_a_grid_is_written_for_pictures_of_a_size(tmp_path):
    Regions.grid(2, 2).write(tmp_path / "map.png", 8, 8)
    assert torch.equal(
        Regions.read(tmp_path / "map.png").labels, Regions.grid(2, 2).label_map(8, 8)
    )
    with pytest.raises(InputError, match="height must be a whole number"):
        Regions.grid(2, 2).write(tmp_path / "other.png")
    with pytest.raises(InputError, match="300 patches are more than the 255 colours"):
        Regions.grid(15, 20).write(tmp_path / "other.png", 64, 64)


def test_superpixels_divide_a_picture_into_about_as_many_as_asked():
    image = torch.zeros(1, 3, 32, 32)
    image[..., 16:] = 1.0
    regions = Regions.segments(image, 8)
    assert 4 <= regions.count <= 12
    edge = regions.labels[:, 15] != regions.labels[:, 16]
    assert bool(edge.all())  # no segment runs over the picture's one edge
    assert Regions.segments(image[0, :1], 8).labels.shape == (32, 32)


def _png(mode):
    def write(path):
        Image.new(mode, (2, 2)).save(path)

    return write


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.png", None, "there is no label map .*a.png"),
        ("a.png", _png("RGB"), "picture of mode RGB; a label map is a palette or greyscale"),
        ("a.png", lambda path: path.write_bytes(b"PNG"), "cannot be read as a label map"),
        ("a.npy", lambda path: path.write_bytes(b"NPY"), "cannot be read as a NumPy file"),
        ("a.npy", lambda path: np.save(path, np.ones((2, 2))), "holds float64"),
        ("a.npy", lambda path: np.save(path, np.array([{}])), "cannot be read|holds object"),
    ],
)
def test_bad_input_files_that_hold_no_map(tmp_path, name, write, message):
    if write is not None:
        write(tmp_path / name)
    with pytest.raises(InputError, match=message):
        Regions.read(tmp_path / name)


@pytest.mark.parametrize("content", ["[1]", '["a"]', '{"0": 5}', "no"])
def test_bad_input_files_that_hold_no_names(tmp_path, content):
    np.save(tmp_path / "map.npy", LABELS)
    (tmp_path / "names.json").write_text(content)
    with pytest.raises((InputError, StorageError), match=r"names\.json"):
        Regions.read(tmp_path / "map.npy", tmp_path / "names.json")


def test_bad_input_superpixels():
    for wrong in (torch.zeros(2, 3, 4, 4), torch.zeros(4, 4), torch.full((3, 4, 4), torch.nan)):
        with pytest.raises(InputError, match="superpixels are those of one picture"):
            Regions.segments(wrong, 4)
    with pytest.raises(InputError, match="40 superpixels need as many pixels; there are 16"):
        Regions.segments(torch.zeros(3, 4, 4), 40)


def test_a_label_that_is_named_twice_is_refused(tmp_path):
    np.save(tmp_path / "map.npy", LABELS)
    path = tmp_path / "names.json"
    path.write_text('{"0": "sky", "3": "tree", "7": "road", "0": "cloud", "255": null}')
    with pytest.raises(InputError, match=r"names\.json names label 0 twice"):
        Regions.read(tmp_path / "map.npy", path)


def test_labels_beyond_whole_numbers_of_64_bits_are_refused(tmp_path):
    labels = LABELS.astype(np.uint64)
    np.save(tmp_path / "map.npy", labels)
    assert (
        Regions.read(tmp_path / "map.npy").count
        == Regions.from_labels(torch.from_numpy(labels)).count
        == 4
    )
    labels[0, 0] = 2**63
    np.save(tmp_path / "map.npy", labels)
    with pytest.raises(InputError, match=r"holds the label 9223372036854775808; labels are below"):
        Regions.read(tmp_path / "map.npy")
    with pytest.raises(InputError, match="labels are below"):
        Regions.from_labels(torch.from_numpy(labels))
