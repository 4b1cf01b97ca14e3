"""INT, TERM and HUP end the command alike: status 130, one line, nothing left; at any moment."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
COMMAND = "import primitives_command; primitives_command.main()"
LONG = ["--grid", "4x4", "--set", "steps=100000", "--set", "tolerance=0"]


def _begun(words, **options):
    """Start the command as its script does; a shell may have made us deaf to interrupts."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "120"},
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in SIGNALS],
        **options,
    )


def _ended(process):
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted; nothing unfinished was left behind" in re.sub(r"\s+", " ", err)
    assert "Traceback" not in err


@pytest.mark.parametrize("number", SIGNALS[1:], ids=lambda number: number.name)
def test_a_fit_that_is_ended_leaves_nothing_behind(tmp_path, number):
    process = _begun(["explain", "planted", *LONG, "--out", tmp_path / "runs" / "ended"])
    while not any(tmp_path.glob("runs/.ended.*/..")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    _ended(process)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", [0.02, 0.3])
@pytest.mark.parametrize("number", SIGNALS[:2], ids=lambda number: number.name)
def test_a_command_that_is_ended_while_it_loads_says_so(tmp_path, number, moment):
    loading = tmp_path / "regional_primitives" / "__init__.py"
    loading.parent.mkdir()
    # Whatever an import does with an interrupt, the command ends.
    loading.write_text(
        "import time\n"
        "print('loading', flush=True)\n"
        "try:\n    time.sleep(60)\nexcept BaseException:\n    time.sleep(60)\n"
    )
    process = _begun(["models"], cwd=tmp_path)
    assert process.stdout.readline() == "loading\n"
    time.sleep(moment)
    process.send_signal(number)
    _ended(process)


def test_what_is_ignored_stays_ignored(tmp_path):
    code = (
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        # Whoever runs the tests in the background of a script has the keyboard's signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from regional_primitives.runtime.interrupts import endings_interrupt\n"
        "with endings_interrupt():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt:\n        print('interrupted')\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout == "interrupted\n", process.stderr


def test_a_sweep_whose_workers_are_ended_too_leaves_nothing_behind(tmp_path):
    words = ["sweep", "planted", "--seeds", "0:4", "--workers", "2", *LONG]
    process = _begun([*words, "--out", tmp_path / "sweep"], start_new_session=True)
    while len(list(tmp_path.glob("sweep/express/.*.primitives-new"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    _ended(process)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_on_a_cluster_that_is_ended_leaves_nothing_behind(tmp_path):
    words = ["sweep", "planted", "--seeds", "0:4", "--workers", "1", "--ray", "local", *LONG]
    process = _begun([*words, "--out", tmp_path / "sweep"], start_new_session=True)
    while not any(tmp_path.glob("sweep/express/.*.primitives-new")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _ended(process)
    assert list(tmp_path.iterdir()) == []
