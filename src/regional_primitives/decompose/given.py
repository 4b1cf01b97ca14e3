"""Settings of components that another method made: whose they are, and how they are judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

from regional_primitives.decompose.purpose import BY_PURPOSE, Purpose, decide
from regional_primitives.decompose.structured.settings import PURPOSES
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.arguments import all_of_kind, of_kind, real
from regional_primitives.runtime.settings import check_settings

_PRICES = ("outside_weight", "cost_weight", "give_back")
DEFAULT_SHARE = 0.9
_MOST = 0.9999
"""Above it, fields would follow what rounding changes."""


@dataclass(frozen=True)
class Given:
    """What is on record of components that were not fitted here."""

    name: str = "components"
    """The method's name."""
    kind: str = "components"
    """In what form its answer came."""
    share: float | None = DEFAULT_SHARE
    """How much of what a component alone changes its action field holds, at least 0.01 and
    at most 0.9999; None of a method whose components came with fields."""
    labels: tuple[str, ...] = ()
    """What the method calls its components, strongest first; empty where it has no names."""
    purpose: Purpose = "generate"
    """Which question they are judged by, at the prices of a fit for it."""
    outside_weight: float = BY_PURPOSE
    cost_weight: float = BY_PURPOSE
    give_back: float = BY_PURPOSE
    baseline_count: int = 0
    """Latents whose mean feature is the baseline f0; 0 leaves it to the generator."""
    baseline_seed: int = 0
    """Random stream of those latents."""

    def __post_init__(self) -> None:
        prices = {
            name: {price: found[price] for price in _PRICES} for name, found in PURPOSES.items()
        }
        decide(self, self.purpose, prices)
        check_settings(self, {"baseline_count": 0})
        for name in ("name", "kind"):
            of_kind(getattr(self, name), str, f"the {name} of a method is a text")
        labels = all_of_kind(self.labels, str, "labels of components are texts")
        object.__setattr__(self, "labels", labels)
        if self.share is not None:
            object.__setattr__(self, "share", real("share", self.share, 0.01, _MOST))

    def settled(self, generator: Generator) -> Given:
        """Fill in what is left to the generator."""
        if self.baseline_count:
            return self
        return replace(self, baseline_count=generator.baseline_count)
