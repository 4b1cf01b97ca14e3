"""Answers from files: every form there and back, and what is refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import regional_primitives as rp
from regional_primitives.others import Components, read_answer
from regional_primitives.others.files import FORMS

ONES = torch.ones


def shaped(name):
    """A tensor of that name, for the feature [2, 4, 4] and 4 patches."""
    return {
        "components": ONES(3, 2, 4, 4), "fields": ONES(3, 4) > 0, "directions": ONES(3, 2, 4, 4),
        "masks": ONES(3, 8, 8) > 0, "decoder": ONES(3, 2), "activations": ONES(16, 3),
        "baseline_activations": torch.zeros(16, 3), "parts": ONES(3, 4, 4),
        "appearances": ONES(1, 2), "maps": ONES(3, 4, 4), "attributions": ONES(3, 2, 4, 4),
        "interactions": ONES(3),
    }[name]  # fmt: skip


@pytest.mark.parametrize("kind", [".safetensors", ".npz"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.names[0])
def test_every_form_is_read_from_either_kind_of_file(form, kind, made, subject, tmp_path):
    for names in (form.names[: form.needed], form.names):
        tensors = {name: shaped(name) for name in names} | {"feature": subject.feature}
        file = tmp_path / f"{len(names)}{kind}"
        if kind == ".npz":
            np.savez(file, **{name: tensor.numpy() for name, tensor in tensors.items()})
        else:
            save_file(tensors, file)
        answer = read_answer(file)
        assert type(answer) is form.make
        by_hand = form.make(*(tensors.get(name) for name in form.names))
        assert made(answer).values.equal(made(by_hand).values)


def test_bad_input_files(tmp_path):
    odd, objects, text = tmp_path / "odd.npz", tmp_path / "objects.npz", tmp_path / "text.npz"
    np.savez(odd, thing=np.ones(3))
    np.savez(objects, components=np.array([{}], dtype=object))
    text.write_text("no archive")
    half, both = tmp_path / "half.npz", tmp_path / "both.npz"
    np.savez(half, decoder=np.ones((3, 2)))
    np.savez(both, maps=np.ones((1, 2, 2)), fields=np.ones((1, 4)) > 0)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\xff" * 20)
    for file, message in (
        (odd, "holds thing; a file holds one of: components, \\[fields\\]; directions"),
        (half, "holds decoder; a file holds one of"),
        (both, "holds fields, maps; a file holds one of"),
        (objects, "cannot be read as a NumPy file"),
        (text, "cannot be read as a NumPy file"),
        (broken, "is corrupt"),
        (tmp_path / "none.npz", "there is no file"),
        (tmp_path / "none.safetensors", "is missing"),
        (tmp_path / "theirs.pt", "components come as .safetensors or .npz, not theirs.pt"),
    ):
        with pytest.raises(rp.RegionalPrimitivesError, match=message) as caught:
            read_answer(file)
        assert "\n" not in str(caught.value)


def test_arrays_of_numpy_are_tensors(made, subject):
    fields, tensors = np.ones((1, 4), dtype=bool), np.ones((1, 2, 4, 4))
    found = made(Components(tensors, fields, made_of=subject.feature.numpy()))
    assert found.values.tolist() == [1.0] * 32
