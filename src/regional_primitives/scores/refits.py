"""What another fit of the same picture would have said: stability over seeds, and the frontier.

Both are ours. Stability is Σ min / Σ max over fields of the two fits' strengths; the frontier is
leak against inside error as the price of leak varies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.exact import Exact
from regional_primitives.decompose.explain import explain
from regional_primitives.decompose.purpose import varied_price
from regional_primitives.decompose.structured import Structured
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.progress import Progress, silent
from regional_primitives.scores.agreement import stability
from regional_primitives.scores.demands import demand_errors
from regional_primitives.scores.evaluation import Measurement

_PRICES = (0.4, 2.0)
"""The frontier's other points: multiples of the price of leak."""


def refit_scores(measurement: Measurement) -> dict[str, Any]:
    """Fit the picture three times more, if that was asked for and a fit made its components."""
    origin = measurement.whole.decomposition.provenance
    if not measurement.settings.refits or not origin.fitted:
        return {}
    picture, progress = measurement.parts, measurement.progress
    components = picture.decomposition
    second = second_fit(components, picture.generator, progress)
    fields_alike, units_alike = stability(components, second.without(second.remainder))
    points = []
    for price, fit in frontier_fits(components, picture.generator, progress):
        features = fit.minimal_units(measurement.demands)
        means = demand_errors(picture, measurement.demands, features).means()
        point = {"inside_error": means["inside_error"], "leak": means["leak"]}
        points.append({"price": price, **point})
    return {"stability": fields_alike, "unit_stability": units_alike, "frontier": points}


def second_fit(
    decomposition: Decomposition, generator: Generator, progress: Progress = silent
) -> Decomposition:
    """Fit the same picture with the same settings and a random stream that no fit has used."""
    settings = _settings(decomposition)
    if isinstance(settings, Exact):
        # After the exact form's own two fits, whose difference is its noise floor.
        changed: Structured | Exact = settings.independent(2)
    else:
        changed = replace(settings, seed=settings.seed + 1)
    return _fit(decomposition, generator, changed, progress)


def frontier_fits(
    decomposition: Decomposition,
    generator: Generator,
    progress: Progress = silent,
    factors: Sequence[float] = _PRICES,
) -> list[tuple[float, Decomposition]]:
    """Fit the same picture at other prices of leak; return each price with its result.

    The decomposition itself is one of them; prices ascend. `factors` are multiples of its own.
    Where leak has no price, as with the purpose `generate`, the price of the departure varies.
    """
    settings = _settings(decomposition)
    name, _ = varied_price(asdict(settings))
    own = getattr(settings, name)
    found = [(own, decomposition)]
    for factor in factors:
        changed = replace(settings, **{name: factor * own})
        found.append((factor * own, _fit(decomposition, generator, changed, progress)))
    return sorted(found, key=lambda point: point[0])


def _settings(decomposition: Decomposition) -> Structured | Exact:
    """Return the settings of the fit; another fit of the exact form needs no noise floor."""
    known = decomposition.provenance.settings
    if decomposition.provenance.method == "exact":
        purpose = decomposition.provenance.purpose  # which older runs do not name
        return Exact(**{**known, "purpose": purpose, "noise_floor": False})
    return Structured.from_dict(known)


def _fit(
    decomposition: Decomposition,
    generator: Generator,
    settings: Structured | Exact,
    progress: Progress,
) -> Decomposition:
    def renamed(stage: str, done: int, total: int, note: str = "") -> None:
        price = getattr(settings, varied_price(asdict(settings))[0])
        progress(f"re{stage} {settings.seed}/{price:g}", done, total, note)

    return explain(
        generator, decomposition.latents, decomposition.regions, settings, progress=renamed
    )
