"""Candidate action fields of each site: connected sets of patches within the site's reach.

A unit cannot need a field beyond the patches that it reaches, so each site of the feature (a pixel
of a feature map, a token; all channels share it) gets only the fields inside its own reach. On a
convolutional feature this shortens the list by an order of magnitude and loses nothing.

Level sets of influence are candidates of any shape: a unit that paints two eyes acts on two places,
which no rectangle holds and no connected set. Sorted by influence, its patches fall off somewhere:
the sets above its two steepest falls are candidates, if influence falls to a twentieth there. What
falls off slowly suggests no shape: where it is cut is the noise of the probes, and another fit
would cut it elsewhere. On planted networks with disconnected fields they are what finds them
(docs/research/planted-answers.md). All of it is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from math import prod

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from regional_primitives.axes import Dictionary, Region
from regional_primitives.generators.feature import FeatureShape, tensor_shapes
from regional_primitives.regions import Regions
from regional_primitives.runtime.streams import stream


@dataclass(frozen=True)
class Layout:
    """How the units of one tensor of a feature are arranged: `sites` places with `channels` each.

    Feature maps [C, H, W] have a site a pixel, token sequences [L, C] a site a token; a plain
    vector is one site.
    """

    shape: tuple[int, ...]
    """The tensor's shape without the batch axis."""
    start: int = 0
    """Where its units begin among all units of the feature."""

    @staticmethod
    def of(feature_shape: FeatureShape) -> list[Layout]:
        """Lay out every tensor of a feature."""
        shapes = tensor_shapes(feature_shape)
        starts = accumulate(map(prod, shapes), initial=0)
        return [Layout(shape, start) for shape, start in zip(shapes, starts, strict=False)]

    @property
    def channels_first(self) -> bool:
        """Whether the channel axis comes before the sites in the tensor's own order."""
        return len(self.shape) != 2

    @property
    def sites(self) -> int:
        """How many places there are."""
        return self.shape[0] if len(self.shape) == 2 else prod(self.shape[1:])

    @property
    def channels(self) -> int:
        """How many units a place has."""
        if len(self.shape) == 2:
            return self.shape[1]
        return self.shape[0] if self.shape else 1

    @property
    def units(self) -> int:
        """How many units the tensor has."""
        return prod(self.shape)

    def by_site(self, units: Shaped[Tensor, "*batch units"]) -> Tensor:
        """Take the tensor's units out of all of the feature's, as [..., sites, channels]."""
        mine = units[..., self.start : self.start + self.units]
        if self.channels_first:
            return mine.unflatten(-1, (self.channels, self.sites)).transpose(-1, -2)
        return mine.unflatten(-1, (self.sites, self.channels))

    def sites_first(
        self, units: Shaped[Tensor, "*pictures batch units"]
    ) -> Shaped[Tensor, "sites_of_all batch channels"]:
        """Take the tensor's units out of all of the feature's, a picture's sites after another's.

        As [sites, batch, channels].
        """
        if not self.channels_first:
            return self.by_site(units).transpose(-3, -2).flatten(0, -3)
        mine = units[..., self.start : self.start + self.units]
        rows = mine.unflatten(-1, (self.channels, self.sites)).flatten(-3, -2)
        return _turned(rows).unflatten(-1, (units.shape[-2], self.channels)).flatten(0, -3)

    def flat(self, arranged: Shaped[Tensor, "*batch sites channels"]) -> Tensor:
        """Bring [..., sites, channels] back into the tensor's own order, flat."""
        ordered = arranged.transpose(-1, -2) if self.channels_first else arranged
        return ordered.flatten(-2)

    def flat_of_sites(
        self, arranged: Shaped[Tensor, "*pictures sites batch channels"]
    ) -> Shaped[Tensor, "*pictures batch units"]:
        """Bring what `sites_first` arranges back into the tensor's own order."""
        if not self.channels_first:
            return arranged.transpose(-3, -2).flatten(-2)
        turned = _turned(arranged.flatten(-2))
        return turned.view(*turned.shape[:-2], arranged.shape[-2], self.units)


