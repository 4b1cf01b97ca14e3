"""Settings of minimal features and of the exact form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from regional_primitives.decompose.purpose import BY_PURPOSE, GENERATING, Purpose, decide
from regional_primitives.errors import InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import wholes
from regional_primitives.runtime.settings import check_settings

_Settings = TypeVar("_Settings", bound="Minimal")

_PURPOSES: dict[str, dict[str, Any]] = {
    "generate": {**GENERATING, "stages": 3, "steps": 20, "tolerance": 0.0003},
    "isolate": {
        "outside_weight": 0.1,
        "cost_weight": 0.1,
        "stages": 1,
        "error_floor": 0.0,
        "steps": 200,
        "tolerance": 0.1,
    },
}
"""What each purpose sets where nothing else is said."""

_LEAST = {
    **dict.fromkeys(("steps", "stages", "starts", "batch", "memory_mib"), 1),
    **dict.fromkeys(("sparse_steps", "searches"), 1),
    **dict.fromkeys(("joint_steps", "baseline_count"), 0),
}
"""The least that whole numbers may be."""
_FALL = 0.25
"""What is left of the price of the departure from one stage to the next."""


@dataclass(frozen=True)
class Minimal:
    """Settings of minimal features."""

    patches: Sequence[int] = ()
    """P, the patches that may be demanded; none named means all of the regions."""
    purpose: Purpose = "generate"
    """`generate`: what generates S, as the paper has it. `isolate`: what can be changed in S alone,
    with the least change elsewhere (ours). What is not given below depends on it."""
    outside_weight: float = BY_PURPOSE
    """a, the price of changing patches that are not asked for; 0 leaves them free."""
    cost_weight: float = BY_PURPOSE
    """b, the price of the departure from f0; above 0, or the optimum would not be unique."""
    stages: int = BY_PURPOSE
    """Minimisations one after the other, each from where the last ended and at a quarter of its
    price of the departure, so that needed units end whole."""
    error_floor: float = BY_PURPOSE
    """What a demand departs at the least, in average patches of P: a blank one does not rule."""
    parametrisation: Literal["gated", "free"] = "gated"
    """`gated`: every unit stays between its values in f0 and f. `free`: any feature, which
    generates no better and is less well determined (docs/research/exact-form.md)."""
    surroundings: Literal["baseline", "free"] = "baseline"
    """Pixels outside P: priced like patches that are not asked for, or free."""
    steps: int = BY_PURPOSE
    """Most quasi-Newton steps a demand and stage."""
    tolerance: float = BY_PURPOSE
    """A demand is done when its residual ‖∇E_S‖ · ‖f − f0‖ is no larger; at f0 it is about 30."""
    batch: int = 64
    """Demands that are minimised together, fewer where memory says so."""
    memory_mib: int = 4096
    """What results and the demands at work may take, besides the network itself."""
    warm_start: bool = True
    """Start a demand from those of its subsets that are done; otherwise from f0."""
    starts: int = 1
    """Minimisations a demand size: where fewer demands have that size, each is minimised from
    several starts, and once more from the mean of where they ended."""
    start_noise: float = 0.0
    """Start away from there, by this share of ‖f − f0‖ in a random direction."""
    baseline_count: int = 0
    """Latents whose mean feature is the baseline f0; 0 leaves it to the generator."""
    baseline_seed: int = 0
    """Random stream of those latents."""
    seed: int = 0
    """Random stream of starts away from the usual one."""

    def __post_init__(self) -> None:
        decide(self, self.purpose, _PURPOSES)
        patches = tuple(sorted(wholes("every patch", self.patches, 0)))
        if len(set(patches)) < len(patches):
            raise InputError(f"a patch is named twice in {list(patches)}")
        object.__setattr__(self, "patches", patches)
        check_settings(self, _LEAST)
        for name in ("cost_weight", "tolerance"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0")
        if self.starts > 1 and not self.start_noise:
            raise InputError("several starts must differ: start_noise must be above 0")

    def settled(self: _Settings, generator: Generator) -> _Settings:
        """Fill in what is left to the generator."""
        if self.baseline_count:
            return self
        return replace(self, baseline_count=generator.baseline_count)

    @property
    def prices(self) -> list[float]:
        """The price of the departure in each stage."""
        return [self.cost_weight * _FALL**stage for stage in range(self.stages)]

    def chosen(self, regions: Regions) -> tuple[int, ...]:
        """Return P; refuses a patch that the regions do not have."""
        regions.demand(self.patches)
        return tuple(self.patches) or tuple(range(regions.count))


@dataclass(frozen=True)
class Exact(Minimal):
    """Settings of the exact form: those of minimal features, and how components come of them."""

    form: Literal["sparse", "raw"] = "sparse"
    """`raw`: the plain transform. `sparse`: the sparsest among equally good ones."""
    entry_price: float = 0.1
    """Price of every unit of every component, in units of the noise of the u(S)."""
    group_price: float = 0.1
    """Price of every component as a whole, likewise."""
    sparse_steps: int = 60
    """Steps towards the sparsest representation; they need no evaluations."""
    smallest_strength: float = 0.02
    """Components weaker than this share of the strongest are dropped."""
    joint_steps: int = 8
    """Steps that fit what is left to the pictures; each evaluates all demands about once. More
    generate better, from components that are less well determined."""
    starts: int = 64
    """As in rp.Minimal: of nine patches, 8 starts for each demand of one, 2 of two, 1 of three."""
    start_noise: float = 0.02
    """As in rp.Minimal; two fits differ by it."""
    noise_floor: bool = True
    """Whether to fit twice, independently, and take the mean, so that noise can be told from
    components; otherwise once."""
    searches: int = 1
    """Independent searches for the minimal features, whose mean a fit takes: the noise floor falls
    (by 40 % with four, on one face), and evaluations grow with it."""

    def independent(self, fits: int = 1) -> Exact:
        """Return the settings of the fit so many later; no demand starts where one starts here."""
        return replace(self, seed=self.seed + fits * self.searches)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise_floor and not self.start_noise:
            raise InputError("the noise floor needs fits that differ: start_noise must be above 0")
        if self.searches > 1 and not self.start_noise:
            raise InputError("several searches must differ: start_noise must be above 0")
        if self.smallest_strength >= 1:
            raise InputError("smallest_strength is a share of the strongest, below 1")
