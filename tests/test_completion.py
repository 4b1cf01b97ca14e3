"""Completion: each shell's script knows every verb and option, and starts no Python for it."""

import shutil
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from regional_primitives import cli

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """The file of each shell's script, as the command prints it."""
    folder = tmp_path_factory.mktemp("scripts")
    for shell in SHELLS:
        printed = CliRunner().invoke(cli.app, ["completion", shell], catch_exceptions=False)
        (folder / shell).write_bytes(printed.stdout_bytes)
    return {shell: folder / shell for shell in SHELLS}


def _asked_of_bash(script, *words):
    ask = f"""source {script}; COMP_WORDS=({" ".join(words[:-1])} '{words[-1]}')
        COMP_CWORD={len(words) - 1}; _primitives primitives '{words[-1]}' '{words[-2]}'
        printf '%s\\n' "${{COMPREPLY[@]}}" """
    # Of programs bash finds none: what completes is the script alone.
    found = subprocess.run([shutil.which("bash"), "-c", ask], env={"PATH": ""}, capture_output=True)
    assert found.stderr == b""
    return found.stdout.decode().split()


def _asked_of_fish(script, *words):
    ask = f"source {script}; complete -C '{' '.join(words)}'"
    found = subprocess.run([shutil.which("fish"), "-c", ask], capture_output=True, check=True)
    return [line.split("\t")[0] for line in found.stdout.decode().splitlines()]


ASK = {"bash": _asked_of_bash, "fish": _asked_of_fish}


@pytest.mark.parametrize("shell", list(ASK))
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ex"], ["explain", "explore"]),
        (["explain", "fa"], ["faces"]),
        (["explain", "faces", "--pur"], ["--purpose"]),
        (["explain", "faces", "--purpose", ""], ["generate", "isolate"]),
        (["edit", "run", "--regions", "nosuch"], []),
        (["explore", "run", "--no"], ["--no-open"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
    ],
)
def test_what_a_shell_offers(scripts, shell, words, expected, tmp_path, monkeypatch):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    monkeypatch.chdir(tmp_path)  # it holds no files that would be offered
    assert sorted(ASK[shell](scripts[shell], "primitives", *words)) == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_parses_and_names_every_verb_and_option(scripts, shell):
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n", scripts[shell]], check=True)
    script = scripts[shell].read_text()
    for name, verb in typer.main.get_command(cli.app).commands.items():
        assert name in script
        for option in verb.params:
            for flag in (*option.opts, *option.secondary_opts):
                if flag.startswith("--"):
                    assert (f"-l {flag[2:]} " if shell == "fish" else flag) in script


def test_other_shells_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["primitives", "completion", "tcsh"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: shell 'tcsh' is none of: bash, zsh, fish\n"
