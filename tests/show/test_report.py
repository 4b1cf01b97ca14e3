import base64
import hashlib
import json
import re
import shutil
import sys
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

import regional_primitives as rp
from regional_primitives.runtime.run_files import REPORT
from regional_primitives.scores.table import TABLE
from regional_primitives.show import figures, form, plots, relation_plots, write_report
from regional_primitives.show.score_table import score_rows


@pytest.fixture(scope="module")
def page(run_folder, with_report):
    return (with_report(run_folder) / REPORT).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def scores(run_folder):
    return rp.Scores.from_dict(json.loads((run_folder / "scores.json").read_text()))


class Outline(HTMLParser):
    """Collects tags, attributes and headings, and checks that tags close in order."""

    VOID = frozenset({"meta", "img", "br", "source", "use", "path", "image", "link", "input"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.headings = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def outline(page):
    parsed = Outline()
    parsed.feed(page)
    assert parsed.open == []
    return parsed


def test_every_score_stands_next_to_its_label(page, scores):
    for row in score_rows(scores):
        if not row.measured:
            assert f'id="score-{row.name}"' not in page
            continue
        line = re.search(rf'<tr id="score-{row.name}">.*?</tr>', page).group()
        text = unescape(re.sub(r"<[^>]+>", "|", line))
        assert row.label in text
        assert row.value in text
        assert row.spread in text


def test_each_figure_is_drawn_once_and_relations_are_found_once(own_folder, monkeypatch):
    drawn = Counter()

    def counted(module, name):
        real = getattr(module, name)

        def count(*args, **kwargs):
            drawn[name] += 1
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, count)

    for module in (plots, relation_plots):
        for name in vars(module).copy():
            if name.startswith("plot_"):
                counted(module, name)
    counted(figures, "plot_overview")
    counted(form, "relations")
    write_report(own_folder)
    written = [f"plot_{path.stem}" for path in (own_folder / "figures").iterdir()]
    assert len(written) == 9
    assert drawn == Counter([*written, "relations"])


def test_the_page_loads_nothing(page, outline):
    loading = ("src", "href", "srcset", "xlink:href", "data", "poster", "action", "background")
    for tag, attributes in outline.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        for name in loading:
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), (tag, value)
    style = re.search(r"<style>(.*?)</style>", page, re.S).group(1)
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"https?://", re.sub(r"data:[^\"]+", "", page))
    policy = [a["content"] for t, a in outline.tags if a.get("http-equiv")]
    script = re.search(r"<script>(.*?)</script>", page, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    ]
    # One script, and the data that it reads, which no browser runs.
    assert [a for t, a in outline.tags if t == "script"] == [
        {"type": "application/json", "id": "switchboard-data"}, {},
    ]  # fmt: skip
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import|eval)\b", script)


def test_links_and_pictures_lead_somewhere(outline):
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.tags:
        target = attributes.get("href", "")
        assert not target.startswith("#") or target[1:] in ids
    for attributes in (a for t, a in outline.tags if t == "table"):
        assert attributes["aria-labelledby"] in ids


def test_headings_are_in_order_and_pictures_have_words(outline):
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    for before, after in zip(outline.headings, outline.headings[1:], strict=False):
        assert after <= before + 1
    for tag, attributes in outline.tags:
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"


def test_the_page_of_a_picture_of_64_pixels_is_small(faces_folder, with_report):
    folder = with_report(faces_folder)
    assert rp.Decomposition.load(folder).image.shape == (3, 64, 64)
    assert 1_000_000 < (folder / REPORT).stat().st_size < 5_000_000


def test_the_sections_come_in_order(outline):
    sections = [attributes["id"] for tag, attributes in outline.tags if tag == "section"]
    assert sections == [
        "first", "components", "relations", "switches", "demands", "build-up", "curves", "scores",
        "picture", "origin",
    ]  # fmt: skip


