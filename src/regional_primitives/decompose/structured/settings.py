"""Settings of the structured form, and what a purpose and a quality change of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from regional_primitives.decompose.purpose import BY_PURPOSE, GENERATING, Purpose, decide
from regional_primitives.errors import InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.settings import check_settings

PURPOSES: dict[str, dict[str, Any]] = {
    "generate": {
        **GENERATING,
        "singles": 2,
        "price_decay": 3.0,
        "consistency_weight": 0.2,
        "sparsity_weight": 0.01,
        "ties_from": 0.3,
        "undecided_power": 3.0,
        "give_back": 0.0,
        "influence_sharpness": 10.0,
        "tolerance": 0.0,
    },
    "isolate": {
        "singles": 0,
        "error_floor": 0.0,
        "outside_weight": 0.2,
        "cost_weight": 0.02,
        "price_decay": 0.0,
        "consistency_weight": 0.03,
        "sparsity_weight": 0.003,
        "ties_from": 0.0,
        "undecided_power": 0.0,
        "give_back": 0.6,
        "influence_sharpness": 3.0,
        "tolerance": 1e-3,
    },
}
"""What each purpose sets where nothing else is said.

`generate` prices nothing that moves a planted answer: leak contradicts the OR law, squared and
lasting prices shrink, take-back mixes. Group sparsity and consistency would move it too, and so
they break ties alone: they act on units that the demands leave undecided, once these have had time
to decide (docs/research/planted-answers.md).
"""

QUALITIES: dict[str, dict[str, dict[str, Any]]] = {
    "fast": {
        "generate": {
            "steps": 103,
            "batch": 4,
            "singles": 1,
            "probes": 4,
            "learning_rate": 0.3,
            "boundedness_weight": 0.4,
        },
        "isolate": {
            "steps": 112,
            "trials": 0,
            "probes": 2,
            "learning_rate": 0.3,
            "influence_sharpness": 8.0,
            "size_penalty": 0.35,
            "outside_weight": 0.08,
            "sparsity_weight": 0.001,
        },
    },
    "balanced": {},
    "best": {key: {"steps": 1600, "learning_rate": 0.08} for key in PURPOSES},
}
"""Settings that differ from the defaults, by name of a quality and purpose.

