"""From a sweep, a start: whether explained pictures halve what a further one costs.

    primitives sweep faces --seeds 0:120 --regions parts --quality fast --out runs/starts-faces
    primitives sweep vae-faces --seeds 0:50 --regions parts --quality fast --out runs/starts-vae
    primitives sweep vae-faces --seeds 0:30 --quality fast --out runs/starts-grid
    .venv/bin/python benchmarks/starts.py [--sweep runs/starts-faces/main.5] [--stage choose] \
        [--first PLANS] [--table]

The last ten pictures of a sweep are held out; on the first of the ten before, starts were chosen
(`--stage choose`); all others are what is known. Fits are those of `rp.explain` at the sweep's own
settings, but for the start and the steps. Goes on where it stood. Writes
benchmarks/results/starts.json after every fit, and the tables of docs/research/starts.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import record
import torch
from pages import renew, table
from torch import Tensor

import regional_primitives as rp
from regional_primitives.decompose.evaluations import Evaluations
from regional_primitives.decompose.structured import fit, shares
from regional_primitives.decompose.structured.candidates import Layout, level_sets
from regional_primitives.decompose.structured.influence import measure_influence
from regional_primitives.decompose.structured.settings import Structured
from regional_primitives.decompose.structured.shares import FieldShares
from regional_primitives.decompose.subject import Subject, prepare
from regional_primitives.decompose.subjects import Subjects
from regional_primitives.scores.spread import Spread

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "research" / "starts.md"
CHOOSING, HELD_OUT = range(-20, -17), range(-10, 0)
"""Of a sweep's pictures; those before are what is known."""
LEAST = 1e-2
"""The least share of a field under the logarithm, and of a site's mean if it recurs there."""
SCORES = (
    "pooled_inside_error", "inside_error", "pooled_leak", "cost", "departure", "boundedness",
    "boundedness_in_context", "consistency", "n90", "evaluations",
)  # fmt: skip
QUICK = rp.Evaluation(free_demands=0, components=12, contexts=4)
"""What chooses; claims are made with the defaults."""
TOLD = {
    "evaluations": ("evaluations", 1, 0),
    "pooled_inside_error": ("pooled inside error, %", 100, 4),
    "inside_error": ("inside error, %", 100, 3),
    "cost": ("cost", 1, 4),
    "departure": ("departure", 1, 2),
    "boundedness": ("bounded, alone", 1, 4),
    "boundedness_in_context": ("in context", 1, 4),
    "consistency": ("consistency", 1, 3),
    "n90": ("n90", 1, 1),
    "patches": ("patches a field", 1, 2),
    "like_own": ("like its own answer", 1, 2),
}
"""Columns: a score's label, by what it is multiplied, and digits."""
LOOKS = (1, 3, 6, 13, 26, 52, 77, 103)
"""Steps, counted from one, at which the inside error of its own demands is told; means of five."""


@dataclass(frozen=True)
class Start:
    """Logits = of_influence · (what the library starts from) + of_shares · log(shares + LEAST)."""

    shares: str = ""
    """Whose: a name of `Sweep.prior`; none, but with the sweep's recurring fields as candidates."""
    of_influence: float = 0.0
    of_shares: float = 1.0
    probed: bool = True
    """Whether influence is measured; else the sweep predicts it, and it costs nothing."""
    of_slopes: bool = True
    """Whether by the mean slopes of its pictures, which it would have to keep; else by shares."""


STARTS: dict[str, Start | None] = {
    "today": None,
    "today, sharper": Start("", 2.0, 0.0),
    "predicted influence": Start("", 1.0, 0.0, probed=False),
    "signs": Start("signs", probed=False),
    "signs, sharper": Start("signs", 0.0, 2.0, probed=False),
    "signs, sharper, runs alone": Start("signs", 0.0, 2.0, probed=False, of_slopes=False),
    "signs, three times as sharp": Start("signs", 0.0, 3.0, probed=False),
    "ten known, sharper": Start("ten known", 0.0, 2.0, probed=False),
    "units, sharper": Start("units", 0.0, 2.0, probed=False),
    "sites, sharper": Start("sites", 0.0, 2.0, probed=False),
    "nearest, sharper": Start("nearest", 0.0, 2.0, probed=False),
    "nearest by influence": Start("influence", 0.0, 2.0),
    "prototypes, sharper": Start("prototypes", 0.0, 2.0, probed=False),
    "today and signs": Start("signs", 1.0, 1.0),
    "today and signs, sharper": Start("signs", 1.0, 2.0),
    "own": Start("own", probed=False),
    "own, sharper": Start("own", 0.0, 2.0, probed=False),
}
"""Today's, those of the sweep, mixes of both; and a bound, the picture's own answer."""


