"""What is given away: the wheel's content, its extras, and what the project's papers say of it."""

import ast
import email
import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

import regional_primitives as rp

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "regional_primitives"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
MOST_BYTES = 8 * 2**20
"""Four trained networks are 6 MB of it."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from this checkout."""
    pytest.importorskip("hatchling", reason="`make setup-dev` installs hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(folder)]
    process = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    (path,) = folder.iterdir()
    assert path.name == f"regional_primitives-{PROJECT['version']}-py3-none-any.whl"
    assert path.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(path) as archive:
        yield archive


def _read(wheel, name):
    return wheel.read(f"regional_primitives-{PROJECT['version']}.dist-info/{name}").decode()


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    ours = {f"regional_primitives/{path.relative_to(SOURCE).as_posix()}": path
            for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".pyc"}  # fmt: skip
    ours["primitives_command.py"] = ROOT / "src" / "primitives_command.py"
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == set(ours)
    assert all(wheel.read(name) == path.read_bytes() for name, path in ours.items())
    suffixes = {Path(name).suffix for name in held}
    assert {".html", ".css", ".js", ".svg", ".mplstyle", ".safetensors"} <= suffixes
    assert "regional_primitives/py.typed" in held
    assert not any("tests" in Path(name).parts for name in held)


def test_built_again_it_is_the_same_bytes(wheel, tmp_path):
    words = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    (again,) = tmp_path.glob("*.whl")
    assert again.read_bytes() == Path(wheel.filename).read_bytes()


def test_weights_in_the_wheel_are_those_trained_here(wheel):
    weights = {Path(name) for name in wheel.namelist() if name.endswith((".safetensors", ".pth"))}
    assert {path.stem for path in weights} == {
        "class-fashion", "diffusion-faces", "latent-photos", "style-faces",
    }  # fmt: skip
    assert {path.parent.name for path in weights} == {"trained"}


def test_the_wheel_says_what_it_is(wheel):
    about = email.message_from_string(_read(wheel, "METADATA"))
    assert about["Requires-Python"] == PROJECT["requires-python"]
    assert about["License-Expression"] == "MIT"
    assert set(about.get_all("Provides-Extra")) == set(EXTRAS)
    assert "primitives = primitives_command:main" in _read(wheel, "entry_points.txt")
    assert _read(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")


def _extras_named_by_errors():
    """Each extra that a call in the source names, by the functions that raise the error."""
    place = {"MissingExtraError": 1, "report_extra": 2, "require_extra": 2}
    for path in SOURCE.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", None) in place:
                given = call.args[place[call.func.id] :]
                given += [one.value for one in call.keywords if one.arg == "extra"]
                yield from (one.value for one in given if isinstance(one, ast.Constant))


def test_every_extra_that_an_error_names_exists():
    named = set(_extras_named_by_errors())
    assert named <= set(EXTRAS)
    assert set(EXTRAS) - named == {"dev", "docs"}


@pytest.mark.parametrize("extra", sorted(EXTRAS.keys() - {"dev", "docs"}))
def test_an_extra_is_told_by_its_error_and_by_a_page(extra):
    assert f'pip install "regional_primitives[{extra}]"' in str(rp.MissingExtraError("x", extra))
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    told = re.compile(rf"(regional_primitives|\.)\[{extra}\]")
    assert any(told.search(page.read_text(encoding="utf-8")) for page in pages)


def test_what_is_installed_is_this_version():
    assert importlib.metadata.version("regional_primitives") == PROJECT["version"]
    assert rp.__version__ == PROJECT["version"]


def test_who_cites_cites_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert str(cited["version"]) == PROJECT["version"]
    assert cited["license"] == PROJECT["license"]
    assert cited["references"][0]["identifiers"] == [{"type": "other", "value": "arXiv:2410.04421"}]


def test_issue_forms_are_forms():
    paths = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert [path.stem for path in paths] == ["bug", "question"]
    for path in paths:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= form.keys()
        assert all({"type", "attributes"} <= part.keys() for part in form["body"])


def test_the_changelog_begins_with_what_is_to_come_or_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *_ = re.findall(r"^## \[?([^\]\s]+)", text, re.MULTILINE)
    assert first in ("Unreleased", PROJECT["version"])
