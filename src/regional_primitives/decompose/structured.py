"""The structured form: every unit divides itself among action fields, and the demands are fitted.

u(S) = f0 + p_S ⊙ (f − f0),  p_S = Σ_{T∩S≠∅} w_T,  Σ_T w_T = 1 for every unit, so that
Δf_T = w_T ⊙ (f − f0) and feature completeness and linear additivity (arXiv 2410.04421) hold by
construction. Shares are w_T = a_T + c_T − (Σ c) a_T: a ≥ 0 with Σ_T a_T = 1, plus signed
corrections c under an L1 price, with which a unit can take back at a border what another spills
over it. Without corrections w_T ≥ 0 and p_S grows with S. The form, its loss and its start from
measured influence are ours; it takes all patches where the paper's 2ⁿ subsets allow 9.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regional_primitives.decompose.candidates import Candidates, Layout, candidate_fields
from regional_primitives.decompose.demands import draw_demands
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.influence import measure_influence
from regional_primitives.decompose.subject import Subject
from regional_primitives.errors import GeneratorError, InputError, require_whole
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.progress import Progress, silent

__all__ = ["Fit", "Structured", "fit_structured"]


_CHECK_EVERY = 10
"""Steps between two looks at whether the components still move."""

_MOST_UNKNOWNS = 48 * 2**20
"""Logits of one fit; a larger feature gets fewer candidate fields a site."""
_FEWEST_CANDIDATES = 16


@dataclass(frozen=True)
class Structured:
    """Settings of the structured form. The defaults cost about 4,900 evaluations on 36 patches."""

    steps: int = 200
    """Most optimisation steps; each fits `batch` fresh random demands."""
    batch: int = 24
    """Demands a step, each one forward-and-backward evaluation of the tail."""
    learning_rate: float = 0.3
    """Adam's first step size on the logits; falls linearly to zero over `steps`."""
    outside_weight: float = 0.1
    """Price of leak relative to inside error: higher leaks less and generates less exactly."""
    cost_weight: float = 0.05
    """Price of the share of the feature that a demand switches on."""
    signed: bool = False
    """Whether shares may be negative: less leak on some pictures, cancelling patterns on others."""
    correction_weight: float = 0.02
    """Price of the share of the feature that signed corrections move."""
    correction_rate: float = 0.3
    """Step size of the corrections over that of the logits."""
    probes: int = 4
    """Vector–Jacobian products a patch that measure influence before the fit."""
    influence_sharpness: float = 6.0
    """How much the start favours fields that hold a unit's influence."""
    size_penalty: float = 0.35
    """How much the start disfavours each further patch of a field."""
    reach_threshold: float = 1e-3
    """A site reaches the patches that get at least this share of its influence."""
    most_candidates: int = 512
    """No site chooses among more fields than this."""
    smallest_share: float = 1e-3
    """Shares |w_T| of a unit below this are dropped; the largest takes up what they held."""
    tolerance: float = 1e-3
    """Stop early once 10 steps of full size move less than this share of the feature."""
    baseline_count: int = 0
    """Latents whose mean feature is the baseline f0; 0 leaves it to the generator (4,096 unless it
    says otherwise)."""
    baseline_seed: int = 0
    """Random stream of those latents."""
    seed: int = 0
    """Random stream of demands and influence probes."""

    def __post_init__(self) -> None:
        at_least = {"steps": 1, "batch": 1, "probes": 1, "most_candidates": 1, "baseline_count": 0}
        for name, least in at_least.items():
            require_whole(name, getattr(self, name), least)
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "float" and not (
                isinstance(value, (int, float)) and math.isfinite(value) and value >= 0
            ):
                raise InputError(f"{field.name} must be a number of at least 0, not {value}")
        if not self.learning_rate > 0:
            raise InputError("learning_rate must be above 0")
        if self.smallest_share >= 0.5 or self.reach_threshold >= 0.5:
            raise InputError("smallest_share and reach_threshold must be below 0.5")

    def settled(self, generator: Generator) -> Structured:
        """Fill in what is left to the generator."""
        if self.baseline_count:
            return self
        return replace(self, baseline_count=generator.baseline_count)


@dataclass(frozen=True, eq=False)
class Fit:
    """What the structured fit found, and what it cost."""

    fields: Bool[Tensor, "fields patches"]
    field_of: Tensor
    """[entries] the field of each kept share, ascending."""
    unit_of: Tensor
    """[entries] its unit."""
    share: Float[Tensor, " entries"]
    """[entries] w_T of that unit; the shares of a unit sum to 1."""
    history: Float[Tensor, "steps 3"]
    """Mean inside error, leak and cost of each step's own demands."""
    evaluations: int
    """Forward-and-backward evaluations of the tail."""
    converged: bool
    """Whether the components stopped moving before the last step."""
    wall_seconds: float
    """All of the fit, influence and field selection included."""
    tail_seconds: float
    """The part of it spent in the tail, forward and backward."""


