"""Where tests find published weights, and how they hide them."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def beside():
    """Return the folder beside the repository where weights may lie."""
    return Path(__file__).parents[3].parent / "shared" / "weights"


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """Hide whatever weights this machine has; returns the cache folder that is looked into."""
    monkeypatch.delenv("REGIONAL_PRIMITIVES_WEIGHTS", raising=False)
    monkeypatch.setenv("REGIONAL_PRIMITIVES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
