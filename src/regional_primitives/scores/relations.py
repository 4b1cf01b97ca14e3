"""How components relate: whose field contains whose, who acts together, who gets the credit.

Action fields and components are those of arXiv 2410.04421. The relations are ours: the partial
order of the fields, their overlap, a hierarchy by how often components act together, and the
Shapley value of each patch in the game of which components a demand wakes.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regional_primitives.axes import Fields, PerComponent
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import MissingExtraError
from regional_primitives.runtime.arguments import of_kind, real, whole
from regional_primitives.runtime.modes import ordinary

_ASKED_SHARE = 0.1
"""At one half, nearly every demand would wake large fields, wherever they are, and the hierarchy
would be mostly one of size; at a tenth or less, location decides, and groups are regions."""
_PAIRS = 2**20
"""Of components that are weighed at once, so that memory does not grow with the square of them."""


@dataclass(frozen=True, eq=False)
class Relations:
    """How the components of one decomposition relate; `rp.relations` makes it.

    Components are numbered as in the decomposition, strongest first.
    """

    decomposition: Decomposition
    contains: Bool[Tensor, "components components"]
    """[k, l]: A_k ⊋ A_l. Equal fields do not contain each other."""
    covers: list[tuple[int, int]]
    """(larger, smaller): containment with no third field strictly between, the Hasse diagram."""
    levels: Int[Tensor, " components"]
    """How many ever smaller fields the longest chain below each field has."""
    overlap: Float[Tensor, "components components"]
    """|A_k ∩ A_l| / |A_k ∪ A_l|, the IoU; an empty field overlaps nothing, not even itself."""
    mean_overlap: float
    """The mean of `overlap` over pairs of different components, weighted by both strengths."""
    asked_share: ClassVar[float] = _ASKED_SHARE
    """The mean share of patches in the random demands that `togetherness` speaks of."""
    togetherness: Float[Tensor, "strongest strongest"]
    """How often both components act, among random demands at which at least one does."""
    merges: Float[Tensor, "merges 4"]
    """The hierarchy of the strongest m components as scipy's linkage matrix: row i joins two
    groups into group m + i; columns are the two, 1 − their mean togetherness, and the size."""
    order: list[int]
    """The strongest components as leaves of that tree, like beside like. It is scipy's "optimal"
    order, which is good but not always the best (scipy issue 11227)."""
    credit: Float[Tensor, "components patches"]
    """Each patch's Shapley value in the game of one component. Rows add up to its strength (to zero
    where its field is empty, since nothing wakes it)."""

    @property
    def strongest(self) -> int:
        """How many components the hierarchy holds, m."""
        return len(self.order)

    @property
    def patch_totals(self) -> Float[Tensor, " patches"]:
        """Each patch's credit over all components: its Shapley value in the whole game."""
        return self.credit.sum(0)

    def credit_of_patch(self, patch: int) -> list[tuple[int, float]]:
        """Divide one patch's credit among the components that serve it, the largest share first.

        Returns:
            Component and its share of the patch's total credit; shares add up to 1.

        Raises:
            InputError: no such patch.
        """
        patch = whole("a patch", patch)
        self.decomposition.regions.demand([patch])
        credit = self.credit[:, patch]
        order = credit.argsort(descending=True, stable=True)
        order = order[credit[order] > 0]
        shares = credit[order] / credit.sum()
        return list(zip(order.tolist(), shares.tolist(), strict=True))

    def groups(self, togetherness: float) -> list[list[int]]:
        """Cut the hierarchy: groups whose merges all have at least this mean togetherness.

        Args:
            togetherness: 1 keeps all but components of equal fields apart, 0 joins all.

        Returns:
            The strongest m components, each in one group; the group with the strongest first.

        Raises:
            InputError: not a number in [0, 1].
        """
        togetherness = real("togetherness", togetherness, 0, 1)
        members = [[k] for k in range(self.strongest)]
        joined = set()
        for one, other, distance, _ in self.merges.tolist():
            members.append(sorted(members[int(one)] + members[int(other)]))
            # Average linkage never falls, so that no later merge is within an earlier bound. The
            # margin is for rounding, as in groups(1) of equal fields.
            if distance <= 1 - togetherness + 1e-9:
                joined |= {int(one), int(other)}
            else:
                members[-1] = []
        kept = [group for place, group in enumerate(members) if place not in joined and group]
        return sorted(kept)

    def to_dict(self) -> dict[str, Any]:
        """Return all relations, ready for JSON; `contains` is left out, since covers imply it."""
        fields = self.decomposition.action_fields
        return {
            "strengths": self.decomposition.strengths.tolist(),
            "action_fields": [field.nonzero().flatten().tolist() for field in fields],
            "covers": [list(pair) for pair in self.covers],
            "levels": self.levels.tolist(),
            "overlap": self.overlap.tolist(),
            "mean_overlap": self.mean_overlap,
            "asked_share": self.asked_share,
            "togetherness": self.togetherness.tolist(),
            "merges": self.merges.tolist(),
            "order": list(self.order),
            "weigh": "strength",
            "credit": self.credit.tolist(),
            "patch_totals": self.patch_totals.tolist(),
        }


