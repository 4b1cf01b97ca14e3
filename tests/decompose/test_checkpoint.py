"""Checkpoints: finished batches come back; other work, corrupt files and full disks do no harm."""

import logging

import pytest
import torch

from regional_primitives.decompose import checkpoint
from regional_primitives.decompose.checkpoint import Checkpoint
from regional_primitives.errors import StorageError


def test_finished_batches_come_back(tmp_path):
    kept = Checkpoint.of(tmp_path / "kept", "work")
    kept.save(torch.tensor([3, 4]), units=torch.ones(2, 5))
    kept.save(torch.tensor([0]), units=torch.zeros(1, 5))
    found = list(Checkpoint.of(tmp_path / "kept", "work").saved())
    assert [rows.tolist() for rows, _ in found] == [[0], [3, 4]]
    assert torch.equal(found[1][1]["units"], torch.ones(2, 5))


def test_without_a_folder_nothing_is_kept():
    kept = Checkpoint.of(None, "work")
    kept.save(torch.tensor([0]), units=torch.zeros(1))
    assert list(kept.saved()) == []


def test_other_work_is_refused(tmp_path):
    Checkpoint.of(tmp_path / "kept", "work")
    with pytest.raises(StorageError, match="of another picture or of other settings"):
        Checkpoint.of(tmp_path / "kept", "other work")


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "diary.txt").write_text("dear")
    with pytest.raises(StorageError, match="no checkpoint"):
        Checkpoint.of(tmp_path, "work")


def test_a_corrupt_batch_is_done_again(tmp_path, caplog):
    kept = Checkpoint.of(tmp_path / "kept", "work")
    kept.save(torch.tensor([0]), units=torch.zeros(1))
    kept.save(torch.tensor([1]), units=torch.zeros(1))
    (tmp_path / "kept" / "000000.safetensors").write_bytes(b"torn")
    with caplog.at_level(logging.WARNING):
        found = [rows.tolist() for rows, _ in Checkpoint.of(tmp_path / "kept", "work").saved()]
    assert found == [[1]]
    assert "done again" in caplog.text


def test_a_full_disk_costs_the_checkpoint_only(tmp_path, monkeypatch, caplog):
    kept = Checkpoint.of(tmp_path / "kept", "work")

    def full(path, tensors):
        raise StorageError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(checkpoint, "write_tensors", full)
    with caplog.at_level(logging.WARNING):
        kept.save(torch.tensor([0]), units=torch.zeros(1))
        kept.save(torch.tensor([1]), units=torch.zeros(1))
    assert caplog.text.count("No space left") == 1
