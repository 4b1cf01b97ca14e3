"""Factor methods: the feature's departure as a sum of spatial patterns times channel patterns.

PCA (rank-1 terms of the singular value decomposition), NMF of its positive and negative parts, and
semi-NMF with parts ≥ 0 and signed appearances (Ding et al. 2010), the factorisation of PandA
(Oldfield et al. 2022), here of one picture's feature. None of them knows of patches: each term's
action field is that of `others.fields`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.decompose.given import Given
from regional_primitives.decompose.structured.candidates import Layout
from regional_primitives.errors import MissingExtraError
from regional_primitives.others.components import Terms
from regional_primitives.others.fields import SHARES
from regional_primitives.rivals.rival import Scene, Way, rival
from regional_primitives.runtime.streams import stream

_ITERATIONS = 200
_Factors: TypeAlias = tuple[Tensor, Tensor]
"""[sites, terms] and [terms, channels]."""
_Factorise: TypeAlias = Callable[[Float[Tensor, "sites channels"], int, torch.Generator], _Factors]


def _ways(scene: Scene, factorise: _Factorise) -> Iterator[Way]:
    """Yield fields of several sizes for each of two numbers of terms."""
    name = factorise.__name__.strip("_").replace("_", "-")
    patches = scene.decomposition.regions.count
    for count in sorted({max(1, patches // 4), patches}):
        terms = Terms(scene.subject, _terms(scene, factorise, count))
        for share in SHARES:
            components = terms.decomposition(Given(name, share=share))
            setting = f"{count} terms, fields that hold {share:.0%} of each term's change"
            yield Way(setting, components.minimal_units, components)


def _terms(scene: Scene, factorise: _Factorise, count: int) -> Float[Tensor, "terms units"]:
    """Factorise each tensor of the departure; what the terms leave is a term of its own."""
    layouts = Layout.of(scene.decomposition.feature_shape)
    total = sum(layout.units for layout in layouts)
    found = []
    for number, layout in enumerate(layouts):
        departure = layout.by_site(scene.difference)
        most = min(count, *departure.shape)
        sites, channels = factorise(departure, most, stream(scene.seed, "factors", number))
        terms = torch.zeros(sites.shape[1], total)
        own = layout.flat(torch.einsum("sk,kc->ksc", sites, channels))
        terms[:, layout.start : layout.start + layout.units] = own
        found.append(terms)
    terms = torch.cat(found)
    rest = scene.difference - terms.sum(0)
    if float(rest.norm()) > 1e-5 * float(scene.difference.norm()):
        terms = torch.cat([terms, rest[None]])
    return terms[terms.norm(dim=1) > 0]


def _pca(departure: Float[Tensor, "sites channels"], count: int, rng: torch.Generator) -> _Factors:
    left, size, right = torch.linalg.svd(departure, full_matrices=False)
    return left[:, :count] * size[:count], right[:count]


def _nmf(departure: Float[Tensor, "sites channels"], count: int, rng: torch.Generator) -> _Factors:
    """Factorise the positive and negative parts, by scikit-learn.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise MissingExtraError("NMF", "baselines")
    import warnings

    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    parts = torch.cat([departure.clamp_min(0), (-departure).clamp_min(0)], 1).double()
    state = int(torch.randint(2**31 - 1, (), generator=rng))
    model = NMF(count, init="nndsvda", max_iter=_ITERATIONS, random_state=state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as many steps as semi-NMF takes
        sites = torch.from_numpy(model.fit_transform(parts.numpy())).float()
    gained, lost = torch.from_numpy(model.components_).float().chunk(2, dim=1)
    return sites, gained - lost


def _semi_nmf(
    departure: Float[Tensor, "sites channels"], count: int, rng: torch.Generator
) -> _Factors:
    """Alternate least squares for appearances with the multiplicative step for parts ≥ 0."""
    matrix = departure.double()
    parts = torch.rand(len(matrix), count, generator=rng, dtype=torch.float64) + 0.2
    for _ in range(_ITERATIONS):
        appearances = torch.linalg.lstsq(parts, matrix, driver="gelsd").solution
        towards, between = matrix @ appearances.T, appearances @ appearances.T
        up = towards.clamp_min(0) + parts @ (-between).clamp_min(0)
        down = (-towards).clamp_min(0) + parts @ between.clamp_min(0)
        parts *= (up / down.clamp_min(1e-30)).sqrt()
    appearances = torch.linalg.lstsq(parts, matrix, driver="gelsd").solution
    return parts.float(), appearances.float()


for _place, _name, _factorise, _about, _source in (
    (
        4, "PCA", _pca,
        "splits the feature into principal components, each with the patches that it changes",
        "as GANSpace, of one picture",
    ),
    (
        5, "NMF", _nmf,
        "splits the feature into non-negative factors, likewise",
        "Lee and Seung 1999",
    ),
    (
        6, "semi-NMF", _semi_nmf,
        "splits the feature into parts and appearances, likewise",
        "as PandA (Oldfield et al. 2022), of one picture",
    ),
):  # fmt: skip
    _knob = "terms, share of the change in the field"
    rival(_name, _about, _source, _knob, place=_place)(partial(_ways, factorise=_factorise))
