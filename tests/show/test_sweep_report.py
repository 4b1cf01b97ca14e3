import base64
import io
import json
import random
import re
import shlex
import statistics
import sys
from dataclasses import asdict, replace
from html import unescape
from html.parser import HTMLParser

import numpy
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

import regional_primitives as rp
from regional_primitives.compare.kept import Kept
from regional_primitives.compare.vocabulary import Vocabulary, write_vocabulary
from regional_primitives.scores.sweep_scores import (
    AVERAGED,
    FailedPicture,
    LayerScores,
    PictureScores,
    SweepScores,
)
from regional_primitives.scores.table import columns
from regional_primitives.show import numerals, style, sweep_page
from regional_primitives.show.reproduce import sweep_command
from regional_primitives.show.sections import Section
from regional_primitives.show.sweep_distributions import plot_distributions
from regional_primitives.show.sweep_page import cell, terminal_table, write_sweep_report
from regional_primitives.show.sweep_plots import plot_sweep

FACES = {"main.2": (512, 4, 4), "main.5": (256, 8, 8), "main.11": (64, 32, 32)}
PRICES = (0.03, 0.1, 0.3)


def picture(rng, layer, seed, depth, refits):
    """Make up the scores of a picture: fields shrink and leak falls with depth, 0 to 1."""

    def about(value):
        return value * rng.uniform(0.9, 1.1)

    leak, inside = about(0.25 - 0.2 * depth), about(0.006 - 0.005 * depth)
    large = 0.8 - 0.7 * depth
    curve = [
        {"price": price, "inside_error": inside * times, "leak": leak / times}
        for price, times in zip(PRICES, (0.7, 1.0, 1.6), strict=True)
    ]
    scores = rp.Scores(
        inside_error=inside, leak=leak, cost=about(0.5), completeness_gap=1e-7,
        additivity_gap=0.02, structured_inside_error=inside, structured_leak=leak,
        free_demands=16, free_inside_error=inside / 2, free_leak=leak / 2, free_cost=0.4,
        gated_inside_error=inside / 1.5, gated_leak=leak / 1.5, pooled_inside_error=inside / 3,
        departure=1.9, entanglement=0.4, chance_boundedness=0.1, remainder=0.02,
        boundedness=about(0.7), boundedness_in_context=about(0.6), consistency=about(0.8),
        inconsistency=0.3, superposition_error=about(1.5), n50=10, n90=rng.randint(50, 90), n95=120,
        components=rng.randint(150, 400), overlap=0.2,
        field_sizes={1: 1 - large, 9: large}, top_inside_error={1: 0.9, 100: inside},
        stability=0.7 if refits else None, unit_stability=0.5 if refits else None,
        frontier=curve if refits else None,
        psnr=38.0, ssim=0.97, evaluations=4900, overhead_ratio=1.1, inside_error_spread=0.003,
        leak_spread=0.05, demands=128, measured_components=40, measured_share=0.8,
    )  # fmt: skip
    run = f"{layer}/{seed}"
    return PictureScores(seed, run, f"{run}/report.html", seed != 1, about(50.0), scores)


def made_up(layers=FACES, pictures=4, *, refits=True, **changes):
    rng = random.Random(0)
    last = max(len(layers) - 1, 1)
    return SweepScores(**{
        "generator": "faces",
        "weights_digest": "ab" * 32,
        "options": {},
        "regions": {"kind": "grid", "rows": 6, "columns": 6},
        "patches": 36,
        "seeds": tuple(range(pictures)),
        "settings": asdict(rp.Structured(purpose="isolate", steps=50)),
        "evaluation": asdict(rp.Evaluation(refits=refits, free_bounds=refits, demands=16)),
        "versions": {"torch": "2.13"},
        "machine": {"workers": 2},
        "date": "2025-01-31",
        "layers": tuple(
            LayerScores(name, shape, 36, tuple(
                picture(rng, name, seed, place / last, refits) for seed in range(pictures)
            ))
            for place, (name, shape) in enumerate(layers.items())
        ),
        **changes,
    })  # fmt: skip


