"""What README and docs say: code that runs, commands that parse, links that lead somewhere."""

import ast
import functools
import inspect
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import typer
from matplotlib import pyplot
from PIL import Image

import regional_primitives as rp
from regional_primitives.cli import app
from regional_primitives.runs import sweep as sweeps

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PLAIN = {"text", "toctree"}
"""Languages of blocks in which nothing is to be run."""
FEW = rp.Evaluation(demands=2, components=2, contexts=2, free_demands=1, free_steps=2)


def named(page):
    return str(page.relative_to(ROOT))


def blocks(page, language):
    return [text for kind, text in FENCE.findall(page.read_text()) if kind == language]


WITH_CODE = [page for page in PAGES if blocks(page, "python")]
ELSEWHERE = {"docs/method.md": "test_method_document.py", "docs/families.md": "below"}
"""Pages whose code is run by other tests."""


def test_blocks_are_of_languages_that_are_looked_at():
    found = {kind for page in PAGES for kind, _ in FENCE.findall(page.read_text())}
    assert found <= {"python", "sh"} | PLAIN
    assert sum(len(blocks(page, "python")) for page in PAGES) >= 40
    assert {*ELSEWHERE} <= {*map(named, WITH_CODE)}


# Code


def quick(settings=None):
    """The same question, hardly any steps."""
    purpose = "generate" if settings is None else settings.purpose
    return replace(rp.Structured(purpose=purpose), steps=2, baseline_count=4, probes=1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of faces that hardly took a step, as pages that edit and compare find them."""
    folder = tmp_path_factory.mktemp("pages") / "runs"
    generator = rp.load_generator("faces")
    for name, seed in (("face", 22), ("other", 8)):
        latents = generator.sample_latents(1, seed=seed)
        d = rp.explain(generator, latents, "parts", quick(), picture_seed=seed)
        d.save(folder / name)
        rp.evaluate(d, generator, FEW).write(folder / name)
    return folder


@pytest.fixture
def place(tmp_path, runs, monkeypatch, unchecked):
    """A folder with what readers have, in which all that takes long is cut short."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for run in runs.iterdir():
        (tmp_path / "runs" / run.name).symlink_to(run)
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (16, 16, 3), generator=rng, dtype=torch.uint8)
    Image.fromarray(pixels.numpy()).resize((64, 64)).save(tmp_path / "photo.png")
    kept = {name: getattr(rp, name) for name in ("explain", "evaluate", "baselines", "sweep")}

    def explain(generator, latents, regions=None, settings=None, **rest):
        return kept["explain"](generator, latents, regions, quick(settings), **rest)

    def evaluate(*args, **rest):
        return kept["evaluate"](*args[: 2 if isinstance(args[1], rp.Generator) else 1], FEW, **rest)

    monkeypatch.setattr(rp, "explain", explain)
    monkeypatch.setattr(rp, "evaluate", evaluate)
    monkeypatch.setattr(rp, "baselines", functools.partial(kept["baselines"], settings=FEW))
    monkeypatch.setattr(sweeps, "write_sweep_report", lambda folder: None)  # has its own tests
    short = {"settings": quick(), "evaluation": FEW, "keep": "scores"}
    monkeypatch.setattr(rp, "sweep", lambda *args, **rest: kept["sweep"](*args, **rest | short))
    tiny_pipelines(monkeypatch, tmp_path)
    yield tmp_path
    pyplot.close("all")


def tiny_pipelines(monkeypatch, folder):
    """Let what pages load of diffusers be as tiny as that of the pipelines' own tests."""
    import diffusers
    from tests.generators import test_pipelines as tiny

    tiny.write_words(folder)
    unet = functools.partial(
        diffusers.UNet2DModel, sample_size=8, block_out_channels=(4,), layers_per_block=1,
        down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",), norm_num_groups=4,
        attention_head_dim=2,
    )  # fmt: skip
    for kind, make in (
        ("StableDiffusionPipeline", tiny._stable),
        ("StableDiffusionImg2ImgPipeline", tiny._from_photograph),
        ("AutoencoderKL", tiny._vae),
        ("UNet2DModel", unet),
    ):
        monkeypatch.setattr(
            getattr(diffusers, kind), "from_pretrained", lambda *_, make=make, **__: make()
        )


