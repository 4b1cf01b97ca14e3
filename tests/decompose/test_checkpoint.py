"""Checkpoints: finished batches come back; other work, corrupt files and full disks do no harm."""

import logging
import math

import pytest
import torch
from safetensors.torch import save_file

from regional_primitives.decompose.exact import checkpoint
from regional_primitives.decompose.exact.checkpoint import Checkpoint
from regional_primitives.errors import StorageError
from regional_primitives.runtime.storage import write_sealed


def test_finished_batches_come_back(tmp_path):
    kept = Checkpoint.of(tmp_path / "kept", "work")
    kept.save(torch.tensor([3, 4]), units=torch.ones(2, 5))
    kept.save(torch.tensor([0]), units=torch.zeros(1, 5))
    found = list(Checkpoint.of(tmp_path / "kept", "work").saved(5, {"units": (5,)}))
    assert [rows.tolist() for rows, _ in found] == [[0], [3, 4]]
    assert torch.equal(found[1][1]["units"], torch.ones(2, 5))


def test_without_a_folder_nothing_is_kept():
    kept = Checkpoint.of(None, "work")
    kept.save(torch.tensor([0]), units=torch.zeros(1))
    assert list(kept.saved(1, {})) == []


def test_other_work_is_refused(tmp_path):
    Checkpoint.of(tmp_path / "kept", "work")
    with pytest.raises(StorageError, match="of another picture or of other settings"):
        Checkpoint.of(tmp_path / "kept", "other work")


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "diary.txt").write_text("dear")
    with pytest.raises(StorageError, match="no checkpoint"):
        Checkpoint.of(tmp_path, "work")


def sealed(path, rows, units, key="work"):
    write_sealed(path, key, {"rows": rows, "units": units})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"torn"),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x40"),
        lambda path: save_file({"rows": torch.tensor([0]), "units": torch.ones(1)}, path),
        lambda path: sealed(path, torch.tensor([0]), torch.ones(1), "other work"),
        lambda path: sealed(path, torch.tensor([0]), torch.tensor([math.nan])),
        lambda path: sealed(path, torch.tensor([0]), torch.ones(2)),
        lambda path: sealed(path, torch.tensor([0]), torch.ones(1, dtype=torch.float64)),
        lambda path: sealed(path, torch.tensor([2]), torch.ones(1)),
        lambda path: sealed(path, torch.tensor([-1]), torch.ones(1)),
        lambda path: sealed(path, torch.tensor([0, 0]), torch.ones(2)),
        lambda path: sealed(path, torch.tensor([0.0]), torch.ones(1)),
        lambda path: write_sealed(path, "work", {"units": torch.ones(1)}),
    ],
    ids=[
        "torn",
        "bit",
        "unsealed",
        "key",
        "nan",
        "shape",
        "dtype",
        "range",
        "sign",
        "twice",
        "real",
        "rowless",
    ],
)
def test_a_batch_that_is_not_what_was_kept_is_done_again(tmp_path, caplog, spoil):
    kept = Checkpoint.of(tmp_path / "kept", "work")
    kept.save(torch.tensor([0]), units=torch.ones(1))
    kept.save(torch.tensor([1]), units=torch.ones(1))
    spoil(tmp_path / "kept" / "000000.safetensors")
    with caplog.at_level(logging.WARNING):
        found = list(Checkpoint.of(tmp_path / "kept", "work").saved(2, {"units": ()}))
    assert [rows.tolist() for rows, _ in found] == [[1]]
    assert "done again" in caplog.text


def test_a_full_disk_costs_the_checkpoint_only(tmp_path, monkeypatch, caplog):
    kept = Checkpoint.of(tmp_path / "kept", "work")

    def full(path, key, tensors):
        raise StorageError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(checkpoint, "write_sealed", full)
    with caplog.at_level(logging.WARNING):
        kept.save(torch.tensor([0]), units=torch.zeros(1))
        kept.save(torch.tensor([1]), units=torch.zeros(1))
    assert caplog.text.count("No space left") == 1


@pytest.mark.parametrize("manifest", [None, b"", b"{", b"[1]", b'{"key": null}'])
def test_a_checkpoint_without_a_readable_manifest_begins_anew(tmp_path, manifest):
    kept = Checkpoint.of(tmp_path / "kept", "work")
    kept.save(torch.tensor([0]), units=torch.zeros(1, 5))
    (tmp_path / "kept" / ".000001.safetensors.primitives-abcd_123").write_bytes(b"half")
    (tmp_path / "kept" / ".DS_Store").touch()
    (tmp_path / "kept" / "checkpoint.json").unlink()
    if manifest is not None:
        (tmp_path / "kept" / "checkpoint.json").write_bytes(manifest)
    again = Checkpoint.of(tmp_path / "kept", "other work")
    assert again.folder == tmp_path / "kept"
    assert {path.name for path in again.folder.iterdir()} == {".DS_Store", "checkpoint.json"}
    (tmp_path / "kept" / "checkpoint.json").unlink()
    (tmp_path / "kept" / "notes.txt").touch()
    with pytest.raises(StorageError, match="no checkpoint"):
        Checkpoint.of(tmp_path / "kept", "work")