def test_the_page_says_how_to_make_it_again(page):
    assert "primitives explain planted --seed 3 --layer express --grid 4x4" in page
    assert "rp.load_generator(&#39;planted&#39;, layer=&#39;express&#39;)" in page


def test_label_maps_are_reported_and_names_cannot_become_markup(labelled_folder, tmp_path):
    folder = shutil.copytree(labelled_folder, tmp_path / "run")
    spoil_json("run.json", generator="<script>alert(1)</script>")(folder)
    text = write_report(folder).read_text(encoding="utf-8")
    assert "label map of 5 regions" in text
    assert "primitives explain" not in text
    assert "regions = run.regions" in text
    assert "<script>alert" not in text
    assert text.count("<script") == text.count("</script>") == 2
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_page_is_replaced_by_an_equal_one_with_figures_beside_it(page, own_folder):
    (own_folder / REPORT).write_text("old")
    assert write_report(own_folder).read_text(encoding="utf-8") == page
    assert {path.name for path in (own_folder / "figures").iterdir()} == {
        "overview.png", "sparsity.png", "top_error.png", "field_sizes.png", "history.png",
        "containment.png", "togetherness.png", "overlap.png", "credit.png",
    }  # fmt: skip


def spoil_json(name, **changes):
    def spoil(folder):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, **changes}))

    return spoil


def foreign_exhibits(folder):
    from regional_primitives.scores import Exhibits

    found = Exhibits.read(folder)
    fewer = {name: getattr(found, name)[:-1] for name in ("visible_change",)}
    replace(found, **fewer).write(folder)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "is not a run folder"),
        (lambda folder: (folder / "run.json").unlink(), "is not a run folder"),
        (lambda folder: (folder / "scores.json").unlink(), r"scores\.json is missing"),
        (lambda folder: (folder / "exhibits.json").unlink(), r"exhibits\.json is missing"),
        (lambda folder: (folder / "exhibits.safetensors").unlink(), "is missing"),
        (lambda folder: (folder / "exhibits.safetensors").write_bytes(b"x"), "is corrupt"),
        (lambda folder: (folder / "tensors.safetensors").write_bytes(b"x"), "is corrupt"),
        (lambda folder: (folder / "scores.json").write_text("{"), "not valid JSON"),
        (lambda folder: (folder / "scores.json").write_text("{}"), "none of its names"),
        (spoil_json("scores.json", leak="much"), r"Expected `float.*got `str` - at `\$\.leak`"),
        (spoil_json("scores.json", field_sizes={1: 0}), "field_sizes share out nothing"),
        (spoil_json("scores.json", field_sizes=3), r"scores\.json is corrupt"),
        (foreign_exhibits, "is corrupt: its tensors cannot be"),
    ],
)
def test_a_spoiled_run_gives_one_clear_error_and_no_page(own_folder, spoil, message):
    spoil(own_folder)
    with pytest.raises(rp.StorageError, match=message):
        write_report(own_folder)
    assert not (own_folder / REPORT).exists()
    assert not (own_folder / "figures").exists()


@pytest.mark.parametrize("scores", ["scores_of_0_1.json", '{"leak": 0.25}'])
def test_a_run_of_another_release_is_told_as_far_as_it_was_measured(own_folder, scores):
    file = Path(__file__).parents[1] / "scores" / scores
    text = file.read_text() if file.suffix == ".json" else scores
    (own_folder / "scores.json").write_text(text)
    page = write_report(own_folder).read_text(encoding="utf-8")
    for name in TABLE:
        measured = TABLE[name].group and json.loads(text).get(name) is not None
        assert (f'id="score-{name}"' in page) == bool(measured)
    assert 'id="score-leak"' in page


@pytest.mark.parametrize("package", ["PIL", "jinja2", "matplotlib", "scipy"])
def test_a_missing_package_names_the_pip_line(own_folder, monkeypatch, package):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(rp.MissingExtraError, match=r'pip install "regional_primitives\[report\]"'):
        write_report(own_folder)
    assert not (own_folder / REPORT).exists()
