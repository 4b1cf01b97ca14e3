"""What pages say of a run by its form: patches chosen and left over, and noise of a component.

The structured form draws random demands of all patches to fit and keeps others for the scores. The
exact form takes every demand of some chosen patches P, keeps none, and puts what these patches
leave of the feature into one more component, the remainder.
"""

from __future__ import annotations

from regional_primitives.axes import Region
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.scores import Relations, relations
from regional_primitives.scores.components import patch_shares
from regional_primitives.show import numerals

MOST_RELATED = 1024
"""Components whose relations a page tells: every pair of them is looked at."""
_MOST_NUMBERS = 6
"""Of patches that a title counts out."""
_MOST_SHARES = 7
"""Regions that are told each by itself."""


def is_exact(decomposition: Decomposition) -> bool:
    """Whether the components are exact interactions of chosen patches."""
    return decomposition.provenance.method == "exact"


def apart(decomposition: Decomposition) -> Decomposition:
    """Return the decomposition without its remainder, which is no interaction of patches."""
    return decomposition.without(decomposition.remainder)


def numbers(decomposition: Decomposition) -> list[int]:
    """List the numbers of all components but the remainder, which has one too."""
    remainder = decomposition.remainder
    return [k for k in range(decomposition.count) if k != remainder]


def related(decomposition: Decomposition) -> Relations:
    """Relate the components but the remainder, of very many the strongest."""
    components = apart(decomposition)
    return relations(components.select(range(min(components.count, MOST_RELATED))))


def strongest_share(decomposition: Decomposition, count: int) -> float:
    """Return which share of the energy the `count` strongest components carry."""
    energy = decomposition.strengths.double().square()
    return float(energy[:count].sum() / energy.sum())


def above_floor(decomposition: Decomposition) -> int | None:
    """Count the components, less the remainder, above the noise floor; None where none is known."""
    if decomposition.noise is None:
        return None
    return int(apart(decomposition).significant.sum())


def chosen_in_words(decomposition: Decomposition) -> str:
    """Name the chosen patches P of the exact form."""
    regions, chosen = decomposition.regions, decomposition.patches
    if len(chosen) == regions.count:
        return f"all {len(chosen)} patches"
    if regions.given_names is not None:
        return f"{regions.in_words(chosen)} of {regions.count} regions"
    *first, last = map(str, chosen)
    named = f"patches {', '.join(first)} and {last}" if first else f"patch {last}"
    origin = "patch 0 is top left, row by row" if regions.is_grid else "numbered from 0"
    return f"{named} of {regions.count} ({origin})"


def remainder_in_words(decomposition: Decomposition) -> str:
    """Say what the remainder is the remainder of; empty where there is none."""
    if decomposition.remainder is None:
        return ""
    regions = decomposition.regions
    others = regions.count - len(decomposition.patches)
    if others == 0:
        energy = decomposition.strengths.square()
        share = float(energy[decomposition.remainder] / energy.sum())
        told = "next to nothing" if share < 5e-4 else f"{numerals.percent(share)} of the energy"
        return f"a remainder that no patch asks for ({told})"
    were = "was" if others == 1 else "were"
    if regions.given_names is not None:
        left = [patch for patch in range(regions.count) if patch not in decomposition.patches]
        return f"the remainder of {regions.in_words(left)}, which {were} not chosen"
    return f"the remainder of the {numerals.patches(others)} that {were} not chosen"


def held_in_words(hold: str) -> str:
    """Say what `hold` of a cut means."""
    return f"each {hold}, at the statistics that it has for the explained picture"


def demand_in_words(decomposition: Decomposition, name: str, patches: Region) -> str:
    """Name a demand that is shown, by its regions where these have names.

    The exact form keeps none of the chosen patches for later.
    """
    if is_exact(decomposition):
        name = name.replace("held-out demand", "random demand")
    regions, chosen = decomposition.regions, patches.nonzero().flatten().tolist()
    named = regions.in_words(chosen)
    return name if regions.given_names is None or name == named else f"{name}: {named}"


def field_in_words(decomposition: Decomposition, k: int) -> str:
    """Name component k's field: `skin + mouth`, `patches 14, 15`, `12 patches, 3, 4, 5 …`."""
    regions = decomposition.regions
    chosen = decomposition.action_fields[k].nonzero().flatten().tolist()
    if regions.given_names is not None:
        if len(chosen) == regions.count > 1:
            return "everything"
        return " + ".join(regions.names[patch] for patch in chosen) or "nothing"
    if len(chosen) <= _MOST_NUMBERS:
        return regions.in_words(chosen) if chosen else "no patch"
    return f"{len(chosen)} patches, {', '.join(map(str, chosen[:_MOST_NUMBERS]))} …"


def parts_in_word(decomposition: Decomposition) -> str:
    """Call the patches parts where they have names."""
    return "patches" if decomposition.regions.given_names is None else "parts"


def shares_of_energy(decomposition: Decomposition) -> tuple[list[tuple[str, float]], float | None]:
    """Return the regions with most of the energy, each with its share, and that of all others.

    Told is None where no region is left out.
    """
    shares, regions = patch_shares(decomposition), decomposition.regions
    order = shares.argsort(descending=True, stable=True).tolist()
    told = [(regions.in_words([patch]), float(shares[patch])) for patch in order[:_MOST_SHARES]]
    return told, float(shares[order[_MOST_SHARES:]].sum()) if len(order) > len(told) else None


def noise_in_words(decomposition: Decomposition, k: int) -> str:
    """Say how component k compares with the noise of its order; empty where none is known."""
    if decomposition.noise is None or k == decomposition.remainder:
        return ""
    floor = float(decomposition.noise[k])
    if floor == 0:
        return "two fits agree on its order"
    ratio = float(decomposition.strengths[k]) / floor
    # Two digits: the floor is no surer than that.
    told = f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:#.2g}"
    return numerals.unbroken(f"{told} × the noise of its order")