@dataclass(frozen=True)
class Plan:
    """How a picture is explained."""

    start: str
    steps: int = 103
    late: bool = False
    """Whether these steps are the last of the whole schedule, small and of little price; else they
    are a whole schedule of their own."""
    rate: float = 1.0
    """Times the first step's size."""
    price: float = 1.0
    """Times the price of cost."""
    seed: int = 0
    """Of influence, demands and trials."""

    def __str__(self) -> str:
        told = [f"{self.start}, {self.steps}"]
        told += ["the last of the schedule"] * self.late
        told += [
            f"{name} × {by:g}"
            for name, by in (("step", self.rate), ("price", self.price))
            if by != 1
        ]
        return ", ".join(told + [f"seed {self.seed}"] * (self.seed != 0))


CHOICES = [
    *(Plan("today", steps) for steps in (103, 52, 26)),
    Plan("today", seed=1),
    Plan("today", 52, late=True),
    Plan("today", 52, rate=0.5),
    *(
        Plan(start, 52)
        for start in (
            "today, sharper", "predicted influence", "signs", "today and signs",
            "today and signs, sharper", "own", "own, sharper",
        )
    ),
    *(Plan("signs, sharper", steps) for steps in (103, 52, 26)),
    Plan("signs, sharper", 52, rate=0.5),
    *(Plan("signs, sharper", 52, late=True, rate=rate) for rate in (1.0, 2.0)),
    *(Plan("signs, sharper", 52, price=price) for price in (2.0, 4.0)),
    *(Plan("signs, three times as sharp", steps) for steps in (52, 26)),
    Plan("own, sharper", 52, late=True),
    Plan("signs, sharper, runs alone", 52, price=4.0),
]  # fmt: skip
"""What was tried on three pictures."""
CHOSEN = Plan("signs, sharper", 52, price=4.0)
WHOLE = [Plan("today"), CHOSEN, Plan("today", 52)]
"""What is measured with all scores; the first is what all else is held against."""
CLAIMS = [
    *WHOLE,
    *(
        replace(CHOSEN, start=start)
        for start in (
            "signs, sharper, runs alone", "own, sharper", "units, sharper", "ten known, sharper",
            "prototypes, sharper", "nearest, sharper", "today and signs, sharper",
            "sites, sharper", "nearest by influence",
        )
    ),
    replace(CHOSEN, steps=26),
]  # fmt: skip


def numbered(folder: Path) -> list[int]:
    """List the pictures of a sweep."""
    return sorted(int(one.name) for one in folder.iterdir() if one.name.isdigit())