def fit_structured(subject: Subject, settings: Structured, progress: Progress = silent) -> Fit:
    """Fit the structured form to random demands.

    Deterministic for a seed on the CPU (same machine and thread count).

    Raises:
        GeneratorError: the loss is not finite.
    """
    began = time.perf_counter()
    evaluations = Evaluations(subject.generator)
    influence = measure_influence(
        subject, evaluations, settings.probes, settings.seed, settings.batch
    )
    model = _Model.start(subject, influence, settings)
    rates = (settings.learning_rate, settings.learning_rate * settings.correction_rate)
    unknowns = [{"params": group} for group in model.unknowns]
    optimizer = torch.optim.Adam(unknowns, lr=settings.learning_rate, betas=(0.9, 0.99), fused=True)
    history: list[Tensor] = []
    checked = model.shares()
    converged = False
    while len(history) < settings.steps and not converged:
        step = len(history)
        for group, rate in zip(optimizer.param_groups, rates, strict=False):
            group["lr"] = rate * (1 - step / settings.steps)
        optimizer.zero_grad()
        history.append(_backward(subject, evaluations, model, settings, step))
        if not bool(history[-1].isfinite().all()):
            raise GeneratorError(f"the fit diverged: its loss is not finite at step {step + 1}")
        optimizer.step()
        if len(history) % _CHECK_EVERY == 0:
            shares = model.shares()
            # Late steps are small by themselves; what counts is what full steps would move.
            stillness = model.moved(checked, shares) / (1 - step / settings.steps)
            converged = stillness < settings.tolerance
            checked = shares
        inside, leak, _ = torch.stack(history[-_CHECK_EVERY:]).mean(0).tolist()
        total = len(history) if converged else settings.steps
        progress("fit", len(history), total, f"inside error {inside:.2%}, leak {leak:.1%}")
    field_of, unit_of, share = model.kept_shares(settings.smallest_share)
    return Fit(
        fields=model.fields.cpu(),
        field_of=field_of,
        unit_of=unit_of,
        share=share,
        history=torch.stack(history).cpu(),
        evaluations=evaluations.count,
        converged=converged,
        wall_seconds=time.perf_counter() - began,
        tail_seconds=evaluations.seconds,
    )


