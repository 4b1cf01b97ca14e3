from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import jaxtyping
import pytest
import torch

import regional_primitives as rp
from regional_primitives.generators.feature import units_as

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "regional_primitives"
MODULES = sorted(SOURCE.rglob("*.py"))


def _name(path):
    return str(path.relative_to(SOURCE))


def test_imports_flow_only_downward():
    command = Path(sys.executable).with_name("lint-imports")
    process = subprocess.run(
        [command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "Contracts: 4 kept, 0 broken" in process.stdout


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_modules_open_with_a_sentence_that_says_what_they_are(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_no_module_is_a_drawer_for_the_rest():
    assert not {"utils", "util", "helpers", "misc", "common"} & {path.stem for path in MODULES}


def test_results_never_import_plots():
    plotting = re.compile(
        r"^(import|from) (matplotlib|jinja2|PIL|skimage|fastapi|rich|typer)", re.M
    )
    allowed = {"__main__.py"}
    guilty = [
        _name(path)
        for path in MODULES
        if not {"show", "cli", "explore"} & set(path.parts)
        and path.name not in allowed
        and plotting.search(path.read_text(encoding="utf-8"))
    ]
    assert guilty == []


def test_hooks_call_the_tools_whose_versions_pyproject_pins():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "rev:" not in hooks
    assert "additional_dependencies" not in hooks
    assert re.findall(r"repo: *(\S+)", hooks) == ["local"]
    for tool in ("ruff", "mypy"):
        assert f"entry: .venv/bin/{tool}" in hooks
        assert re.search(rf'"{tool}==\d', project)


def test_nothing_is_unpickled_as_code():
    pickled = re.compile(
        r"^\s*(import|from) (pickle|dill|joblib)|torch\.load\((?!.*weights_only=True)"
    )
    guilty = [
        f"{_name(path)}: {line}"
        for path in MODULES
        for line in path.read_text(encoding="utf-8").splitlines()
        if pickled.search(line)
    ]
    assert guilty == []


def test_annotations_are_checked_in_the_tests():
    with pytest.raises(jaxtyping.TypeCheckError, match="pixel_mask"):
        rp.Regions.grid(2, 2).pixel_mask(torch.ones(1, 4, dtype=torch.bool), 8, 8)
    with pytest.raises(jaxtyping.TypeCheckError, match="units_as"):
        units_as(torch.zeros(1, 60, dtype=torch.int), (60,))


def test_annotations_are_not_checked_where_bad_input_is_tested(unchecked):
    with pytest.raises(rp.InputError, match="a demand is a bool tensor"):
        rp.Regions.grid(2, 2).pixel_mask(torch.ones(1, 4, dtype=torch.bool), 8, 8)
