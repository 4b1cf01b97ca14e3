import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from IPython.core.formatters import DisplayFormatter

import regional_primitives as rp
from regional_primitives.runtime.storage import read_json, write_json
from regional_primitives.sanity.suite import Checked
from regional_primitives.scores import Exhibits
from regional_primitives.show import numerals


class Closed(HTMLParser):
    """Checks that tags close in order, and collects the text."""

    VOID = frozenset({"use", "path", "image", "br"})

    def __init__(self):
        super().__init__()
        self.open, self.text, self.names, self.used = [], "", set(), set()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        assert tag not in ("script", "style", "link", "iframe")
        assert not any(name.startswith("on") for name in attrs)
        href = attrs.get("href", "")
        assert href.startswith(("data:image/png", "#")) or not href
        if tag == "image":
            self.names.add(attrs["id"])
        if tag == "use":
            self.used.add(href.removeprefix("#"))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in self.VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += f" {data}"


def displayed(result):
    """What IPython would send to the notebook."""
    bundle, _ = DisplayFormatter().format(result)
    return bundle


def parsed(html):
    page = Closed()
    page.feed(html)
    assert page.open == []
    assert page.used == page.names
    page.text = re.sub(r"[ \n]+", " ", page.text)
    return page


@pytest.fixture(scope="module")
def loaded(run_folder):
    return rp.Decomposition.load(run_folder)


def test_a_loaded_decomposition_shows_picture_components_and_scores(loaded, run_folder):
    bundle = displayed(loaded)
    assert bundle["text/plain"] == repr(loaded)
    page = parsed(bundle["text/html"])
    assert "planted, layer express, picture seed 3" in page.text
    assert f"{loaded.count} components, 4 × 4 grid" in page.text
    assert "component 0, strength" in page.text
    assert "component 11, " in page.text
    assert "component 12, " not in page.text
    scores = rp.Scores.read(run_folder)
    assert f"Inside error {numerals.percent(scores.inside_error)} ± " in page.text
    assert f"Components for 90\u00a0% of the energy {scores.n90} good: few" in page.text
    assert "Stability" not in page.text  # was not measured
    assert "what each makes of the baseline picture alone" in page.text
    # x, x0, and one pattern of each component that has one; x is stored once.
    held = set(Exhibits.read(run_folder).shown.tolist()) & set(range(12))
    assert len(page.names) == 2 + len(held)


def test_a_computed_or_changed_one_shows_no_scores(loaded):
    assert loaded.folder is not None
    for other in (replace(loaded), loaded.without(0)):
        assert other.folder is None
        page = parsed(displayed(other)["text/html"])
        assert "Inside error" not in page.text
        assert "component 0, strength" in page.text
        assert len(page.names) == 2


def test_a_folder_that_holds_another_run_by_now_tells_nothing(own_folder):
    d = rp.Decomposition.load(own_folder)
    assert "Inside error" in displayed(d)["text/html"]
    manifest = read_json(own_folder / "run.json")
    write_json(own_folder / "run.json", {**manifest, "wall_seconds": 1e9})
    assert "Inside error" not in displayed(d)["text/html"]
    shutil.rmtree(own_folder)
    assert "Inside error" not in displayed(d)["text/html"]


def test_a_run_that_was_not_scored_shows_without(own_folder):
    d = rp.Decomposition.load(own_folder)
    (own_folder / "scores.json").unlink()
    (own_folder / "exhibits.json").write_text("no JSON")
    page = parsed(displayed(d)["text/html"])
    assert "Inside error" not in page.text
    assert len(page.names) == 2


def test_labels_and_the_exact_form_are_shown_too(labelled_folder, exact_folder):
    labelled = parsed(displayed(rp.Decomposition.load(labelled_folder))["text/html"])
    assert "label map of 5 regions" in labelled.text
    exact = rp.Decomposition.load(exact_folder)
    page = parsed(displayed(exact)["text/html"])
    assert "remainder" in page.text
    assert f"Component {exact.remainder} strength" not in page.text


def test_scores_are_a_table(run_folder):
    scores = rp.Scores.read(run_folder)
    page = parsed(displayed(scores)["text/html"])
    for label in ("Inside error", "Leak", "Consistency", "Cost"):
        assert label in page.text
    assert displayed(scores)["text/plain"].startswith("<Scores: pooled inside error ")
    assert repr(rp.Scores()) == "<Scores: nothing measured>"


def test_a_comparison_is_a_table(loaded):
    found = rp.compare([loaded, loaded], names=["one", "<i>two"], draws=1)
    html = displayed(found)["text/html"]
    page = parsed(html)
    assert "<i>two" not in html
    assert "2 pictures: one, <i>two" in page.text
    assert "Overlap of strengths 100\u00a0%" in page.text


def test_baselines_are_a_table(loaded, planted):
    found = rp.baselines(loaded, planted, ["spatial crop"], rp.Evaluation(demands=4))
    page = parsed(displayed(found)["text/html"])
    assert "The same 4 demands, answered otherwise" in page.text
    assert "this decomposition" in page.text
    assert "spatial crop" in page.text
    assert repr(found).startswith("<Comparison on 4 demands: this decomposition ")


def test_what_an_edit_does_is_a_table(loaded, planted):
    found = rp.edit_effects(loaded, planted, rp.Edit.remove([0]))
    page = parsed(displayed(found)["text/html"])
    assert "feature crop, cells that touch" in page.text
    assert f"through components {numerals.percent(found.own.inside)} " in page.text
    assert "error inside" not in page.text  # an edit without another picture aims at none
    assert f"through components {found.own.inside:.1%} inside" in repr(found)


def test_sanity_checks_are_a_table():
    checks = (
        Checked("tail shuffled", "go", "weights behind the cut", 0.25, {}),
        Checked("layer before", "either", "the cut", None, {}, "there is none"),
    )
    found = rp.Sanity({}, checks)
    page = parsed(displayed(found)["text/html"])
    assert "tail shuffled go 25\u00a0%" in page.text
    assert "layer before either –" in page.text
    assert repr(found) == "<Sanity, what is left of the explanation: tail shuffled 25%>"


def test_names_of_others_are_escaped(loaded):
    spoilt = replace(
        loaded, provenance=replace(loaded.provenance, generator="<script>alert(1)</script>")
    )
    html = displayed(spoilt)["text/html"]
    assert "<script" not in html
    assert "<script>alert(1)</script>" in parsed(html).text


def test_equal_results_show_equal_html(loaded, run_folder):
    again = rp.Decomposition.load(run_folder)
    assert displayed(loaded)["text/html"] == displayed(again)["text/html"]


@pytest.mark.parametrize(
    ("missing", "shown"), [("matplotlib", True), ("jinja2", False), ("PIL", False)]
)
def test_what_is_not_installed_leaves_the_text(run_folder, missing, shown):
    code = f"""
import sys
sys.modules[{missing!r}] = None
import regional_primitives as rp
html = rp.Decomposition.load({str(run_folder)!r})._repr_html_()
assert "matplotlib" not in {{name for name in sys.modules if sys.modules[name]}}
print(html is not None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == str(shown)
