"""The comparison with baselines as a section of the report: a table, a figure, how to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regional_primitives.rivals import Compared, Comparison
from regional_primitives.show import numerals, style
from regional_primitives.show.baseline_plots import plot_baselines
from regional_primitives.show.pixels import data_uri

__all__ = ["BaselineRow", "BaselineView", "baseline_rows", "baseline_view"]


_NONE = "–"


@dataclass(frozen=True)
class BaselineRow:
    """One method at the setting that serves it best, ready to print."""

    name: str
    about: str
    setting: str
    inside: str
    leak: str
    objective: str
    boundedness: str
    consistency: str
    n90: str
    evaluations: str
    own: bool


@dataclass(frozen=True)
class BaselineView:
    """The section."""

    note: str
    rows: tuple[BaselineRow, ...]
    light: str
    dark: str
    label: str
    width: int
    """CSS pixels at which the figure's text has the size that it was drawn with."""


def baseline_view(
    comparison: Comparison, frontier: Sequence[Mapping[str, float]] | None = None
) -> BaselineView:
    """Tell a comparison; `frontier` is the decomposition's own, as in `Scores.frontier`.

    Raises:
        MissingExtraError: a package that only the report needs is not installed.
    """
    figure = plot_baselines(comparison, frontier=frontier)
    drawing = style.svg(figure).encode("utf-8")
    dark = style.darkened(drawing.decode("utf-8")).encode("utf-8")
    return BaselineView(
        note=_note(comparison),
        rows=baseline_rows(comparison),
        light=data_uri(drawing, "image/svg+xml"),
        dark=data_uri(dark, "image/svg+xml"),
        label="Leak against inside error of this decomposition and of the baselines.",
        width=round(96 * figure.get_figwidth()),
    )


def baseline_rows(comparison: Comparison) -> tuple[BaselineRow, ...]:
    """Tell every method at the setting that serves it best, the decomposition first."""
    methods = (comparison.own, *comparison.baselines)
    return tuple(_row(method, own=method is comparison.own) for method in methods)


def _row(method: Compared, *, own: bool) -> BaselineRow:
    best = method.best
    alone = len(method.points) == 1

    def of_components(value: float | None) -> str:
        return _NONE if value is None else numerals.decimal(value)

    return BaselineRow(
        name=method.name,
        about=f"{method.about} ({method.source})",
        setting="" if alone else best.setting,
        inside=f"{numerals.percent(best.inside_error)} ± "
        f"{numerals.percent(best.inside_error_spread)}",
        leak=f"{numerals.percent(best.leak)} ± {numerals.percent(best.leak_spread)}",
        objective=numerals.decimal(best.objective),
        boundedness=of_components(method.boundedness),
        consistency=of_components(method.consistency),
        n90=_NONE
        if method.n90 is None
        else f"{numerals.count(method.n90)} of {numerals.count(method.components or 0)}",
        evaluations=numerals.count(method.evaluations),
        own=own,
    )


def _note(comparison: Comparison) -> str:
    told = [
        f"All methods answer the same {numerals.count(comparison.demands)} demands",
        f"(the free optimum the first {numerals.count(comparison.free_demands)} of them)."
        if any(method.name == "free optimum" for method in comparison.baselines)
        else "",
        "A method with a knob is shown at the setting with the lowest objective, that of this "
        "decomposition's own fit; the figure joins the settings that no other of the method "
        "beats, the rest are hollow. ± is the standard deviation over demands. Evaluations are "
        "forward-and-backward runs of the tail, for all settings. A dash: the method has no "
        "components.",
        *(f"{name} is left out: {why}." for name, why in comparison.left_out.items()),
    ]
    return numerals.unbroken(" ".join(text for text in told if text))