@ordinary()
def relations(decomposition: Decomposition, strongest: int | None = 40) -> Relations:
    """Relate the components of a decomposition by their action fields and strengths.

    Three questions, all answered in our own terms:

    *Which field contains which?* The partial order of the sets A_k.

    *Which components act together?* Component k acts on a demand S if A_k ∩ S ≠ ∅. Let a random
    demand ask for each patch with one probability p, drawn anew for each demand, which is a tenth
    on average. Then how often two components act together is known in closed form, see
    `acting_together`. The components that do so most are merged first (average linkage).

    *Who gets the credit where fields overlap?* Let v(S) be the summed strength of the components
    that S wakes. Component k alone is an OR game, in which the patches of A_k are alike and all
    others are idle, so that each patch of A_k has the Shapley value ‖Δf_k‖ / |A_k|. The Shapley
    value is additive over games, hence the credit of a patch is the sum over the components that
    serve it.

    Args:
        decomposition: what `rp.explain` gives.
        strongest: how many components, strongest first, the hierarchy holds; None for all.

    Raises:
        InputError: not a decomposition, or a setting out of its range.
        MissingExtraError: scipy, which the report's extra brings, is not installed.
    """
    of_kind(
        decomposition,
        Decomposition,
        "relations are those of the components of a Decomposition, as rp.explain gives it",
    )
    strongest = None if strongest is None else whole("strongest", strongest, 1)
    fields, strengths = decomposition.action_fields, decomposition.strengths.double()
    contains = strictly_contains(fields)
    together = acting_together(fields[:strongest])
    merges, order = _hierarchy(together)
    return Relations(
        decomposition=decomposition,
        contains=contains,
        covers=covering_pairs(contains),
        levels=chain_levels(contains),
        overlap=field_overlap(fields),
        mean_overlap=mean_field_overlap(fields, strengths),
        togetherness=together,
        merges=merges,
        order=order,
        credit=fields * (strengths / fields.sum(1).clamp_min(1))[:, None],
    )


def strictly_contains(
    fields: Fields,
) -> Bool[Tensor, "components components"]:
    """Tell at [k, l] whether A_k ⊋ A_l."""
    shared, size = _shared(fields, fields), fields.sum(1).double()
    return (shared == size) & (size[:, None] > size)


def covering_pairs(contains: Bool[Tensor, "components components"]) -> list[tuple[int, int]]:
    """Return (larger, smaller) wherever nothing lies strictly between: the transitive reduction."""
    between = contains.double() @ contains.double()
    pairs = (contains & (between == 0)).nonzero()
    return [(larger, smaller) for larger, smaller in pairs.tolist()]


def chain_levels(contains: Bool[Tensor, "components components"]) -> Int[Tensor, " components"]:
    """Return the length of the longest chain below each; 0 where it contains no other."""
    levels = torch.zeros(len(contains), dtype=torch.long)
    # After i rounds all chains of up to i steps are counted; none is longer than there are fields.
    for _ in range(len(contains)):
        found = (contains * (levels + 1)).amax(1)
        if torch.equal(found, levels):
            break
        levels = found
    return levels


def field_overlap(
    fields: Fields, others: Bool[Tensor, "others patches"] | None = None
) -> Float[Tensor, "components others"]:
    """Return the IoU of each field with each of the others, or of itself; 0 with an empty one."""
    others = fields if others is None else others
    shared = _shared(fields, others)
    return shared / (fields.sum(1)[:, None] + others.sum(1) - shared).clamp_min(1)


def mean_field_overlap(fields: Fields, strengths: PerComponent) -> float:
    """Return the mean IoU of pairs of different components, weighted by both strengths.

    It is 0 where there are no two components.
    """
    strengths = strengths.double()
    total, met = 0.0, 0.0
    for places in torch.arange(len(fields)).split(max(1, _PAIRS // max(len(fields), 1))):
        weight = strengths[places, None] * strengths
        weight[torch.arange(len(places)), places] = 0.0
        total += float(weight.sum())
        met += float((weight * field_overlap(fields[places], fields)).sum())
    return met / total if total > 0 else 0.0


def acting_together(
    fields: Fields, asked_share: float = _ASKED_SHARE
) -> Float[Tensor, "components components"]:
    """Return P(both act | at least one acts) of each pair, for a random demand; ours.

    Each patch is asked for with probability p ~ Beta(1, θ), whose mean is q = 1/(1+θ). A set of a
    patches is missed with probability E(1−p)^a = θ/(a+θ), hence hit with a·q / (a·q + 1 − q). Both
    of two fields are hit as often as one plus the other less their union. At q = ½, p is uniform
    and the set is missed with probability 1/(a+1). As q → 0, demands become single patches, and the
    quotient becomes the IoU.
    """
    shared, size = _shared(fields, fields), fields.sum(1).double()
    union = size[:, None] + size - shared

    def hit(patches: Tensor) -> Tensor:
        # P(hit)/q, which has a limit at q = 0.
        return patches / (patches * asked_share + 1 - asked_share)

    either = hit(union)
    both = hit(size)[:, None] + hit(size) - either
    # Two empty fields never act, so they never act together: 0, not 0/0.
    return (both / either.clamp_min(1e-300)).clamp(0.0, 1.0)


def _shared(
    fields: Fields, others: Bool[Tensor, "others patches"]
) -> Float[Tensor, "components others"]:
    """Count the patches that two fields share; whole numbers, exact in floats."""
    return fields.double() @ others.double().T


def _hierarchy(
    together: Float[Tensor, "strongest strongest"],
) -> tuple[Float[Tensor, "merges 4"], list[int]]:
    """Merge by average linkage on 1 − togetherness; return merges and the order of leaves."""
    count = len(together)
    if count < 2:
        return torch.zeros(0, 4, dtype=torch.float64), list(range(count))
    if importlib.util.find_spec("scipy") is None:
        raise MissingExtraError("the hierarchy of components", "report")
    from scipy.cluster import hierarchy  # type: ignore[import-untyped]

    above = torch.triu_indices(count, count, offset=1)
    distances = (1 - together)[above[0], above[1]].numpy()
    merges = hierarchy.linkage(distances, method="average", optimal_ordering=True)
    return torch.from_numpy(merges), hierarchy.leaves_list(merges).tolist()
