"""What README and docs say: code that runs, commands that parse, links that lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest
import torch
import typer

import regional_primitives as rp
from regional_primitives.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
COMMAND = re.compile(r"^primitives [^#\n]*", re.MULTILINE)


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands():
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in COMMAND.findall(block):
                yield pytest.param(line.strip(), id=f"{page.name}: {line.strip()[:60]}")


@pytest.mark.parametrize("line", commands())
def test_every_command_has_options_that_exist(line):
    command = typer.main.get_command(app)
    verb, *words = shlex.split(line)[1:]
    command.commands[verb].make_context(verb, words)  # parses, and runs nothing


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


def test_the_six_lines_of_the_readme_make_a_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rp, "explain", quick(rp.explain))
    exec(compile(blocks(ROOT / "README.md", "python")[0], "README.md", "exec"), {})
    assert (tmp_path / "my-run" / "report.html").is_file()


def test_what_the_readme_asks_of_a_face_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(rp, "explain", quick(rp.explain))
    few = rp.Evaluation(demands=2, components=2, contexts=2, free_demands=0)
    monkeypatch.setattr(rp, "evaluate", lambda d, g, ask=rp.evaluate: ask(d, g, few))
    found = {"rp": rp}
    exec(compile(blocks(ROOT / "README.md", "python")[1], "README.md", "exec"), found)
    assert found["image"].shape == found["edited"].shape == (1, 3, 64, 64)
    assert not torch.equal(found["image"], found["edited"])


def test_the_file_of_ones_own_generator_makes_it(tmp_path, monkeypatch):
    (block,) = [
        text for text in blocks(ROOT / "docs" / "using.md", "python") if "my_models" in text
    ]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_models.py").write_text(block)
    torch.save(rp.load_generator("my_models.py:make").network.module.state_dict(), "last.pt")
    for layer, name in ((None, "1"), ("0", "0")):
        generator = rp.load_generator("my_models.py:make", layer, file="last.pt")
        assert generator.layer == name
        assert generator.head(generator.sample_latents(1)).shape == (1, 16, 4, 4)


def quick(explain):
    def explained(generator, latents, regions, *, progress):
        return explain(generator, latents, regions, rp.Structured(steps=2, baseline_count=4))

    return explained


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_pages_lead_to_files(page):
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", text):
        if "://" not in link:
            assert (page.parent / link).exists(), link