def _turned(matrices: Shaped[Tensor, "*pictures rows columns"]) -> Tensor:
    """Transpose matrices in memory; a single one by blocks, several times as fast as more axes."""
    if matrices.ndim == 3 and len(matrices) == 1:
        return matrices[0].T.contiguous()[None]
    return matrices.mT.contiguous()


@dataclass(frozen=True)
class Candidates:
    """A dictionary of fields, and for each site the entries that its units may use."""

    fields: Dictionary
    index: Int[Tensor, "sites slots"]
    """Entries of `fields`; slots that a site does not need point anywhere."""
    valid: Bool[Tensor, "sites slots"]

    @staticmethod
    def joined(several: Sequence[Candidates]) -> Candidates:
        """Join those of several pictures, a picture's sites and fields after another's.

        All get as many fields and patches as any has: what is added is a field of no patch, which
        no site may use.
        """
        fields, patches = (max(one.fields.shape[axis] for one in several) for axis in (0, 1))
        slots = max(one.index.shape[1] for one in several)

        def filled(tensor: Tensor, rows: int, columns: int) -> Tensor:
            missing = (0, columns - tensor.shape[1], 0, rows - tensor.shape[0])
            return torch.nn.functional.pad(tensor, missing)

        return Candidates(
            torch.cat([filled(one.fields, fields, patches) for one in several]),
            torch.cat(
                [
                    filled(one.index, len(one.index), slots) + first * fields
                    for first, one in enumerate(several)
                ]
            ),
            torch.cat([filled(one.valid, len(one.valid), slots) for one in several]),
        )

    def split(self, sites: list[int]) -> list[Candidates]:
        """Take the candidates of several tensors' sites apart, each with no more slots than used.

        The dictionary of fields stays common to all.
        """
        parts = zip(self.index.split(sites), self.valid.split(sites), strict=True)
        return [self._cut(index, valid, int(valid.sum(1).max())) for index, valid in parts]

    def _cut(self, index: Tensor, valid: Tensor, slots: int) -> Candidates:
        return Candidates(self.fields, index[:, :slots], valid[:, :slots])

    def alike(self, group_price: int) -> list[tuple[Int[Tensor, " some"], Candidates]]:
        """Group the sites by how many candidates they have, at the least price.

        One more group costs `group_price` slots that stay empty. Returns the sites of each group,
        and their candidates.
        """
        counts = self.valid.sum(1)
        sizes, sites = (found.tolist() for found in counts.unique(return_counts=True))
        # least[i] is the price of the i smallest sizes; the last group among them begins at first.
        least, first = [0], [0]
        for end in range(1, len(sizes) + 1):
            inside, prices = 0, []
            for begin in reversed(range(end)):
                inside += sites[begin]
                prices.append((least[begin] + group_price + sizes[end - 1] * inside, begin))
            price, begin = min(prices)
            least.append(price)
            first.append(begin)
        groups = []
        end = len(sizes)
        while end:
            fewest, most = sizes[first[end]], sizes[end - 1]
            places = ((counts >= fewest) & (counts <= most)).nonzero().flatten()
            groups.append((places, self._cut(self.index[places], self.valid[places], most)))
            end = first[end]
        return groups


def candidate_fields(
    regions: Regions,
    influence: Float[Tensor, "patches sites"],
    threshold: float,
    most: int,
    suggested: Iterable[Bool[Tensor, "sets patches"] | None] = repeat(None),
) -> Candidates:
    """List the fields of each site: rectangles of a grid; on a label map, sets grown by influence.

    Influence is squared. A site reaches the patches that get at least the share `threshold` of its
    influence, and gets at `most` so many fields, those that hold most influence a patch, and what
    is `suggested` for it besides.
    """
    share = (influence / influence.sum(0).clamp_min(torch.finfo(torch.float32).tiny)).T.cpu()
    reach = share >= threshold
    # A dead site (no influence at all) may serve any single patch; its units change nothing.
    dead = ~reach.any(1)
    reach[dead] = True
    known: dict[bytes, int] = {}
    entries: list[Tensor] = []
    dictionary = regions.rectangles() if regions.is_grid else None
    neighbours = None if regions.is_grid else regions.neighbours()
    for site_reach, site_share, besides in zip(reach, share, suggested, strict=False):
        if dictionary is not None:
            fields = dictionary[~(dictionary & ~site_reach).any(1)]
        else:
            assert neighbours is not None
            fields = _grown(site_reach, site_share, neighbours)
        if len(fields) > most:
            covered = fields.float() @ site_share
            score = covered - covered.new_tensor(0.05) * fields.sum(1)
            fields = fields[score.topk(most).indices.sort().values]
        if besides is not None:
            fields = torch.cat([besides, fields]).unique(dim=0)
        numbers = [known.setdefault(row.numpy().tobytes(), len(known)) for row in fields]
        entries.append(torch.tensor(numbers))
    rows = torch.frombuffer(bytearray(b"".join(known)), dtype=torch.bool).view(len(known), -1)
    index = pad_sequence(entries, batch_first=True)
    valid = pad_sequence([torch.ones_like(one, dtype=torch.bool) for one in entries], True)
    return Candidates(*(tensor.to(influence.device) for tensor in (rows, index, valid)))