def _backward(
    subject: Subject, evaluations: Evaluations, model: _Model, settings: Structured, step: int
) -> Float[Tensor, " figures"]:
    """Add one step's gradient to the logits; return inside error, leak and cost of its demands.

    A batch that would not fit the generator's memory budget goes through in chunks.
    """
    batch = settings.batch
    demands = draw_demands(subject.regions, batch, settings.seed, "fit", start=step * batch)
    figures = torch.zeros(3, device=subject.units.device)
    for chunk in demands.to(subject.units.device).split(subject.generator.chunk):
        share = len(chunk) / batch
        units, cost, moved = model.switched(chunk)

        def loss(
            images: Tensor, chunk: Tensor = chunk, share: float = share
        ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            inside = subject.errors.inside(images, chunk).mean()
            leak = subject.errors.outside(images, chunk).mean()
            weighted = inside + settings.outside_weight * leak
            return share * weighted, (inside.detach(), leak.detach())

        gradient, (inside, leak) = evaluations.gradient(
            subject.baseline_units + units.detach(), loss
        )
        price = share * (settings.cost_weight * cost + settings.correction_weight * moved)
        torch.autograd.backward([units, price], [gradient, torch.ones_like(price)])
        figures += share * torch.stack([inside, leak, cost.detach()])
    return figures


@dataclass(frozen=True, eq=False)
class _Part:
    """The unknowns of one tensor: for each of a site's candidate fields, a logit a unit."""

    layout: Layout
    candidates: Candidates
    difference: Float[Tensor, "sites channels"]
    weight: Float[Tensor, "sites channels"]
    """Each unit's share of ‖f − f0‖₁ of the whole feature."""
    logits: Float[Tensor, "sites slots channels"]
    corrections: Float[Tensor, "sites slots channels"] | None

    @staticmethod
    def start(
        layout: Layout,
        candidates: Candidates,
        influence: Float[Tensor, "patches sites channels"],
        units: Float[Tensor, " units"],
        settings: Structured,
    ) -> _Part:
        """Start from measured influence: a field is likely that holds it and is small."""
        share = influence / influence.sum(0).clamp_min(torch.finfo(torch.float32).tiny)
        member = candidates.fields.float()[candidates.index]  # [sites, slots, n]
        held = member @ share.transpose(0, 1)  # [sites, slots, channels]
        size = member.sum(-1, keepdim=True)
        logits = settings.influence_sharpness * held - settings.size_penalty * size
        logits.masked_fill_(~candidates.valid[..., None], -torch.inf)
        difference = layout.by_site(units).contiguous()
        return _Part(
            layout,
            candidates,
            difference,
            difference.abs() / units.abs().sum(),
            logits.requires_grad_(True),
            torch.zeros_like(logits).requires_grad_(True) if settings.signed else None,
        )

    def shares(self) -> Float[Tensor, "sites slots channels"]:
        """Return w_T of every unit over its site's candidates."""
        base = self.logits.softmax(1)
        if self.corrections is None:
            return base
        corrections = self.corrections * self.candidates.valid[..., None]
        return base + corrections - corrections.sum(1, keepdim=True) * base

    def switched(
        self, asked: Float[Tensor, "batch fields"]
    ) -> tuple[Float[Tensor, "batch units"], Float[Tensor, ""], Float[Tensor, ""]]:
        """Return p_S ⊙ (f − f0) of each demand, the mean cost of p_S, the size of corrections."""
        per_site = asked[:, self.candidates.index.flatten()].unflatten(
            1, self.candidates.index.shape
        )
        on = per_site.transpose(0, 1) @ self.shares()  # [sites, batch, channels]
        units = self.layout.flat((on * self.difference[:, None]).transpose(0, 1))
        cost = (on.abs().mean(1) * self.weight).sum()
        if self.corrections is None:
            return units, cost, torch.zeros_like(cost)
        return units, cost, (self.corrections.abs().sum(1) * self.weight).sum()

    @torch.no_grad()
    def kept_shares(self, smallest: float) -> tuple[Tensor, Tensor, Tensor]:
        """Drop shares below `smallest` and list the rest as (field, unit, share)."""
        shares = self.shares()
        # Every unit keeps its largest share even where all are small.
        largest = torch.zeros_like(shares).scatter_(1, shares.argmax(1, keepdim=True), 1.0)
        kept = shares * ((shares.abs() >= smallest) | (largest > 0))
        # What was dropped goes to the largest share, so that completeness stays exact.
        kept = kept + largest * (1 - kept.sum(1, keepdim=True))
        kept = kept * (self.difference != 0)[:, None]
        sites, slots, channels = kept.nonzero(as_tuple=True)
        end = self.layout.start + self.layout.units
        places = self.layout.by_site(torch.arange(end, device=kept.device))
        return (
            self.candidates.index[sites, slots],
            places[sites, channels],
            kept[sites, slots, channels],
        )


@dataclass(frozen=True, eq=False)
class _Model:
    """The unknowns of a whole feature, tensor by tensor."""

    fields: Bool[Tensor, "fields patches"]
    parts: list[_Part]

    @staticmethod
    def start(
        subject: Subject, influence: Float[Tensor, "patches units"], settings: Structured
    ) -> _Model:
        """Choose each site's candidates and start from measured influence."""
        layouts = Layout.of(subject.feature_shape)
        by_site = [layout.by_site(influence) for layout in layouts]
        affordable = max(_FEWEST_CANDIDATES, _MOST_UNKNOWNS // influence.shape[1])
        candidates = candidate_fields(
            subject.regions,
            torch.cat([part.sum(-1) for part in by_site], 1),
            settings.reach_threshold,
            min(settings.most_candidates, affordable),
        )
        parts = [
            _Part.start(layout, mine, part, subject.difference, settings)
            for layout, mine, part in zip(
                layouts,
                candidates.split([layout.sites for layout in layouts]),
                by_site,
                strict=True,
            )
        ]
        return _Model(candidates.fields, parts)

    @property
    def unknowns(self) -> list[list[Tensor]]:
        """The tensors that are fitted: logits, and corrections if there are any."""
        corrections = [part.corrections for part in self.parts if part.corrections is not None]
        groups: list[list[Tensor]] = [[part.logits for part in self.parts]]
        return [*groups, list(corrections)] if corrections else groups

    def shares(self) -> list[Tensor]:
        """Return every tensor's w_T."""
        return [part.shares().detach() for part in self.parts]

    def switched(
        self, demands: Bool[Tensor, "batch patches"]
    ) -> tuple[Float[Tensor, "batch units"], Float[Tensor, ""], Float[Tensor, ""]]:
        """Return p_S ⊙ (f − f0) of each demand, the mean cost of p_S, the size of corrections."""
        asked = (demands.float() @ self.fields.float().T > 0).float()
        units, costs, moved = zip(*(part.switched(asked) for part in self.parts), strict=True)
        return torch.cat(units, 1), torch.stack(costs).sum(), torch.stack(moved).sum()

    def moved(self, before: list[Tensor], after: list[Tensor]) -> float:
        """Return which share of the feature changed its field between two states."""
        moved = [
            ((b - a).abs().sum(1) * part.weight).sum()
            for part, a, b in zip(self.parts, before, after, strict=True)
        ]
        return float(torch.stack(moved).sum()) / 2

    def kept_shares(self, smallest: float) -> tuple[Tensor, Tensor, Tensor]:
        """Drop shares below `smallest` and list the rest as (field, unit, share), by field.

        A unit that equals its baseline belongs to no component.
        """
        lists = zip(*(part.kept_shares(smallest) for part in self.parts), strict=True)
        field_of, unit_of, share = (torch.cat(entries) for entries in lists)
        units = sum(part.layout.units for part in self.parts)
        order = (field_of * units + unit_of).argsort()
        return field_of[order].cpu(), unit_of[order].cpu(), share[order].cpu()