def given(page):
    """What a page takes for granted."""
    if named(page) == "docs/research/saturation.md":
        from tests.generators.zoo.test_vaes import _random_state

        from regional_primitives.generators.zoo import vaes

        network = vaes.VaeDecoder(1)
        network.load_state_dict(_random_state(1))
        return {"network": network, "vaes": vaes, "torch": torch, "rp": rp, "least": -1, "most": 1}
    return {"rp": rp, "torch": torch} if page.parent == ROOT else {}


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "page", [page for page in WITH_CODE if named(page) not in ELSEWHERE], ids=named
)
def test_code_of_a_page_runs(page, place, capsys):
    names = given(page)
    for block in blocks(page, "python"):
        # The tiny pipelines' attention would take minutes at a real size.
        block = block.replace('"height": 256, "width": 256', '"height": 16, "width": 16')
        exec(compile(block, named(page), "exec"), names)
    assert "nan" not in capsys.readouterr().out
    if page.name == "README.md":
        assert (place / "my-run" / "report.html").is_file()
        assert names["image"].shape == names["edited"].shape == (1, 3, 64, 64)
        assert not torch.equal(names["image"], names["edited"])
    if page.name == "start.md":
        (block,) = (text for text in blocks(page, "python") if "my_models" in text)
        (place / "my_models.py").write_text(block)
        made = rp.load_generator("my_models.py:make")
        torch.save(made.network.module.state_dict(), "last.pt")
        for layer, name in ((None, "1"), ("0", "0")):
            generator = rp.load_generator("my_models.py:make", layer, file="last.pt")
            assert generator.layer == name
            assert generator.head(generator.sample_latents(1)).shape == (1, 16, 4, 4)


# Recipes of published networks, whose code is not ours


FAMILIES = ROOT / "docs" / "families.md"
RECIPES = {
    made.name: made
    for block in blocks(FAMILIES, "python")
    for made in ast.parse(block).body
    if isinstance(made, ast.FunctionDef) and "layer" in {a.arg for a in made.args.args}
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_was_run_on_the_published_code(name):
    rows = json.loads((ROOT / "benchmarks" / "results" / "families.json").read_text())["rows"]
    assert name in {row["recipe"] for row in rows}
    known = inspect.signature(rp.cut).parameters
    (cut,) = (call for call in ast.walk(RECIPES[name]) if ast.unparse(call).startswith("rp.cut("))
    assert {word.arg for word in cut.keywords} <= set(known)


def test_recipes_run_where_their_code_is_a_package(place):
    names = {}
    for block in blocks(FAMILIES, "python"):
        if "sys.argv" in block:  # convert.py, which takes somebody's pickle
            compile(block, "convert.py", "exec")
        else:
            exec(compile(block, "families.md", "exec"), names)
    assert set(RECIPES) <= set(names)
    assert names["decoder"]("decoder.mid_block").layer == "decoder.mid_block"
    assert names["pipeline"]("unet.mid_block#2", steps=2).layer == "unet.mid_block#2"


# Commands


def commands():
    for page in PAGES:
        for block in blocks(page, "sh"):
            lines = block.replace("\\\n", " ").splitlines()
            for line in filter(None, (line.split("#")[0].strip() for line in lines)):
                yield pytest.param(line, id=f"{named(page)}: {line[:60]}")


@pytest.mark.parametrize("line", list(commands()))
def test_every_command_exists_with_its_options(line):
    match shlex.split(line):
        case ["primitives", verb, *words]:
            command = typer.main.get_command(app)
            command.commands[verb].make_context(verb, words)  # parses, and runs nothing
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case ["pip", "install", *wanted]:
            text = (ROOT / "pyproject.toml").read_text()
            for extra in re.findall(r"\[(\w+)\]", " ".join(wanted)):
                assert re.search(rf"^{extra} = \[", text, re.MULTILINE)
        case ["python", "-m", module, *_]:
            assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
        case ["python", "convert.py", *words]:
            assert len(words) == 3
        case _:
            pytest.fail(f"nobody looks at {line!r}")


# Words and links


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_of_pages_lead_to_files(page):
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", text):
        if "://" not in link:
            assert (page.parent / link).exists(), link
