"""Samples of the benchmarks that kill: whenever a process is killed, nothing is lost or left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def last_words(script, *asked):
    process = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *asked],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout.splitlines()[-1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills copies of its own process")
def test_kills_at_file_operations_lose_mix_and_leave_nothing():
    told = last_words("kills.py", "--operations", "40", "--moments", "0")
    assert told.startswith("40 killed at operations")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds its workers in /proc")
def test_a_sweep_killed_at_a_moment_ends_in_the_same_bytes():
    told = last_words("sweep_kills.py", "--kills", "1", "--ways", "two", "--small")
    assert "1 killed, " in told
    assert "0 other bytes" in told
