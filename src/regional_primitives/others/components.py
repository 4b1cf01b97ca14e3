"""Feature components as such, with bool fields or without, and any answer as a decomposition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regional_primitives.axes import Dictionary
from regional_primitives.decompose.decomposition import Decomposition, energies
from regional_primitives.decompose.division import division
from regional_primitives.decompose.explain import assembled
from regional_primitives.decompose.given import DEFAULT_SHARE, Given
from regional_primitives.decompose.purpose import Purpose
from regional_primitives.decompose.structured.fit import Fit
from regional_primitives.decompose.subject import Subject, prepare
from regional_primitives.errors import InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.generators.latents import Latents
from regional_primitives.others.answer import Answer, check_made_of, fields_of, rows_of
from regional_primitives.others.fields import change_shares, smallest_fields
from regional_primitives.picture import Picture
from regional_primitives.regions import Regions
from regional_primitives.runtime.arguments import of_kind, random_seed
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting

_NOTHING = 1e-5


@dataclass(frozen=True, eq=False)
class Components(Answer):
    """Components of a feature: the tensors themselves, and which patches each acts on.

    A row of `action_fields` without a patch is the remainder, what no demand needs.
    """

    tensors: Any
    """Δf_k, [K, *feature]; of a bundle, a tuple of them."""
    action_fields: Any = None
    """A_k, bool [K, n]; None where the method has none, see `fields`."""
    names: Sequence[str] = ()

    def terms(self, subject: Subject) -> Float[Tensor, "terms units"]:
        """Return them as they are."""
        return rows_of(self.tensors, subject, "components")

    def fields(self, subject: Subject) -> Dictionary | None:
        """Return them as they are."""
        if self.action_fields is None:
            return None
        return fields_of(self.action_fields, subject, len(self.terms(subject)))

    def labels(self) -> tuple[str, ...]:
        """Return the names that were given."""
        return tuple(self.names)


def answer_of(given: Any) -> Answer:
    """Return an answer as such, and a pair (fields, tensors) as `Components`.

    Raises:
        InputError: neither.
    """
    if isinstance(given, (tuple, list)) and len(given) == 2:
        return Components(given[1], given[0])
    return of_kind(
        given, Answer, "a rp.Decomposition, an answer of rp.others or (fields, tensors) is needed"
    )


@dataclass(frozen=True, eq=False)
class Terms:
    """Components of one picture before they have fields, or with those of their method."""

    subject: Subject
    values: Float[Tensor, "terms units"]
    """Δf_k, flat, on the CPU."""
    given_fields: Dictionary | None = None
    """None where the one rule gives them."""
    kind: str = "components"
    labels: tuple[str, ...] = ()

    @staticmethod
    def of(answer: Answer, subject: Subject) -> Terms:
        """Take an answer's components of this picture; see `components` for what is refused."""
        check_made_of(answer.made_of, subject)
        values, fields, labels = answer.terms(subject), answer.fields(subject), answer.labels()
        if labels and len(labels) != len(values):
            raise InputError(f"{len(labels)} names do not name {len(values)} components")
        return Terms(subject, values, fields, answer.kind, labels)

    @cached_property
    def _shares(self) -> Float[Tensor, "terms patches"]:
        return change_shares(self.subject, self.values)

    def fields(self, share: float) -> Dictionary:
        """Return the method's own fields, or those of the one rule that hold this share."""
        if self.given_fields is not None:
            return self.given_fields
        return smallest_fields(self._shares, share)

    def decomposition(
        self, settings: Given, *, keep_rest: bool = False, **picture: Any
    ) -> Decomposition:
        """Make them a decomposition of the picture, whose seed or file may be noted.

        Raises:
            InputError: none of them changes the feature, or there is a rest already.
        """
        share = DEFAULT_SHARE if settings.share is None else settings.share
        terms, fields, labels = self.values, self.fields(share), self.labels
        difference = self.subject.difference.cpu()
        rest = difference - terms.sum(0)
        if keep_rest and float(rest.norm()) > _NOTHING * float(difference.norm()):
            if not bool(fields.any(1).all()):
                raise InputError("one of the components acts on no patch: the rest is told already")
            terms = torch.cat([terms, rest[None]])
            fields = torch.nn.functional.pad(fields, (0, 0, 0, 1))
            labels = (*labels, "rest") if labels else ()
        owner, unit = terms.nonzero(as_tuple=True)
        values = terms[owner, unit]
        energy = energies(len(terms), owner, values)
        if not bool(energy.any()):
            raise InputError(f"{settings.name}: none of the components changes the feature")
        # As `Decomposition.assemble` orders them.
        order = energy.argsort(descending=True, stable=True).tolist()
        told = replace(
            settings,
            kind=self.kind,
            labels=tuple(labels[k] for k in order if energy[k] > 0) if labels else (),
            share=share if self.given_fields is None else None,
        )
        fit = Fit(
            fields=fields, field_of=owner, unit_of=unit, values=values,
            history=torch.zeros(0, 3), converged=True,
            evaluations=0, wall_seconds=0.0, tail_seconds=0.0,
        )  # fmt: skip
        return assembled(self.subject, told, fit, **picture)