class Sweep:
    """What explained pictures know: their shares, features, and influence."""

    def __init__(self, folder: Path, pictures: Sequence[int], generator: rp.Generator) -> None:
        self.folder, self.generator = folder, generator
        first = self.load(pictures[0])
        self.regions, self.settings = first.regions, Structured.from_dict(first.provenance.settings)
        fields = torch.cat([self.load(one).action_fields for one in numbered(folder)])
        self.codes = self._coded(fields).unique()
        """Every set of patches that is a field of some picture, in binary."""
        known = [self.shares(self.load(picture)) for picture in pictures]
        self.each = torch.stack([share.half() for share, _ in known])
        """[pictures, fields, units]"""
        self.differences = torch.stack([difference for _, difference in known])
        """[pictures, units]"""
        self.pictures = list(pictures)

    def load(self, picture: int) -> rp.Decomposition:
        """Load what the sweep found of one picture."""
        return rp.Decomposition.load(self.folder / str(picture))

    def shares(self, d: rp.Decomposition) -> tuple[Tensor, Tensor]:
        """Return shares [fields, units], a row a field of the sweep and one of none, and f − f0."""
        difference = (d.feature_units - d.baseline_units)[0]
        found = torch.zeros(len(self.codes) + 1, d.unit_count)
        units = d.units.long()
        found[self.numbers(d.action_fields)[d.owners], units] = d.values / difference[units]
        found[-1] = 0
        return found, difference

    def numbers(self, fields: Tensor) -> Tensor:
        """Return the rows of fields [..., patches]; the last where the sweep has no such field."""
        codes = self._coded(fields)
        rows = torch.searchsorted(self.codes, codes).clamp_max(len(self.codes) - 1)
        return rows.where(self.codes[rows] == codes, len(self.codes))

    @property
    def fields(self) -> Tensor:
        """The rows' fields [fields, patches], but for the last row's."""
        return (self.codes[:, None] >> torch.arange(self.regions.count) & 1).bool()

    def _coded(self, fields: Tensor) -> Tensor:
        return (fields.long() << torch.arange(self.regions.count)).sum(-1)

    def mean(self, weights: Tensor, chosen: Sequence[int] | None = None) -> Tensor:
        """Average shares over pictures, or the chosen ones, with weights [pictures, units]."""
        chosen = range(len(self.each)) if chosen is None else chosen
        total = torch.zeros(self.each.shape[1:])
        for one in chosen:
            total += self.each[one].float() * weights[one]
        return total / total.sum(0).clamp_min(1e-9)

    @cached_property
    def layout(self) -> Layout:
        """How the units are arranged."""
        (layout,) = Layout.of(self.generator.feature_shape)
        return layout

    @cached_property
    def by_site(self) -> Tensor:
        """Return the mean shares [fields, sites] of all units of a site."""
        total = sum(
            self.layout.by_site(share.float() * difference.abs()).sum(-1)
            for share, difference in zip(self.each, self.differences, strict=True)
        )
        assert isinstance(total, Tensor)
        return total / total.sum(0)

    @cached_property
    def recurring(self) -> list[Tensor]:
        """The fields [some, patches] that recur at each site."""
        return [self.fields[site[:-1] > LEAST] for site in self.by_site.T]

    @cached_property
    def slopes(self) -> Tensor:
        """Return each picture's squared slopes [pictures, patches, units] of patches along units.

        Of a few probes a picture, as many as a fit takes, which a sweep could keep.
        """
        return torch.stack([self._influence(picture) for picture in self.pictures])

    def _influence(self, picture: int) -> Tensor:
        latents = self.load(picture).latents
        subject = prepare(self.generator, latents, self.regions)
        probes = self.settings.probes_a_patch(self.regions.count)
        return measure_influence(
            subject, Evaluations(subject.generator), probes, self.settings.seed
        )

    @cached_property
    def mean_slopes(self) -> Tensor:
        """Return the mean squared slopes [patches, units] of patches along units."""
        return self.slopes.sum(0) / self.differences.square().sum(0).clamp_min(1e-12)

    def predicted_influence(self, subject: Subject) -> Tensor:
        """Return the influence [patches, units] that the mean slopes predict."""
        return self.mean_slopes * subject.difference.square()

    def influence_of_shares(self, subject: Subject) -> Tensor:
        """Return as influence [patches, units] how much of a unit's mean shares holds a patch."""
        fields = torch.nn.functional.pad(self.fields.float(), (0, 0, 0, 1))
        held = fields.T @ torch.where(subject.difference > 0, *self.by_sign)
        return held * subject.difference.square()

    @cached_property
    def prototypes(self) -> tuple[Tensor, list[Tensor]]:
        """Return eight mean directions of f − f0 (k-means by cosine) and their mean shares."""
        directions = torch.nn.functional.normalize(self.differences, dim=1)
        drawn = torch.randperm(len(directions), generator=torch.Generator().manual_seed(0))
        centres = directions[drawn[:8]]
        for _ in range(20):
            nearest = (directions @ centres.T).argmax(1)
            sums = torch.zeros_like(centres).index_add_(0, nearest, directions)
            centres = torch.nn.functional.normalize(sums, dim=1)
        weights = self.differences.abs()
        members = [(nearest == k).nonzero().flatten().tolist() for k in range(8)]
        return centres, [self.mean(weights, mine) for mine in members]

    @cached_property
    def by_units(self) -> Tensor:
        """Return the mean shares [fields, units] of each unit."""
        return self.mean(self.differences.abs())

    @cached_property
    def by_sign(self) -> tuple[Tensor, Tensor]:
        """Return the same of pictures in which the unit is above its baseline, and below.

        A sign that was not seen has no shares, and all fields start alike.
        """
        return self.mean(self.differences.clamp_min(0)), self.mean(-self.differences.clamp_max(0))

    def prior(self, name: str, picture: int, subject: Subject, influence: Tensor) -> Tensor:
        """Return the shares [fields, units] that a start takes from the sweep."""
        difference = subject.difference
        likeness = torch.nn.functional.cosine_similarity(self.differences, difference[None])
        match name:
            case "units":
                return self.by_units
            case "ten known":
                return self.mean(self.differences.abs(), range(10))
            case "signs":
                return torch.where(difference > 0, *self.by_sign)
            case "sites":
                every = torch.zeros(self.by_units.shape)
                return every + self.layout.flat(
                    self.by_site[..., None].expand(-1, -1, self.layout.channels)
                )
            case "nearest":
                return self.each[int(likeness.argmax())].float()
            case "influence":
                mine, all_of = influence.flatten().sqrt(), self.slopes.flatten(1).sqrt()
                alike = torch.nn.functional.cosine_similarity(all_of, mine[None])
                return self.each[int(alike.argmax())].float()
            case "prototypes":
                centres, means = self.prototypes
                return means[int((centres @ difference).argmax())]
            case "own":
                return self.shares(self.load(picture))[0]
        raise ValueError(name)

    def started(
        self, start: Start, picture: int, subjects: Subjects, influence: Tensor, *rest: Structured
    ) -> FieldShares:
        """Start the unknowns of one picture's fit as `start` says; all else as the library does."""
        recurring = iter(self.recurring)

        def suggested(influence: Tensor, most: int) -> Tensor:
            return torch.cat([level_sets(influence, most), next(recurring)])

        with mock.patch.object(shares, "level_sets", suggested):
            model = FieldShares.start(subjects, [influence], *rest)
        subject = subjects.several[0]
        prior = self.prior(start.shares, picture, subject, influence) if start.shares else None
        units = self.layout.by_site(torch.arange(self.layout.units))
        for part in model.parts[0]:
            some = part.candidates
            part.logits.nan_to_num_(neginf=0).mul_(start.of_influence)
            if prior is not None:
                rows = self.numbers(some.fields[some.index])  # [sites, slots]
                share = prior[rows[..., None], units[part.places][:, None]]
                part.logits.add_((share + LEAST).log(), alpha=start.of_shares)
            part.logits.masked_fill_(~some.valid[..., None], -torch.inf)
        return model

    def scheduled(self, plan: Plan) -> Structured:
        """Return the settings of a plan's fit."""
        whole, left = self.settings, plan.steps / self.settings.steps
        settings = replace(
            whole, steps=plan.steps, learning_rate=whole.learning_rate * plan.rate,
            cost_weight=whole.cost_weight * plan.price, seed=plan.seed,
        )  # fmt: skip
        if not plan.late:
            return settings
        return replace(
            settings,
            learning_rate=settings.learning_rate * left,
            cost_weight=settings.cost_weight * left**whole.price_decay,
            ties_from=max(0.0, 1 - (1 - whole.ties_from) / left),
        )

    def explained(self, plan: Plan, picture: int) -> rp.Decomposition:
        """Explain a picture as planned."""
        start, settings = STARTS[plan.start], self.scheduled(plan)
        latents = self.load(picture).latents

        def started(subjects: Subjects, influences: list[Tensor], settings: Structured) -> Any:
            assert start is not None
            return self.started(start, picture, subjects, influences[0], settings)

        def predicted(subjects: Subjects, *_: Any) -> list[Tensor]:
            assert start is not None
            way = self.predicted_influence if start.of_slopes else self.influence_of_shares
            return [way(subjects.several[0])]

        changed: dict[str, Any] = {}
        if start is not None:
            changed["FieldShares"] = SimpleNamespace(start=started)
            if not start.probed:
                changed["measure_influences"] = predicted
        with mock.patch.multiple(fit, **changed) if changed else mock.MagicMock():
            return rp.explain(self.generator, latents, self.regions, settings)