def _grown(
    reach: Region, share: Float[Tensor, " patches"], neighbours: Bool[Tensor, "patches patches"]
) -> Dictionary:
    """Grow a field from each patch in reach, always by the most influenced neighbour in reach.

    All grow together, a patch a round; those that have become equal go on as one. They are told
    apart by the sum of their patches' random keys (Zobrist hashing).
    """
    places = reach.nonzero().flatten()
    beside = neighbours[places][:, places].float()
    worth = share[places]
    keys = torch.randint(2**62, (len(places),), generator=stream(0, "keys of patches"))
    rows = torch.eye(len(places), dtype=torch.bool)
    names = keys
    rounds = [rows]
    while len(rows):
        frontier = (rows.float() @ beside > 0) & ~rows
        # Where regions do not touch, a field that has filled its island goes on elsewhere.
        frontier |= ~rows & ~frontier.any(1, keepdim=True)
        growing = frontier.any(1)
        best = worth.where(frontier, worth.new_tensor(-1.0)).argmax(1)
        rows, names = rows.scatter(1, best[:, None], True), names + keys[best]
        order = names.argsort(stable=True)
        first = torch.ones_like(growing)
        first[order[1:]] = names[order].diff() != 0
        kept = growing & first
        rows, names = rows[kept], names[kept]
        rounds.append(rows)
    fields = torch.zeros(sum(map(len, rounds)), len(reach), dtype=torch.bool)
    fields[:, places] = torch.cat(rounds)
    return fields


_FALLS = 2
"""How many cuts a unit has a say in."""
_STEEP = 20.0
"""A fall by less suggests nothing."""
_FAINT = 0.01
"""Of influence below this share of a unit's strongest no fall is steep,"""
_NOTHING = 1e-4
"""unless to below this share, where there is none at all:"""
_LEAST = 1e-3
"""then this takes the place of `_FAINT`, and patches of weak influence count."""


def level_sets(
    influence: Float[Tensor, "patches units"], most: int
) -> Bool[Tensor, "sets patches"]:
    """List the fields that most of the units' influence suggests, the empty one first.

    Each unit votes for the sets above its steepest falls, with its influence times the logarithm of
    how steep the fall is. The empty field is that of units that no demand needs. At `most` so many
    are listed besides it. Influence, of the units of one site, is squared.
    """
    influence = influence.cpu()
    patches = len(influence)
    order = influence.argsort(dim=0, descending=True, stable=True)
    falling = influence.gather(0, order)
    falling = falling / falling[:1].clamp_min(torch.finfo(torch.float32).tiny)
    upper, lower = falling[:-1], falling[1:]
    faint = torch.where(lower < _NOTHING, _LEAST, _FAINT)
    falls = (upper + faint) / (lower + faint)
    steepest = falls.topk(min(_FALLS, patches - 1), dim=0)
    rank = order.argsort(dim=0)
    steep = steepest.values > _STEEP
    above = (rank <= steepest.indices[:, None]).transpose(1, 2)[steep]
    votes = (influence.sum(0) * steepest.values.log())[steep]
    sets, chosen = above.unique(dim=0, return_inverse=True)
    support = torch.zeros(len(sets)).index_add_(0, chosen, votes)
    best = support.argsort(descending=True, stable=True)[:most]
    return torch.cat([torch.zeros(1, patches, dtype=torch.bool), sets[best]])