@ordinary()
@torch.no_grad()
def components(
    answer: Any,
    generator: Generator,
    latents: Latents | Decomposition,
    regions: Regions | str | PathLike[str] | None = None,
    *,
    name: str | None = None,
    share: float = DEFAULT_SHARE,
    keep_rest: bool = False,
    purpose: Purpose = "generate",
    baseline_count: int = 0,
    baseline_seed: int = 0,
    picture_seed: int | None = None,
    progress: Progress | bool | None = False,
) -> Decomposition:
    """Make anybody's components a decomposition of the picture, which everything here works on.

    What they do not sum up to stays missing, and is scored as the completeness gap: that no demand
    needs it is a claim that no method but one with a remainder makes.

    Args:
        answer: one of `rp.others`, such as `rp.others.Directions`, or (fields, tensors): bool
            [K, n] and [K, *feature].
        generator: cut at the layer that the components are of.
        latents: the picture's, a batch of one; or a decomposition of the picture, whose patches,
            baseline and purpose then count too.
        regions: as `rp.explain` takes them.
        name: the method's.
        share: how much of what a component alone changes its field holds, where the method has
            no fields (`rp.others.fields`).
        keep_rest: add what is missing as a component of no patch, the remainder, so that edits
            start at the picture itself.
        purpose: the question at whose prices they are judged.
        baseline_count: latents whose mean feature is f0; 0 leaves it to the generator.
        baseline_seed: random stream of those latents.
        picture_seed: noted in the result, for the reader.
        progress: True draws a bar on stderr; or a callable (stage, done, total, note).

    Raises:
        InputError: an answer that does not fit the picture, and what `rp.explain` refuses.
        GeneratorError: a network that cannot be explained.
    """
    taken = answer_of(answer)
    of_kind(generator, Generator, "components need the generator that they are of, from rp.cut")
    told: dict[str, Any] = {"name": taken.kind if name is None else name, "share": share}
    if isinstance(latents, Decomposition):
        if regions is not None:
            raise InputError("a decomposition has its own patches; leave regions out")
        origin = latents.provenance
        known = ("baseline_count", "baseline_seed")
        kept = {each: origin.settings[each] for each in known if each in origin.settings}
        return Terms.of(taken, Picture.of(latents, generator).subject).decomposition(
            Given(**told, purpose=origin.purpose, **kept),
            keep_rest=keep_rest,
            picture_seed=origin.picture_seed,
            picture_file=origin.picture_file,
        )
    settings = Given(
        **told, purpose=purpose, baseline_count=baseline_count, baseline_seed=baseline_seed
    ).settled(generator)
    seed = None if picture_seed is None else random_seed(picture_seed)
    divided = division(regions, generator, latents)
    with reporting(progress) as report:
        subject = prepare(
            generator,
            latents,
            divided,
            baseline_count=settings.baseline_count,
            baseline_seed=settings.baseline_seed,
            progress=report,
        )
        return Terms.of(taken, subject).decomposition(
            settings, keep_rest=keep_rest, picture_seed=seed
        )