def measured(sweep: Sweep, plan: Plan, picture: int, how: rp.Evaluation) -> dict[str, Any]:
    """Explain a picture as planned, and score it."""
    d = sweep.explained(plan, picture)
    # The bounds ask what the sweep's own price of cost allows, whatever the fit's was.
    price = {"cost_weight": sweep.settings.cost_weight}
    settings = {**d.provenance.settings, **price}
    d = replace(d, provenance=replace(d.provenance, settings=settings))
    scores = rp.evaluate(d, sweep.generator, how).to_dict()
    mine, difference = sweep.shares(d)
    alike = {
        name: float((torch.minimum(mine, other) @ difference.abs()).sum() / difference.abs().sum())
        for name, other in (
            ("like_own", sweep.shares(sweep.load(picture))[0]),
            ("like_mean", torch.where(difference > 0, *sweep.by_sign)),
        )
    }
    start = STARTS[plan.start]
    if start is not None and not start.probed:  # an explanation counts its probes whether or not
        probes = sweep.settings.probes_a_patch(sweep.regions.count)
        scores["evaluations"] -= probes * sweep.regions.count
    sizes = scores["field_sizes"].items()
    patches = sum(int(size) * share for size, share in sizes)
    curve = {
        str(look): float(d.history[max(look - 3, 0) : look + 2, 0].mean())
        for look in LOOKS
        if look <= len(d.history)
    }
    return {
        **asdict(plan), "picture": picture, **alike,
        **{score: scores[score] for score in SCORES}, "patches": patches, "curve": curve,
    }  # fmt: skip


