from __future__ import annotations

import errno
import json
import math
import os
import stat
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from regional_primitives import StorageError
from regional_primitives.runtime import storage
from regional_primitives.runtime.run_files import MANIFEST
from regional_primitives.runtime.staging import staged_file, staged_folder
from regional_primitives.runtime.storage import (
    file_digest,
    read_json,
    read_tensors,
    tensors_digest,
    write_json,
    write_tensors,
)

TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8)


def _listing(folder):
    return sorted(path.name for path in folder.iterdir())


def _full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _run_folder(folder, content="old"):
    folder.mkdir()
    (folder / MANIFEST).write_text('{"schema_version": 2, "tensors_digest": ""}')
    (folder / "content").write_text(content)
    return folder


# JSON


@given(
    st.dictionaries(
        st.text(),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    ).filter(lambda content: not any(v in (math.inf, -math.inf) for v in content.values()))
)
def test_json_comes_back(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("json") / "run.json"
    write_json(path, content)
    assert read_json(path) == content


def test_json_is_for_readers(tmp_path):
    path = tmp_path / "new" / "run.json"
    write_json(path, {"range": "−1 … 1", "rows": 6})
    assert path.read_text(encoding="utf-8") == '{\n  "range": "−1 … 1",\n  "rows": 6\n}\n'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_has_no_nan_and_the_old_file_stays(tmp_path, number):
    path = tmp_path / "scores.json"
    write_json(path, {"inside": 0.1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"inside": number})
    assert read_json(path) == {"inside": 0.1}
    assert _listing(tmp_path) == ["scores.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not valid JSON"),
        (b'{"a": 1', "is not valid JSON"),
        (b"\xff\xfe", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"[1, 2]", "holds no JSON object"),
        (b"null", "holds no JSON object"),
    ],
)
def test_corrupt_json(tmp_path, content, message):
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=message) as error:
        read_json(path)
    assert str(path) in str(error.value)


def test_json_that_is_not_there(tmp_path):
    with pytest.raises(StorageError, match=r"run\.json is missing"):
        read_json(tmp_path / "run.json")
    with pytest.raises(StorageError, match="is no file"):
        read_json(tmp_path)


# Tensors


@pytest.mark.parametrize("dtype", [*TYPES, torch.bool, torch.int32])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_tensors_come_back(tmp_path, dtype, shape):
    tensor = (torch.randn(shape) * 9).to(dtype)
    digest = write_tensors(tmp_path / "t.safetensors", {"a": tensor, "b": torch.arange(3)})
    back = read_tensors(tmp_path / "t.safetensors", digest=digest)
    assert back.keys() == {"a", "b"}
    assert back["a"].dtype == dtype
    assert torch.equal(back["a"], tensor)
    assert _listing(tmp_path) == ["t.safetensors"]


def test_tensors_that_are_views_of_each_other_come_back(tmp_path):
    whole = torch.arange(12.0).view(3, 4).requires_grad_()
    tensors = {
        "whole": whole,
        "again": whole,
        "row": whole[1],
        "turned": whole.T,
        "rest": whole[1:],
    }
    write_tensors(tmp_path / "t.safetensors", tensors)
    back = read_tensors(tmp_path / "t.safetensors", None)
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:5],
        lambda data: data[:-1],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data.replace(b"data_offsets", b"data_0ffsets"),
    ],
    ids=["empty", "no header", "cut short", "absurd header length", "broken header"],
)
def test_corrupt_tensors(tmp_path, damage):
    path = tmp_path / "t.safetensors"
    write_tensors(path, {"a": torch.randn(4)})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StorageError, match="is corrupt") as error:
        read_tensors(path, None)
    assert str(path) in str(error.value)


def test_one_flipped_bit_is_seen_by_the_digest(tmp_path):
    path = tmp_path / "t.safetensors"
    digest = write_tensors(path, {"a": torch.randn(4)})
    assert digest == file_digest(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    read_tensors(path, None)
    with pytest.raises(StorageError, match="SHA-256 digest is not the one on record"):
        read_tensors(path, digest=digest)


def test_tensors_that_are_not_there(tmp_path):
    with pytest.raises(StorageError, match="is missing"):
        read_tensors(tmp_path / "t.safetensors", None)
    with pytest.raises(StorageError, match="is no file"):
        read_tensors(tmp_path, None)
    with pytest.raises(StorageError, match="cannot read"):
        file_digest(tmp_path / "t.safetensors")


def test_digest_of_tensors_sees_names_types_shapes_values_and_nothing_else():
    tensor = torch.randn(3, 4)
    reference = tensors_digest({"a": tensor, "b": tensor + 1})
    assert tensors_digest({"b": tensor + 1, "a": tensor}) == reference
    assert tensors_digest({"a": tensor.T.contiguous().T, "b": tensor + 1}) == reference
    nudged = tensor.clone()
    nudged[0, 0] = torch.nextafter(tensor[0, 0], torch.tensor(9.0))
    others = [
        {"a": tensor},
        {"a": tensor, "c": tensor + 1},
        {"a": tensor + 1, "b": tensor},
        {"a": tensor.view(4, 3), "b": tensor + 1},
        {"a": tensor.double(), "b": tensor + 1},
        {"a": tensor.view(torch.int32), "b": tensor + 1},
        {"a": nudged, "b": tensor + 1},
    ]
    assert len({reference, *(tensors_digest(other) for other in others)}) == 1 + len(others)


@pytest.mark.parametrize("dtype", [*TYPES, torch.bool, torch.complex64])
def test_digest_takes_every_type_and_shape(dtype):
    digests = {tensors_digest({"a": torch.zeros(shape, dtype=dtype)}) for shape in [(), (0,), (2,)]}
    assert len(digests) == 3


# Whole or absent: files


def test_failed_file_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(interruption):
        with staged_file(path) as temporary:
            temporary.write_text("half")
            raise interruption

    for interruption in (KeyboardInterrupt, RuntimeError):
        with pytest.raises(interruption):
            write(interruption)
    assert path.read_text() == "old"
    assert _listing(tmp_path) == ["a.txt"]


def test_files_have_ordinary_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    write_json(tmp_path / "run.json", {})
    write_tensors(tmp_path / "t.safetensors", {"a": torch.zeros(1)})
    for name in ("run.json", "t.safetensors"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_json(path, {"a": 1}),
        lambda path: write_tensors(path, {"a": torch.zeros(1)}),
    ],
    ids=["json", "tensors"],
)
def test_places_where_no_file_can_be(tmp_path, write):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    for path in (tmp_path / "file" / "a", tmp_path / "folder"):
        with pytest.raises(StorageError, match="cannot write") as error:
            write(path)
        assert str(path) in str(error.value)
    assert _listing(tmp_path) == ["file", "folder"]


