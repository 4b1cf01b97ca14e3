"""A sample of benchmarks/kills.py: whenever a process is killed, nothing is lost, mixed or left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "kills.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills copies of its own process")
def test_kills_at_file_operations_lose_mix_and_leave_nothing():
    process = subprocess.run(
        [sys.executable, str(SCRIPT), "--operations", "40", "--moments", "0"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.returncode == 0, process.stdout + process.stderr
    (told,) = process.stdout.splitlines()[-1:]
    assert told.startswith("40 killed at operations")
