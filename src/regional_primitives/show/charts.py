"""The report's figures, each with a caption that says what to see, for light and for dark pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.purpose import varied_price
from regional_primitives.scores import Scores
from regional_primitives.show import form, noise_plots, numerals, plots, style
from regional_primitives.show.pixels import data_uri

__all__ = ["Chart", "report_charts"]


@dataclass(frozen=True)
class Chart:
    """A figure as two data URIs, with words."""

    light: str
    dark: str
    label: str
    caption: str


def report_charts(decomposition: Decomposition, scores: Scores) -> tuple[Chart, ...]:
    """Draw all figures that the run has numbers for."""
    return tuple(
        Chart(
            light=_uri(drawing := style.svg(figure)),
            dark=_uri(style.darkened(drawing)),
            label=label,
            caption=numerals.unbroken(caption),
        )
        for figure, label, caption in _figures(decomposition, scores)
    )


def _uri(drawing: str) -> str:
    return data_uri(drawing.encode("utf-8"), "image/svg+xml")


def _figures(decomposition: Decomposition, scores: Scores) -> Iterator[tuple[Any, str, str]]:
    """Yield each figure, its text alternative, and its caption; the remainder is in none."""
    exact = form.is_exact(decomposition)
    decomposition = form.apart(decomposition)
    if scores.components and scores.n50 and scores.n90:
        yield (
            plots.plot_sparsity(decomposition, scores),
            f"Sparsity curve: {scores.n50} components carry half of the strength.",
            "The further left the curve rises, the fewer components matter. Of "
            f"{numerals.count(scores.components)}, {numerals.count(scores.n50)} carry half of the "
            f"summed squared strength and {numerals.count(scores.n90)} carry 90 %.",
        )
    if scores.top_inside_error:
        last = max(scores.top_inside_error)
        remaining = numerals.percent(scores.top_inside_error[last])
        yield (
            plots.plot_top_error(scores),
            f"Inside error by the number of components kept; all leave {remaining}.",
            "How wrong the demanded patches are when only the K strongest components are kept, on "
            f"the {'scores’' if exact else 'held-out'} demands; all {numerals.count(last)} leave "
            f"{remaining}. 100 % is as wrong as the baseline. A long flat start means "
            "that no handful of components makes the picture.",
        )
    if scores.field_sizes:
        largest = max(scores.field_sizes, key=lambda size: scores.field_sizes[size])
        most = numerals.percent(scores.field_sizes[largest])
        yield (
            plots.plot_field_sizes(decomposition, scores),
            f"Strength by size of the action field; most, {most}, at {numerals.patches(largest)}.",
            "Small fields say that the layer works locally, large ones that it decides over whole "
            f"areas at once. The largest part, {most}, is in fields of "
            f"{numerals.patches(largest)}.",
        )
    if decomposition.noise is not None:
        above, count = int(decomposition.significant.sum()), decomposition.count
        yield (
            noise_plots.plot_noise(decomposition),
            f"Strength by order with the noise floor; {above} of {count} components lie above it.",
            "The line is how much components of as many patches differ between two fits from "
            f"different starts. {numerals.count(above)} of {numerals.count(count)} components are "
            "stronger; one below the line may be nothing but noise, and one just above it still "
            "holds much noise.",
        )
    if len(decomposition.history):
        ending = (
            "The fit stopped because components no longer moved."
            if decomposition.provenance.converged
            else "The fit used all its steps before the components stood still."
        )
        yield (
            plots.plot_history(decomposition),
            "Inside error, leak and cost at each step of the fit.",
            "Inside error and leak fall, then flatten out if the fit has had enough steps. Each "
            f"step draws new demands, so the thin lines scatter. {ending}",
        )
    if scores.frontier:
        settings = decomposition.provenance.settings
        name, words = varied_price(settings)
        price = settings.get(name)
        ours = f"; this run's price is {price:g}" if isinstance(price, float) else ""
        yield (
            plots.plot_frontier(scores),
            f"Leak against inside error at several prices of {words}.",
            f"Each point is a fit of this picture at another price of {words}{ours}. Lower and "
            "further left is better; a method beats another where its curve lies below.",
        )
