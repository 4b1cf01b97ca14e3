"""`primitives explore`: what it prints, refuses, and, as a process of its own, how it ends."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tests.explore.conftest import QUICK
from tests.explore.test_server import OWN

import regional_primitives as rp
from regional_primitives import cli

COMMAND = [sys.executable, "-m", "regional_primitives", "explore"]


def _started(*words):
    source = str(Path(__file__).parents[2] / "src")
    return subprocess.Popen(
        [*COMMAND, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def test_it_tells_its_address_serves_the_run_and_ends_with_130(face_folder):
    process = _started(face_folder, "--no-open")
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}api/runs") as answer:
            assert b"faces" in answer.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert "until it is interrupted (Ctrl-C)" in err


def test_a_generator_of_ones_own_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "own.py").write_text(OWN)
    named = f"{tmp_path / 'own.py'}:make"
    mine = rp.load_generator(named, seed=4)
    rp.explain(mine, mine.sample_latents(1, seed=3), None, QUICK).save(tmp_path / "run")
    monkeypatch.setattr(sys, "argv", ["primitives", "explore", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert f"--model {named}" in capsys.readouterr().err
    process = _started(tmp_path / "run", "--no-open", "--model", named, "--option", "seed=4")
    try:
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}api/runs") as answer:
            assert b"mine" in answer.read()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130


@pytest.mark.parametrize("case", ["missing", "no run", "corrupt", "taken"])
def test_bad_input_is_one_line_and_status_two(face_folder, tmp_path, monkeypatch, capsys, case):
    words, message = [tmp_path / "missing"], "is not a run folder"
    with socket.socket() as door:
        if case == "no run":
            words = [tmp_path]
        elif case == "corrupt":
            words, message = [shutil.copytree(face_folder, tmp_path / "run")], "is corrupt"
            (words[0] / "tensors.safetensors").write_bytes(b"spoilt")
        elif case == "taken":
            door.bind(("127.0.0.1", 0))
            door.listen()
            port = door.getsockname()[1]
            words, message = [face_folder, "--port", port], f"port {port} is taken"
        monkeypatch.setattr(sys, "argv", ["primitives", "explore", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert message in line