def laid_out(rows: list[dict[str, Any]]) -> list[str]:
    """Lay out means over pictures, and by how much each plan's differ from today's, paired."""
    cases: dict[str, dict[Plan, dict[int, dict[str, Any]]]] = {}
    for row in rows:
        plan = Plan(**{field.name: row[field.name] for field in fields(Plan)})
        case = cases.setdefault(f"`{row['generator']}`, {row['regions']} patches", {})
        case.setdefault(plan, {})[row["picture"]] = row
    lines = []
    for case, plans in cases.items():
        for plan, mine in plans.items():
            cells = [cell(score, mine, plans[Plan("today")]) for score in TOLD]
            lines.append([case, str(plan), *cells])
            case = ""
    return table(["", "start, steps", *(name for name, _, _ in TOLD.values())], lines)


def cell(score: str, mine: dict[int, dict[str, Any]], first: dict[int, dict[str, Any]]) -> str:
    """Tell a score's mean over pictures, and the mean difference from others of the same."""
    _, unit, digits = TOLD[score]
    pairs = [(row[score], first[picture][score]) for picture, row in mine.items()]
    if None in (value for value, _ in pairs):
        return ""
    told = f"{unit * sum(value for value, _ in pairs) / len(pairs):.{digits}f}"
    if mine is first or score == "evaluations" or len(pairs) < len(HELD_OUT):
        return told
    by = Spread.over([unit * (value - other) for value, other in pairs])
    return f"{told} ({by.mean:+.{digits}f} ± {by.half_interval_95:.{digits}f})"


def main() -> None:
    """Fit, score, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sweep", type=Path, default=ROOT / "runs" / "starts-faces" / "main.5")
    parser.add_argument("--stage", choices=("choose", "claim"), default="claim")
    parser.add_argument("--first", type=int, help="plans, of all")
    parser.add_argument("--table", action="store_true", help="write the tables anew, fit nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found = record.read("starts") or {"rows": []}
    first = rp.Decomposition.load(asked.sweep / "0")
    origin, patches = first.provenance, first.regions.count
    stage = {"generator": origin.generator, "regions": patches, "stage": asked.stage}
    if not asked.table:
        pictures = numbered(asked.sweep)
        scored = [pictures[i] for i in (HELD_OUT if asked.stage == "claim" else CHOOSING)]
        generator = rp.load_generator(origin.generator, origin.layer)
        sweep = Sweep(asked.sweep, pictures[:-20], generator)
        plans = CLAIMS if asked.stage == "claim" else CHOICES
        for plan in plans[: asked.first]:
            how = rp.Evaluation() if asked.stage == "claim" and plan in WHOLE else QUICK
            for picture in scored:
                key = {**stage, **asdict(plan), "picture": picture}
                if any(key.items() <= row.items() for row in found["rows"]):
                    continue
                scores = measured(sweep, plan, picture, how)
                if asked.stage == "claim" and how is QUICK:  # of other contexts than the first's
                    scores |= dict.fromkeys(("boundedness_in_context", "consistency"))
                found["rows"].append({**stage, **scores})
                record.keep("starts", {**record.ran_on(), "rows": found["rows"]})
    for one in ("choose", "claim"):
        renew(PAGE, one, laid_out([row for row in found["rows"] if row["stage"] == one]))


if __name__ == "__main__":
    main()
