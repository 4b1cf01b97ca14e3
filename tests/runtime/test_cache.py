from __future__ import annotations

import logging
import math
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from regional_primitives.runtime.cache import Recent, cache_folder, cached_tensors
from regional_primitives.runtime.storage import write_sealed


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("REGIONAL_PRIMITIVES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Compute:
    """Counts how often it is asked."""

    def __init__(self, value):
        self.value, self.calls = value, 0

    def __call__(self):
        self.calls += 1
        return {"value": torch.tensor(self.value)}


def _get(key, compute, kind="test"):
    return float(cached_tensors(kind, key, {"value": ()}, compute)["value"])


def test_computed_once_a_key_and_kind(folder):
    compute = Compute(1.5)
    assert [_get("a", compute) for _ in range(3)] == [1.5] * 3
    assert compute.calls == 1
    other = Compute(2.5)
    assert _get("b", other) == 2.5
    assert _get("a", other, kind="other") == 2.5
    assert _get("a", other) == 1.5
    assert other.calls == 2
    assert len(list(folder.rglob("*.safetensors"))) == 3


def test_corrupt_entry_is_computed_anew_and_repaired(folder, caplog):
    compute = Compute(1.5)
    _get("a", compute)
    (entry,) = folder.rglob("*.safetensors")
    entry.write_bytes(entry.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING):
        assert _get("a", compute) == 1.5
    assert "computed anew" in caplog.text
    assert _get("a", compute) == 1.5
    assert compute.calls == 2


def sealed(entry, tensors, key="a"):
    write_sealed(entry, key, tensors)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda entry: entry.write_bytes(entry.read_bytes()[:-1] + b"\x40"),
        lambda entry: save_file({"value": torch.tensor(1.5)}, entry),
        lambda entry: sealed(entry, {"value": torch.tensor(1.5)}, "b"),
        lambda entry: sealed(entry, {"value": torch.tensor(math.nan)}),
        lambda entry: sealed(entry, {"value": torch.tensor(math.inf)}),
        lambda entry: sealed(entry, {"value": torch.tensor(3e38)}),
        lambda entry: sealed(entry, {"value": torch.ones(1)}),
        lambda entry: sealed(entry, {"value": torch.ones(0)}),
        lambda entry: sealed(entry, {"value": torch.tensor(1.5, dtype=torch.float64)}),
        lambda entry: sealed(entry, {"other": torch.tensor(1.5)}),
        lambda entry: (entry.unlink(), entry.mkdir()),
    ],
    ids=[
        "bit",
        "unsealed",
        "key",
        "nan",
        "inf",
        "huge",
        "shape",
        "empty",
        "dtype",
        "name",
        "folder",
    ],
)
def test_an_entry_that_is_not_what_was_computed_is_computed_anew(folder, caplog, spoil):
    compute = Compute(1.5)
    _get("a", compute)
    (entry,) = folder.rglob("*.safetensors")
    spoil(entry)
    with caplog.at_level(logging.WARNING):
        assert _get("a", compute) == 1.5
    assert "computed anew" in caplog.text
    assert compute.calls == 2


def test_unwritable_folder_costs_the_cache_not_the_result(folder, caplog):
    folder.write_text("a file where the folder should be")
    compute = Compute(1.5)
    with caplog.at_level(logging.WARNING):
        assert [_get("a", compute), _get("a", compute)] == [1.5, 1.5]
    assert compute.calls == 2
    assert "the result is not cached: cannot write" in caplog.text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_the_place_of_an_entry_costs_the_cache_not_the_result(folder, caplog):
    compute = Compute(1.5)
    _get("a", compute)
    entry = next(folder.rglob("*.safetensors"))
    entry.unlink()
    os.mkfifo(entry)
    with caplog.at_level(logging.WARNING):
        assert _get("a", compute) == 1.5
    assert "the result is not cached" in caplog.text
    assert entry.is_fifo()


def test_failed_computation_leaves_no_entry(folder):
    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_tensors("test", "a", {}, fail)
    assert not list(folder.rglob("*"))


def test_folder_is_the_platforms_unless_chosen(folder, monkeypatch):
    assert cache_folder() == folder
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("REGIONAL_PRIMITIVES_CACHE")
        else:
            monkeypatch.setenv("REGIONAL_PRIMITIVES_CACHE", unset)
        assert cache_folder().is_relative_to(Path.home())
        assert "regional_primitives" in cache_folder().parts


def test_tests_keep_out_of_the_home_folder(cache):
    assert cache_folder() == cache
    assert not cache.is_relative_to(Path.home() / ".cache")


def test_what_was_asked_for_least_lately_is_forgotten_first():
    recent, computed = Recent(3 * 4), []

    def get(key):
        def compute():
            computed.append(key)
            return torch.zeros(1)

        return recent.get(key, compute)

    for key in "abcab":
        get(key)
    assert computed == ["a", "b", "c"]
    get("d")  # forgets c
    get("a")
    get("c")
    assert computed == ["a", "b", "c", "d", "c"]


def test_what_is_too_large_is_computed_and_not_kept():
    recent = Recent(8)
    for _ in range(2):
        assert recent.get("large", lambda: torch.ones(9)).sum() == 9
    assert not recent._kept
