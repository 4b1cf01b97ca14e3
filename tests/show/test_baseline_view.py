"""The comparison with baselines in the report: numbers beside their methods, all points drawn."""

import re
from dataclasses import replace

import pytest
from reading import Run, section, words

from regional_primitives.rivals import Compared, Comparison, Point
from regional_primitives.show.plots import plot_baselines
from regional_primitives.show.score_table import rival_rows


def point(setting, inside, leak, objective):
    return Point(setting, inside, inside / 2, leak, leak / 2, 0.3, objective)


OWN = Compared(
    "this decomposition", "what this run found", "this library", "none",
    (point("as fitted", 0.004, 0.1, 0.02),), 4944, 0.8, 0.84, 120, 86,
)  # fmt: skip
MASKS = Compared(
    "influence alone", "switches on", "ours", "least share",
    (point("2 %", 0.001, 0.6, 0.09), point("20 %", 0.02, 0.3, 0.06)), 144, None, None, None, None,
)  # fmt: skip
COMPARISON = Comparison(OWN, (MASKS,), 128, 16, {"NMF": "it needs packages"})


def test_each_method_stands_at_its_best_setting():
    own, masks = rival_rows(COMPARISON)
    assert masks["setting"] == "20 %"
    assert masks["inside"].replace("\u00a0", " ") == "2.0 % ± 1.0 %"
    assert masks["leak"].replace("\u00a0", " ") == "30 % ± 15 %"
    assert masks["boundedness"] == masks["n90"] == "–"
    assert (own["setting"], own["n90"], own["evaluations"]) == ("", "86 of 120", "4,944")
    assert own["boundedness"] == "0.800"


def test_the_note_says_what_is_compared_and_what_is_left_out(run_folder):
    run = Run(run_folder)
    page = section(run.page(comparison=COMPARISON), "baselines")
    own, masks = re.findall(r"<tr(.*?)>.*?</tr>", page.split("<tbody>")[1], re.S)
    assert ("own" in own, "own" in masks) == (True, False)
    note = words(page)
    assert "the same 128 demands" in note
    assert "NMF is left out: it needs packages." in note
    assert "free optimum" not in note
    assert "estimated from" not in note
    many = replace(COMPARISON, own=replace(OWN, components=12288, patterns=1024))
    note = words(section(run.page(comparison=many), "baselines"))
    assert "decomposition has a boundedness estimated from 1,024 of its 12,288 components." in note
    free = replace(COMPARISON, baselines=(replace(MASKS, name="free optimum"),))
    assert "the first 16" in run.page(comparison=free)


def test_all_points_are_drawn_in_percent():
    (axes,) = plot_baselines(COMPARISON).axes
    drawn = {line.get_label(): line.get_xydata().flatten().tolist() for line in axes.lines}
    assert drawn["influence alone"] == pytest.approx([0.1, 60.0, 2.0, 30.0])
    assert drawn["this decomposition"] == pytest.approx([0.4, 10.0])
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_a_decomposition_fitted_at_several_prices_has_a_frontier_of_its_own():
    points = [
        {"price": 0.1, "inside_error": 0.002, "leak": 0.2},
        {"price": 0.2, "inside_error": 0.004, "leak": 0.1},
    ]
    (axes,) = plot_baselines(COMPARISON, frontier=points).axes
    joined = [line for line in axes.lines if line.get_marker() == "*" and len(line.get_xdata()) > 1]
    assert joined[0].get_xydata().flatten().tolist() == pytest.approx([0.2, 20.0, 0.4, 10.0])


def test_methods_are_told_apart():
    many = tuple(replace(MASKS, name=str(n)) for n in range(8))
    (axes,) = plot_baselines(replace(COMPARISON, baselines=many)).axes
    named = [line for line in axes.lines if not line.get_label().startswith("_")]
    styles = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in named}
    assert len(named) == len(styles) == 9


def test_settings_that_another_beats_stay_unjoined():
    beaten = replace(MASKS, points=(*MASKS.points, point("worse", 0.03, 0.4, 0.2)))
    assert [one.setting for one in beaten.frontier] == ["2 %", "20 %"]
    (axes,) = plot_baselines(replace(COMPARISON, baselines=(beaten,))).axes
    assert axes.lines[0].get_xydata().flatten().tolist() == pytest.approx([3.0, 40.0])
    assert axes.lines[0].get_linestyle() == "None"


def test_an_error_of_nothing_is_drawn_at_the_edge():
    exact = replace(MASKS, points=(point("all", 0.0, 0.5, 0.1),))
    (axes,) = plot_baselines(replace(COMPARISON, baselines=(exact,))).axes
    assert axes.lines[1].get_xydata()[0][0] > 0