@pytest.fixture(scope="module")
def sweep():
    return made_up()


@pytest.fixture(scope="module")
def plain():
    """A sweep without refits."""
    return made_up(refits=False)


@pytest.fixture(scope="module")
def figure(sweep):
    return plot_sweep(sweep)


@pytest.fixture(scope="module")
def folder(sweep, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    sweep.write(folder)
    assert write_sweep_report(folder) == folder / "sweep.html"
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "sweep.html").read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Collects tags with attributes, and checks that tags close in order."""

    VOID = frozenset({"meta", "img", "source"})

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.links, self.words = [], [], {}, ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words += data
        if "a" in self.open:
            self.links[data] = next(a["href"] for t, a in reversed(self.tags) if t == "a")


@pytest.fixture(scope="module")
def outline(page):
    return Outline(page)


def words_of(sweep, folder):
    """Write the page of a sweep; return what it says."""
    sweep.write(folder)
    return " ".join(Outline(write_sweep_report(folder).read_text(encoding="utf-8")).words.split())


def panel(figure, title):
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == title)


def test_the_figure_has_a_panel_for_every_question(figure):
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "Patches a field", "Boundedness", "Consistency", "Superposition error",
        "Components", "Cost", "Inside error", "Leak", "Frontier: what less leak costs",
    ]  # fmt: skip
    for axes in figure.axes:
        assert axes.get_ylabel()
    assert "faces, 6 × 6 grid, 4 pictures" in figure.texts[0].get_text()


def test_layers_stand_in_order_with_the_shape_of_their_feature(figure):
    for axes in figure.axes[:-1]:
        labels = [text.get_text() for text in axes.get_xticklabels()]
        assert labels == ["main.2\n512×4×4", "main.5\n256×8×8", "main.11\n64×32×32"]


def test_panels_show_means_intervals_and_every_picture(figure, sweep):
    for title, name in (("Leak", "leak"), ("Cost", "cost"), ("Inside error", "inside_error")):
        axes = panel(figure, title)
        for place, layer in enumerate(sweep.layers):
            dots = axes.lines[place]
            assert list(dots.get_ydata()) == pytest.approx([100 * v for v in layer.values(name)])
        bars = axes.containers[0]
        means = [100 * layer.summary[name].mean for layer in sweep.layers]
        halves = [100 * layer.summary[name].half_interval_95 for layer in sweep.layers]
        assert list(bars[0].get_ydata()) == pytest.approx(means)
        ends = [segment[:, 1] for segment in bars[2][0].get_segments()]
        for (low, high), mean, half in zip(ends, means, halves, strict=True):
            assert (low, high) == pytest.approx((mean - half, mean + half))
        assert axes.get_ylim()[1] > max(end[1] for end in ends)


def test_field_size_is_shown_in_patches_and_as_a_share(figure, sweep):
    axes = panel(figure, "Patches a field")
    sizes = [sweep.layers[i].summary["field_patches"].mean for i in range(3)]
    assert list(axes.containers[0][0].get_ydata()) == pytest.approx(sizes)
    (right,) = axes.child_axes
    assert right.get_ylabel() == "% of the 36 patches"
    figure.canvas.draw()
    assert right.get_ylim()[1] == pytest.approx(axes.get_ylim()[1] / 36 * 100)


def test_series_of_one_panel_are_told_apart_without_colour(figure):
    for title in ("Boundedness", "Components", "Leak"):
        axes = panel(figure, title)
        lines = [container[0] for container in axes.containers]
        assert len({line.get_marker() for line in lines}) == len(lines) > 1
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        assert len(legend) == len(lines)


def test_the_frontier_has_a_line_a_layer(figure, sweep):
    axes = panel(figure, "Frontier: what less leak costs")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(FACES)
    for container, layer in zip(axes.containers, sweep.layers, strict=True):
        points = layer.frontier
        assert list(container[0].get_xdata()) == pytest.approx(
            [100 * point.inside_error.mean for point in points]
        )
        assert list(container[0].get_ydata()) == pytest.approx(
            [100 * point.leak.mean for point in points]
        )
    assert len({container[0].get_color() for container in axes.containers}) == 3


def test_what_was_not_measured_is_said_in_figure_table_and_terminal(plain, tmp_path):
    figure = plot_sweep(plain)
    assert len(figure.axes) == 8, "no panel stays empty"
    assert figure.texts[0].get_text().endswith("; frontier: not measured; --thorough")
    for layer in plain.layers:
        for name in ("frontier", "stability"):
            assert cell(layer, name).text == "not measured; --thorough"
            assert cell(layer, name).kind == "missing"
    assert terminal_table(plain).caption == "frontier and stability: not measured; --thorough"
    assert "--thorough measures them" in words_of(plain, tmp_path)


def test_the_frontier_is_titled_by_the_price_that_it_varies():
    sweep = made_up(settings=asdict(rp.Structured(purpose="generate")))
    titles = [axes.get_title(loc="left") for axes in plot_sweep(sweep).axes]
    assert titles[-1] == "Frontier: what less departure costs"


def test_an_unmeasured_bound_is_left_open():
    bare = made_up()
    layers = tuple(
        replace(layer, pictures=tuple(
            replace(one, scores=replace(one.scores, free_leak=None, gated_leak=None))
            for one in layer.pictures
        ))
        for layer in bare.layers
    )  # fmt: skip
    bare = replace(bare, layers=layers)
    assert cell(bare.layers[0], "free_leak").text == "not measured"
    assert len(panel(plot_sweep(bare), "Leak").containers) == 1


def test_a_single_picture_has_no_interval(tmp_path):
    one = made_up(pictures=1, layers={"main.5": (256, 8, 8)})
    assert cell(one.layers[0], "leak").text.endswith("%")
    assert cell(one.layers[0], "leak").spread == ""
    axes = panel(plot_sweep(one), "Leak")
    assert not axes.containers[0].has_yerr
    words = words_of(one, tmp_path)
    assert "All numbers are of one single picture, which has no interval." in words
    assert "At main.5 an action field is " in words
    assert "faces: 1 picture at 1 layer" in words


MANY = {f"output_blocks.{i}": (256, 128, 128) for i in range(12)}


def test_many_layers_keep_legible_names():
    figure = plot_sweep(made_up(MANY, pictures=2))
    axes = figure.axes[0]
    assert axes.get_xlabel() == "layers output_blocks.*"
    labels = axes.get_xticklabels()
    assert [label.get_text().split("\n")[0] for label in labels] == [str(i) for i in range(12)]
    assert all(label.get_rotation() == 35 for label in labels)


@pytest.mark.parametrize("layers", [FACES, MANY, {"up_blocks.1.resnets.0.conv1#3[0]+mid": (4,)}])
def test_nothing_is_cut_off_or_overlaps(layers):
    figure = plot_sweep(made_up(layers, pictures=2))
    figure.canvas.draw()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for place, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
        assert not any(box.overlaps(other) for other in boxes[:place])


def test_a_dark_figure_differs_in_colours_only(figure):
    light = style.svg(figure)
    dark = style.darkened(light)
    colour = re.compile("#[0-9a-f]{6}")
    assert "#ffffff" not in dark
    assert colour.sub("", dark) == colour.sub("", light)
    assert len(set(colour.findall(dark))) == len(set(colour.findall(light)))
    assert not set(colour.findall(dark)) & set(colour.findall(light))


def test_the_table_has_a_row_a_layer_and_a_column_a_score(sweep, outline, page):
    told_of = [AVERAGED[name] for names in columns(AVERAGED).values() for name in names]
    table = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL)[1]
    lines = re.findall(r"<tr>.*?</tr>", table, re.DOTALL)
    assert len(lines) == 3
    for line, layer in zip(lines, sweep.layers, strict=True):
        cells = [unescape(one) for one in re.findall(r"<td[^>]*>(.*?)</td>", line, re.DOTALL)]
        assert len(cells) == len(told_of)
        told = dict(zip((column.name for column in told_of), cells, strict=True))
        assert layer.layer in line
        assert " × ".join(map(str, layer.feature_shape)) in unescape(line)
        assert f"<b>{100 * layer.summary['leak'].mean:.0f}\u00a0%</b>" in told["leak"] or (
            f"<b>{100 * layer.summary['leak'].mean:.1f}\u00a0%</b>" in told["leak"]
        )
        assert "±\u00a0" in told["leak"]
        assert len(told["frontier"].splitlines()) == 3
    for column in told_of:
        assert column.column.replace("\u00ad", "") in outline.words.replace("\u00ad", "")
        assert column.meaning in outline.words


def test_numbers_of_the_table_are_those_of_the_layer(sweep):
    layer = sweep.layers[0].summary
    size, share = (cell(sweep.layers[0], name) for name in ("field_patches", "field_share"))
    assert float(size.text) == pytest.approx(layer["field_patches"].mean, rel=0.01)
    half = float(size.spread.removeprefix("±\u00a0"))
    assert half == pytest.approx(layer["field_patches"].half_interval_95, rel=0.06)
    part = float(share.text.removesuffix("\u00a0%"))
    assert part == pytest.approx(100 * layer["field_patches"].mean / 36, rel=0.05)


def test_a_section_more_is_one_function(monkeypatch, tmp_path, plain):
    def colophon(sweep):
        return Section("colophon", "Colophon", [f"Of {sweep.generator}, set in **two** weights."])

    monkeypatch.setattr(sweep_page, "SECTIONS", [*sweep_page.SECTIONS, colophon])
    plain.write(tmp_path)
    page = write_sweep_report(tmp_path).read_text(encoding="utf-8")
    assert '<a href="#colophon">Colophon</a>' in page
    assert '<section id="colophon">' in page
    assert "Of faces, set in <strong>two</strong> weights." in page


def test_the_figure_is_drawn_once(monkeypatch, tmp_path, plain):
    drawn = []
    monkeypatch.setattr(
        sweep_page, "plot_sweep", lambda sweep: drawn.append(plot_sweep(sweep)) or drawn[-1]
    )
    plain.write(tmp_path)
    write_sweep_report(tmp_path)
    assert len(drawn) == 1


def test_every_run_is_linked(outline, sweep):
    for layer in sweep.layers:
        for one in layer.pictures:
            assert ("a", {"href": f"{layer.layer}/{one.seed}/report.html"}) in outline.tags


def test_a_link_leads_to_a_strange_folder_and_a_missing_report_is_no_link():
    sweep = made_up(pictures=2)
    strange = replace(sweep.layers[0].pictures[0], report="a b#1/0/report.html")
    missing = replace(sweep.layers[0].pictures[1], report=None)
    layer = replace(sweep.layers[0], pictures=(strange, missing))
    section = sweep_page._runs(replace(sweep, layers=(layer,)))
    ((_, _, (links,)),) = section.values["layers"]
    assert [link for _, link, _ in links] == ["a%20b%231/0/report.html", None]


def test_the_page_loads_nothing_and_leads_somewhere(page, outline):
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in outline.tags:
        assert tag not in ("link", "script", "iframe", "object", "embed", "base", "form")
        for name in ("src", "srcset"):
            assert attributes.get(name, "data:").startswith("data:")
        target = attributes.get("href", "")
        assert not re.match("[a-z]+:", target)
        assert not target.startswith("#") or target[1:] in ids
        if tag == "img":
            assert attributes["alt"]
    assert not re.search(r"https?://", re.sub(r"data:[^\"]+", "", page))
    policy = [a["content"] for t, a in outline.tags if a.get("http-equiv")]
    assert policy == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'none'"
    ]
    assert len(page.encode()) < 5_000_000


def test_the_page_says_what_was_asked_and_over_what_is_averaged(outline):
    words = " ".join(outline.words.split())
    assert "faces: 3 pictures" not in words
    assert "faces: 4 pictures at 3 layers" in words
    assert "Means over 4 pictures, the same at each layer" in words
    assert "From main.2 to main.11 an action field goes from 7.4" in words
    assert "1 run at main.2, 1 run at main.5, 1 run at main.11 took all steps" in words
    assert "0:4" in words
    assert "6 × 6 grid" in words
    assert "torch 2.13" in words
    assert "2025-01-31" in words
    assert words.count("changed from the default") == 4  # steps, demands, refits, free_bounds


def test_strange_names_are_escaped(tmp_path):
    made_up(generator="<script>alert(1)</script>", pictures=1).write(tmp_path)
    text = write_sweep_report(tmp_path).read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_command_makes_the_sweep_again(sweep):
    assert sweep_command(sweep) == (
        "primitives sweep faces --layers main.2,main.5,main.11 --seeds 0:4 --grid 6x6 "
        "--purpose isolate --thorough "
        "--set steps=50 --measure demands=16"
    )
    other = made_up(
        {"b8[0]#2": (4,)}, refits=False, seeds=(1, 5, 9), options={"size": 64},
        evaluation=asdict(rp.Evaluation()), settings=asdict(rp.Structured(give_back=0.5)),
    )  # fmt: skip
    assert "--layers 'b8[0]#2' " in sweep_command(other)  # a shell must not read it as a pattern
    words = shlex.split(sweep_command(other))
    assert words[3:] == [
        "--layers", "b8[0]#2", "--seeds", "1,5,9", "--grid", "6x6", "--size", "64",
        "--set", "give_back=0.5",
    ]  # fmt: skip


def test_the_figure_is_written_and_not_blank(folder):
    drawn = Image.open(folder / "figures" / "sweep.png").convert("L")
    assert drawn.width >= 2000
    assert drawn.getextrema() == (drawn.getextrema()[0], 255)
    assert drawn.getextrema()[0] < 80


def test_an_equal_page_is_made_again(folder, page):
    assert write_sweep_report(folder).read_text(encoding="utf-8") == page


def test_the_terminal_table_has_the_main_scores(sweep):
    from rich.console import Console

    console = Console(width=80, file=io.StringIO())
    console.print(terminal_table(sweep))
    text = console.file.getvalue()
    assert "faces, mean over 4 pictures ± half the 95 % interval" in text
    for word in (*FACES, "512×4×4", "leak", "n90", "patches", "bounded,", "±"):
        assert word in text
    assert "…" not in text
    assert not re.search(r"│ +% │", text), "a unit stands on a line of its own"
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_sweep_of_what_generates_leads_with_its_own_scores(tmp_path):
    from rich.console import Console

    sweep = made_up(settings={**made_up().settings, "purpose": "generate"})
    console = Console(width=80, file=io.StringIO())
    console.print(terminal_table(sweep))
    text = console.file.getvalue()
    for word in ("pooled", "depar-", "of", "bound's", "consis-", "tency", "1.90"):
        assert word in text
    assert "…" not in text
    assert "leak" not in text
    assert all(len(line) <= 80 for line in text.splitlines())
    summary = words_of(sweep, tmp_path)
    assert "departure over the bound's goes from 1.90" in summary
    assert "pooled inside error goes from" in summary


def spoil(**changes):
    def change(path):
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, **changes}))

    return change


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (lambda path: path.unlink(), r"sweep\.json is missing"),
        (lambda path: path.write_text("{"), "not valid JSON"),
        (spoil(schema_version=2), "schema version 2; this release reads 1"),
        (spoil(layers=[{}]), r"sweep\.json is corrupt"),
        (spoil(layers=3), r"sweep\.json is corrupt"),
        (spoil(surprise=1), r"sweep\.json is corrupt"),
    ],
)
def test_a_spoiled_sweep_gives_one_clear_error_and_no_page(plain, tmp_path, spoiled, message):
    plain.write(tmp_path)
    spoiled(tmp_path / "sweep.json")
    with pytest.raises(rp.StorageError, match=message):
        write_sweep_report(tmp_path)
    assert not (tmp_path / "sweep.html").exists()


@pytest.mark.parametrize("package", ["PIL", "jinja2", "matplotlib"])
def test_a_missing_package_names_the_pip_line(plain, tmp_path, monkeypatch, package):
    plain.write(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(rp.MissingExtraError, match=r'pip install "regional_primitives\[report\]"'):
        write_sweep_report(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.json"]


def kept(seed):
    """A picture of one colour, whose strongest component is of the upper left quarter."""
    fields = torch.zeros(3, 36, dtype=torch.bool)
    fields[0, [0, 1, 2, 6, 7, 8, 12, 13, 14]] = True
    fields[1, seed % 36] = True
    fields[2] = True
    return Kept(
        fields, torch.tensor([3.0, 1.2, 1.1]), torch.tensor([[4, 5], [seed % 7, -1], [1, -1]]),
        torch.full((12, 12, 3), 20 * seed % 256, dtype=torch.uint8), None, True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """A sweep of twenty pictures in two layers, whose runs keep what is small."""
    folder, sweep = tmp_path_factory.mktemp("album"), made_up(dict([*FACES.items()][:2]), 20)
    for layer in sweep.layers:
        for one in layer.pictures:
            (folder / one.run).mkdir(parents=True)
            (folder / one.run / "run.json").touch()
            kept(one.seed).write(folder / one.run)
    sweep.write(folder)
    write_vocabulary(folder, sweep, rp.Regions.grid(6, 6))
    page = write_sweep_report(folder).read_text(encoding="utf-8")
    return sweep, folder, page


def section(page, anchor):
    return re.search(f'<section id="{anchor}">.*?</section>', page, re.DOTALL)[0]


def test_of_few_pictures_none_is_singled_out(page, plain):
    for anchor in ("spread", "pictures", "vocabulary"):
        assert f'id="{anchor}"' not in page
    with pytest.raises(rp.InputError, match="at least 8 pictures; this sweep has 4"):
        plot_distributions(plain)


def test_the_most_and_the_least_separable_pictures_are_shown_with_their_reports(album):
    sweep, _, page = album
    told = section(page, "pictures")
    assert "the smaller its leak" in told  # of runs whose purpose is isolate
    per_layer = told.split("<h3>")[1:]
    assert len(per_layer) == 2
    for layer, part in zip(sweep.layers, per_layer, strict=True):
        ordered = sorted(layer.pictures, key=lambda one: one.scores.leak)
        expected = [*ordered[:4], *ordered[:-5:-1]]
        links = re.findall(r'<a href="([^"]+)">picture (\d+)</a>', part)
        assert links == [(one.report, str(one.seed)) for one in expected]
        values = re.findall(r'"spread">([^<]+)<', part)
        assert values == [numerals.percent(one.scores.leak) for one in expected]
        shown = re.findall(r'href="#image-([^"]+)"', part)
        assert shown == [one.run.replace("/", "-") for one in expected]
    # Each image once, and it is the run's thumbnail.
    stored = dict(re.findall(r'<image id="image-([^"]+)".*?base64,([^"]+)"', page))
    assert set(re.findall(r'href="#image-([^"]+)"', page)) == set(stored)
    first = sweep.layers[0].by_separability("isolate")[0]
    image = Image.open(io.BytesIO(base64.b64decode(stored[first.run.replace("/", "-")])))
    assert image.size == (12, 12)
    assert image.convert("RGB").getextrema() == ((20 * first.seed % 256,) * 2,) * 3


def test_the_other_purpose_is_ordered_by_its_own_score():
    layer = made_up(pictures=9).layers[0]
    ordered = layer.by_separability("generate")
    values = [one.scores.pooled_inside_error for one in ordered]
    assert values == sorted(values)
    assert ordered != layer.by_separability("isolate")
    unmeasured = replace(ordered[0], scores=replace(ordered[0].scores, pooled_inside_error=None))
    assert (
        replace(layer, pictures=(unmeasured, *ordered[1:])).by_separability("generate")
        == (ordered[1:])
    )


def test_the_vocabulary_shows_the_field_that_recurs_and_its_channels(album):
    _, folder, page = album
    found = Vocabulary.read(folder).layers[0].words[0]
    assert found.pictures == 20
    told = section(page, "vocabulary")
    assert "at least 0.8 of their union" in told
    word = re.search(r'<article class="word">.*?</article>', told, re.DOTALL)[0]
    words = " ".join(unescape(re.sub("<[^>]+>", " ", word)).split())
    chance = f"{found.by_chance:.1f}"
    assert f"9 patches pictures 20 of 20, by chance {chance}" in words
    assert "4 in 20, by chance" in words
    assert 'd="M0 0H6V6H0Z"' in word  # a quarter of 12 × 12 pixels


def test_a_sweep_without_its_vocabulary_or_runs_says_so(tmp_path):
    sweep = made_up(pictures=12)
    words = words_of(sweep, tmp_path)
    assert "There is no vocabulary.json beside this page" in words
    assert "picture 11" in words
    assert "<image" not in (tmp_path / "sweep.html").read_text(encoding="utf-8")


def test_distributions_have_the_median_and_the_quartiles_of_each_layer():
    sweep = made_up(pictures=20)
    figure = plot_distributions(sweep)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Inside error", "Leak", "Boundedness in context", "Consistency", "Patches a field",
        "Components for 90 % of the energy",
    ]  # fmt: skip
    axes = panel(figure, "Leak")
    assert [text.get_text() for text in axes.get_yticklabels()] == [*reversed(FACES)]
    for place, layer in enumerate(reversed(sweep.layers)):
        values = [100 * value for value in layer.values("leak")]
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        bar, dot = axes.lines[2 * place : 2 * place + 2]
        assert list(bar.get_xdata()) == pytest.approx([low, high])
        assert list(dot.get_xdata()) == pytest.approx([middle])
        heights = axes.patches[place].get_data().values - place
        edges = axes.patches[place].get_data().edges
        counts, _ = numpy.histogram(values, edges)
        assert heights / heights.max() == pytest.approx(counts / counts.max())
        assert counts.sum() == 20


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_equal_values_are_one_bar(value):
    sweep = made_up(pictures=9)
    layers = tuple(
        replace(layer, pictures=tuple(
            replace(one, scores=replace(one.scores, leak=value, n90=7)) for one in layer.pictures
        ))
        for layer in sweep.layers
    )  # fmt: skip
    figure = plot_distributions(replace(sweep, layers=layers))
    for title in ("Leak", "Components for 90 % of the energy"):
        heights = panel(figure, title).patches[0].get_data().values
        assert sum(heights > 0) == 1


def test_many_runs_are_folded_by_the_hundred_and_each_is_linked(tmp_path):
    sweep = made_up({"main.5": (256, 8, 8)}, 250, refits=False)
    sweep.write(tmp_path)
    runs = section(write_sweep_report(tmp_path).read_text(encoding="utf-8"), "runs")
    assert re.findall("<summary>(.*?)</summary>", runs) == [
        "pictures 0 to 99", "pictures 100 to 199", "pictures 200 to 249",
    ]  # fmt: skip
    links = re.findall(r'href="([^"]+)"', runs)
    assert links == [one.report for one in sweep.layers[0].pictures]


def test_many_that_failed_are_counted(tmp_path):
    failed = tuple(FailedPicture(seed, "main.5", "blank") for seed in range(100, 130))
    words = words_of(made_up(failed=failed), tmp_path)
    assert words.count("left outblank") == 10
    assert "More left out20; sweep.json tells all" in words


def test_the_terminal_names_the_pictures_at_either_end():
    sweep = made_up({"main.5": (256, 8, 8)}, 9, refits=True)
    ordered = [str(one.seed) for one in sweep.layers[0].by_separability("isolate")]
    most, least = terminal_table(sweep).caption.splitlines()
    assert most.startswith("most separable by leak: ")
    assert re.findall(r"(\d+) \(", most) == ordered[:3]
    assert re.findall(r"(\d+) \(", least) == ordered[:-4:-1]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_page_with_pictures_fits_is_accessible_and_loads_nothing(browser, album, width, scheme):
    _, folder, _ = album
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto((folder / "sweep.html").as_uri())
    for summary in tab.locator("summary").all():
        summary.click()
    assert tab.locator(".thumb svg").count() == 16
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert Axe().run(tab).response["violations"] == []
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [
        (folder / "sweep.html").as_uri()
    ]
    tab.close()