def test_full_disk_while_writing_json(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "write_text", _full_disk)
    with pytest.raises(StorageError, match=r"cannot write .*No space left on device"):
        write_json(tmp_path / "run.json", {"a": 1})
    assert _listing(tmp_path) == []


def test_full_disk_while_writing_tensors(tmp_path, monkeypatch):
    def half(_, path, *__):
        Path(path).write_bytes(b"half")
        _full_disk()

    monkeypatch.setattr(storage, "save_file", half)
    with pytest.raises(StorageError, match=r"cannot write .*No space left on device"):
        write_tensors(tmp_path / "t.safetensors", {"a": torch.zeros(1)})
    assert _listing(tmp_path) == []


def test_full_disk_as_safetensors_reports_it(tmp_path, monkeypatch):
    def refuse(*_):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(storage, "save_file", refuse)
    with pytest.raises(StorageError, match=r"cannot write .*No space left on device"):
        write_tensors(tmp_path / "t.safetensors", {"a": torch.zeros(1)})
    assert _listing(tmp_path) == []


# Whole or absent: folders


def test_folder_appears_when_the_block_is_done(tmp_path):
    target = tmp_path / "runs" / "faces-8"
    with staged_folder(target) as staging:
        assert staging.parent == target.parent
        assert not target.exists()
        write_json(staging / MANIFEST, {"schema": 1})
    assert json.loads((target / MANIFEST).read_text()) == {"schema": 1}
    assert _listing(target.parent) == ["faces-8"]
    plain = tmp_path / "plain"
    plain.mkdir()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize(
    "interruption", [KeyboardInterrupt, SystemExit, RuntimeError, StorageError]
)
@pytest.mark.parametrize("before", ["nothing", "empty", "run"])
def test_failed_folder_leaves_what_was_there(tmp_path, interruption, before):
    target = tmp_path / "run"
    if before == "empty":
        target.mkdir()
    elif before == "run":
        _run_folder(target)

    def write():
        with staged_folder(target, overwrite=True) as staging:
            (staging / MANIFEST).write_text("half")
            raise interruption

    with pytest.raises(interruption):
        write()
    assert _listing(tmp_path) == ([] if before == "nothing" else ["run"])
    if before != "nothing":
        assert _listing(target) == ([] if before == "empty" else ["content", MANIFEST])


def test_overwriting_swaps_a_run_folder_whole(tmp_path):
    target = _run_folder(tmp_path / "run")
    (target / "scores.json").write_text("of the old run")
    with staged_folder(target, overwrite=True) as staging:
        (staging / MANIFEST).write_text("{}")
        assert (target / "content").read_text() == "old"
    assert _listing(target) == ["content", MANIFEST], "what is ours goes, what is not stays"
    assert _listing(tmp_path) == ["run"]


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "run").mkdir()
    with staged_folder(tmp_path / "run") as staging:
        (staging / MANIFEST).write_text("{}")
    assert _listing(tmp_path / "run") == [MANIFEST]
    assert _listing(tmp_path) == ["run"]


def test_occupied_places_are_refused_before_any_work(tmp_path):
    run = _run_folder(tmp_path / "run")
    other = tmp_path / "photos"
    other.mkdir()
    (other / "holiday.png").write_text("")
    file = tmp_path / "file"
    file.write_text("")
    for folder, overwrite, message in (
        (run, False, "holds a run already; overwrite it or choose another"),
        (other, False, "exists and is not a run folder"),
        (other, True, "exists and is not a run folder"),
        (file, True, "is a file; choose a folder"),
    ):
        with pytest.raises(StorageError, match=message), staged_folder(folder, overwrite=overwrite):
            pytest.fail("the block ran")
    assert _listing(other) == ["holiday.png"]
    assert _listing(tmp_path) == ["file", "photos", "run"]


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write to"), staged_folder(tmp_path / "file/run"):
        pytest.fail("the block ran")


def test_full_disk_inside_the_block(tmp_path):
    target = _run_folder(tmp_path / "run")

    def write():
        with staged_folder(target, overwrite=True) as staging:
            (staging / "half").write_text("half")
            _full_disk()

    with pytest.raises(StorageError, match=r"cannot write .*run: No space left on device"):
        write()
    assert _listing(tmp_path) == ["run"]
    assert _listing(target) == ["content", MANIFEST]


def test_full_disk_before_the_block(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", _full_disk)
    with pytest.raises(StorageError, match="No space left"), staged_folder(tmp_path / "run"):
        pytest.fail("the block ran")
    assert _listing(tmp_path) == []