With few evaluations `isolate` spends them on the demands alone and tries no components; with so few
steps the start matters more, and a sharper one makes the demanded patches exact sooner. `generate`
reaches small errors soon, and tries as many components as it asks demands.
"""


def preset(quality: str = "balanced", purpose: str = "generate") -> dict[str, Any]:
    """Return what a quality changes of a purpose's defaults.

    Raises:
        InputError: no such quality, or no such purpose.
    """
    for name, chosen, known in (("quality", quality, QUALITIES), ("purpose", purpose, PURPOSES)):
        if chosen not in list(known):  # what has no hash, too
            raise InputError(f"{name} is {', '.join(known)}, not {chosen!r}")
    return dict(QUALITIES[quality].get(purpose, {}))


_MOST_PRODUCTS = 720
"""Of influence in all: few patches are probed more often each, many not below the next."""
_FEWEST_PROBES = 4


@dataclass(frozen=True)
class Structured:
    """Settings of the structured form. The defaults cost about 4,900 evaluations on 36 patches.

    What is not given depends on the purpose (`PURPOSES`), once: `dataclasses.replace` with another
    purpose keeps the prices of the one before, so make new settings for it.
    """

    purpose: Purpose = "generate"
    """`generate`: what generates S, the paper's minimal features (arXiv 2410.04421), whatever else
    comes along. `isolate`: what can be changed in S alone, with least leak, for edits (ours)."""
    steps: int = 350
    """Most optimisation steps."""
    batch: int = 8
    """Fresh random demands a step, each one forward-and-backward evaluation of the tail."""
    trials: int = 2
    """Components a step that are tried alone and left out, each two evaluations."""
    singles: int = BY_PURPOSE
    """How many of a step's demands are for one patch, each patch in its turn."""
    error_floor: float = BY_PURPOSE
    """What a demand departs at the least, in average patches: a blank one does not rule the fit."""
    learning_rate: float = 0.13
    """Adam's first step size on the logits; falls linearly to zero over `steps`."""
    outside_weight: float = BY_PURPOSE
    """Price of leak relative to inside error: higher leaks less and generates less exactly."""
    cost_weight: float = BY_PURPOSE
    """Price of the share of the feature that a demand switches on."""
    price_decay: float = BY_PURPOSE
    """How fast that price falls to zero as the fit converges: with (1 − step / steps) to this
    power, so that needed units end whole; 0 keeps it."""
    boundedness_weight: float = 0.24
    """Price of what a tried component changes outside its action field."""
    consistency_weight: float = BY_PURPOSE
    """Price of how much a tried component's pattern depends on its company; from `ties_from` on."""
    sparsity_weight: float = BY_PURPOSE
    """Price of Σ_T ‖Δf_T‖ / ‖f − f0‖, which gathers the feature in few strong components; from
    `ties_from` on."""
    ties_from: float = BY_PURPOSE
    """After which share of the steps these two prices count."""
    undecided_power: float = BY_PURPOSE
    """From then on trials and sparsity act on a unit times (1 − its largest share) to this power:
    what the demands decide stays, what they leave open is gathered in few consistent components."""
    give_back: float = BY_PURPOSE
    """The most of itself that a unit may take back where its neighbours spill over; 0 lets units
    only switch on, leaks more, and has patterns that add up better."""
    probes: int = 20
    """Vector–Jacobian products a patch that measure influence before the fit; fewer where that
    would be more than 720 in all, but not below 4."""
    influence_sharpness: float = BY_PURPOSE
    """How much the start favours fields that hold a site's influence."""
    size_penalty: float = 0.5
    """How much the start disfavours each further patch of a field."""
    reach_threshold: float = 4e-3
    """A site reaches the patches that get at least this share of its influence."""
    most_candidates: int = 512
    """No site chooses among more fields than this."""
    smallest_share: float = 1e-3
    """Shares |w_T| of a unit below this are dropped; the largest takes up what they held."""
    tolerance: float = BY_PURPOSE
    """Stop early once 10 steps of full size move less than this share of the feature."""
    baseline_count: int = 0
    """Latents whose mean feature is the baseline f0; 0 leaves it to the generator (4,096 unless it
    says otherwise)."""
    baseline_seed: int = 0
    """Random stream of those latents."""
    seed: int = 0
    """Random stream of demands, trials and influence probes."""

    def __post_init__(self) -> None:
        decide(self, self.purpose, PURPOSES)
        least = {"steps": 1, "batch": 1, "trials": 0, "probes": 1, "most_candidates": 1}
        check_settings(self, {**least, "baseline_count": 0, "singles": 0})
        if self.singles > self.batch:
            raise InputError("singles must be no more than batch")
        if self.ties_from > 1:
            raise InputError("ties_from must be no more than 1")
        if not self.learning_rate > 0:
            raise InputError("learning_rate must be above 0")
        if self.smallest_share >= 0.5 or self.reach_threshold >= 0.5:
            raise InputError("smallest_share and reach_threshold must be below 0.5")

    @staticmethod
    def of_quality(quality: str = "balanced", purpose: str = "generate") -> Structured:
        """Return the settings for a budget: `fast` (about 850 evaluations on 36 patches),
        `balanced` (the defaults, 5,000) or `best` (20,000).

        Raises:
            InputError: another word.
        """
        return Structured(**{**preset(quality, purpose), "purpose": purpose})

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> Structured:
        """Read settings that a run was stored with.

        Raises:
            InputError: settings that this release does not know.
        """
        unknown = set(stored) - {field.name for field in fields(Structured)}
        if unknown:
            raise InputError(
                f"the run was fitted by an earlier release (its settings include "
                f"{', '.join(sorted(unknown))}); explain the picture again"
            )
        # Before purposes had names there was one; before ties had prices, nothing acted on them.
        return Structured(
            **{"purpose": "isolate", "ties_from": 0.0, "undecided_power": 0.0, **stored}
        )

    def probes_a_patch(self, patches: int) -> int:
        """Return how many products measure the influence on each of so many patches."""
        return min(self.probes, max(_FEWEST_PROBES, _MOST_PRODUCTS // patches))

    def settled(self, generator: Generator) -> Structured:
        """Fill in what is left to the generator."""
        if self.baseline_count:
            return self
        return replace(self, baseline_count=generator.baseline_count)
