from __future__ import annotations

import inspect
import json
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

import regional_primitives as rp

HEAVY = (
    "matplotlib", "fastapi", "uvicorn", "starlette", "jinja2", "skimage", "sklearn", "scipy", "PIL",
    "rich", "typer", "IPython", "diffusers", "transformers", "ray", "pandas", "pyarrow", "onnx",
)  # fmt: skip
OURS = ("show", "runs", "apply", "rivals", "cli")
"""What is loaded by nothing that explains, scores or compares."""
ASKED = (
    "torch", "numpy",
    *(f"regional_primitives.{stage}" for stage in (
        "generators", "regions", "setfunctions", "decompose", "picture", "others", "scores",
        "compare.comparison", "sanity.suite",
    )),
)  # fmt: skip


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Import the package in a fresh process, then what explains and compares, then all that draws.

    Gives the modules that are loaded after each, the files they left and what they said.
    """
    home = tmp_path_factory.mktemp("home")
    code = (
        "import json, sys, regional_primitives as rp; first = sorted(sys.modules); "
        "rp.load_generator, rp.Regions, rp.explain, rp.ask, rp.evaluate, rp.SweepScores; "
        "rp.components, rp.PictureComparison, rp.Vocabulary, rp.Sanity, rp.or_values; "
        "later = sorted(sys.modules); import regional_primitives.runs.sweep; "
        "print(json.dumps([first, later, sorted(sys.modules)]))"
    )
    source = str(Path(rp.__file__).parents[1])
    environment = {"HOME": str(home), "PYTHONPATH": source, "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return *json.loads(process.stdout), list(home.rglob("*")), process.stderr


@pytest.mark.parametrize("package", HEAVY)
def test_importing_leaves_plotting_and_web_alone(imported, package):
    _, _, modules, _, _ = imported
    assert {"regional_primitives.show.plots", "regional_primitives.show.sweep_plots"} <= {*modules}
    assert package not in modules


@pytest.mark.parametrize("stage", OURS)
def test_explaining_leaves_pages_runs_edits_and_rivals_alone(imported, stage):
    _, modules, _, _, _ = imported
    assert f"regional_primitives.{stage}" not in modules


@pytest.mark.parametrize("module", ASKED)
def test_importing_loads_nothing_before_it_is_asked_for(imported, module):
    first, later, _, _, _ = imported
    assert module not in first
    assert module in later


def test_what_is_loaded_later_is_listed_and_stays():
    code = (
        "import regional_primitives as rp; assert set(rp.__all__) <= set(dir(rp)); "
        "assert rp.show.plot_sparsity and rp.runs and rp.apply and rp.rivals; "
        "found = rp.compare, rp.explore, rp.sanity, rp.edit, rp.baselines, rp.report, rp.sweep; "
        "import regional_primitives.cli; "
        "assert found == (rp.compare, rp.explore, rp.sanity, rp.edit, rp.baselines, rp.report, "
        "rp.sweep); assert all(map(callable, found)); "
        "from regional_primitives import *; assert edit is rp.edit"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        rp.nosuch  # noqa: B018


def test_importing_writes_no_file_and_prints_nothing(imported):
    first, _, _, files, said = imported
    assert "regional_primitives" in first
    assert files == []
    assert said == ""


@pytest.mark.parametrize("name", rp.__all__)
def test_public_names_exist_and_are_documented(name):
    documentation = inspect.getdoc(getattr(rp, name))
    assert documentation
    # A dataclass without a docstring of its own is given its signature instead.
    assert not documentation.startswith(f"{name}(")


def test_public_names_are_sorted_and_said_once():
    assert sorted(set(rp.__all__)) == rp.__all__
    assert sorted({"compare", "explore", "sanity", *chain(*rp._WHERE.values())}) == rp.__all__


@pytest.mark.parametrize("name", ["explain", "cut", "load_generator", "Regions", "Decomposition"])
def test_names_that_others_script_against_stay(name):
    assert name in rp.__all__


def test_a_fit_imports_neither_a_compiler_nor_symbolic_algebra():
    code = (
        "import sys, regional_primitives as rp; generator = rp.load_generator('planted'); "
        "settings = rp.Structured(steps=2, batch=4, probes=1, baseline_count=8); "
        "d = rp.explain(generator, generator.sample_latents(1), rp.Regions.grid(4, 4), settings); "
        "rp.evaluate(d, generator, rp.Evaluation(demands=4, components=2, free_steps=2)); "
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout.strip() == "[]", process.stderr
