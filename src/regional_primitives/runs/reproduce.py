"""Reproduction: every experiment of the paper on several pictures, by both routes, with numbers.

The protocol is that of arXiv 2410.04421: a 6 × 6 grid, 9 random patches on the foreground, all
their 2⁹ demands. Beside it stands the structured form on all 36 patches, and on the same 9. Fits
are kept in the folder, so that a reproduction that was stopped goes on where it stood.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regional_primitives import scores
from regional_primitives.compare.across import EXACT, STRUCTURED, AcrossPictures, Reproduction
from regional_primitives.compare.relatedness import relatedness
from regional_primitives.compare.transfer import transfer
from regional_primitives.decompose import Decomposition, Exact, Structured, explain
from regional_primitives.decompose.division import division
from regional_primitives.decompose.exact import ExactComponents, exact_components, fit_exact
from regional_primitives.decompose.explain import decomposition_of
from regional_primitives.decompose.provenance import current_versions
from regional_primitives.decompose.subject import Subject, prepare
from regional_primitives.errors import InputError, MissingExtraError
from regional_primitives.generators import Generator, load_generator
from regional_primitives.regions import Regions, visible_foreground
from regional_primitives.runs.folder import drawn, plain_name, refuse_other_content
from regional_primitives.runs.key import content_key
from regional_primitives.runtime.arguments import AnyPath, path_of
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting, silent
from regional_primitives.runtime.run_files import FIGURES
from regional_primitives.runtime.settings import check_settings, settings_or
from regional_primitives.runtime.staging import recover
from regional_primitives.runtime.storage import read_as, read_json, typed, write_json
from regional_primitives.runtime.streams import stream
from regional_primitives.runtime.workers import work_off
from regional_primitives.scores import Additivity, ObviousCost, obvious_cost
from regional_primitives.show.reproduction_page import (
    REPRODUCTION_REPORT,
    write_reproduction_report,
)

REPRODUCTION = "reproduction.json"
_MEASURED = "picture.json"
PICTURES = "pictures"
"""The stage that counts finished pictures; all other stages are part of one."""
_TRIES = 4
"""How many times as many pictures are looked at as are asked for."""
_EXPERIMENTS: dict[str, Any] = {
    "sparsity": lambda decomposition, generator: scores.sparsity(decomposition),
    "boundedness": scores.boundedness,
    "consistency": scores.consistency,
    "superposition": scores.superposition,
    "control": scores.control,
    "spent": lambda decomposition, generator: scores.spent(decomposition),
    "relatedness": lambda decomposition, generator: relatedness(decomposition),
}


@dataclass(frozen=True)
class Protocol:
    """What is reproduced."""

    images: int = 8
    """Pictures, by seeds from `first_seed` on; those of too little foreground are skipped."""
    first_seed: int = 0
    patches: int = 9
    """Random foreground patches a picture, as in the paper."""
    redrawn: int = 3
    """Of the pictures, how many are also explained with another draw of patches."""
    strongest: int = 50
    """How many of the exact form's components must do by themselves in the additivity test."""
    seed: int = 0
    """Random stream of the draws of patches."""

    def __post_init__(self) -> None:
        least = {"images": 1, "first_seed": 0, "patches": 1, "redrawn": 0, "strongest": 1}
        check_settings(self, least)


@ordinary()
def reproduce(
    model: str,
    folder: AnyPath,
    *,
    layer: str | None = None,
    protocol: Protocol | None = None,
    regions: Regions | str | None = None,
    resize: bool = False,
    exact: Exact | None = None,
    structured: Structured | None = None,
    progress: Progress | bool | None = False,
    **options: Any,
) -> Reproduction:
    """Run every experiment of the paper on several pictures; write reproduction.json.

    What needs packages of the report's extra that are not installed, the page and how components
    relate, is left out, and `progress` is told so.

    Args:
        model: as for `rp.load_generator`.
        folder: where fits and results go; fits that stand there are not made again.
        layer: where to cut; the generator's default unless given.
        protocol: `Protocol()` unless given.
        regions: one division for all pictures, as for `rp.explain`; a 6 × 6 grid unless given.
        resize: fit a label map to the size of the pictures.
        exact: settings of the exact form; its patches are drawn.
        structured: settings of the structured form.
        progress: told of `PICTURES`, and of every stage of each.
        options: further ones of `rp.load_generator`.

    Raises:
        InputError: a malformed argument, or fewer foreground patches than asked for.
        StorageError: the folder holds something else, or the disk refuses.
    """
    protocol = settings_or(protocol, Protocol, Protocol())
    given = regions if isinstance(regions, str) else Regions.of(regions)
    exact = settings_or(exact, Exact, Exact())
    structured = settings_or(structured, Structured, Structured())
    if exact.patches:
        raise InputError("the patches of the exact form are drawn; say how many in the protocol")
    target = path_of(folder, "the reproduction's folder")
    refuse_other_content(
        target,
        REPRODUCTION,
        "holds something else than a reproduction; choose another",
        lambda path: path.name.isdigit() or path.name in (FIGURES, REPRODUCTION_REPORT),
    )
    with reporting(progress) as report:
        generator = load_generator(model, layer, **options)
        divided = division(given, generator, resize=resize)
        exact, structured = exact.settled(generator), structured.settled(generator)
        seeds, skipped = _usable_seeds(generator, divided, protocol, exact)
        tasks = [
            _Task(generator, divided, protocol, exact, structured, number, target / str(seed))
            for number, seed in enumerate(seeds)
        ]
        work_off(_Task.fit, tasks, _Task.stands, PICTURES, report)
        about = {
            "generator": generator.name,
            "layer": generator.layer,
            "hold": generator.hold,
            "weights_digest": generator.digest,
            "regions": divided.to_dict(),
            "protocol": asdict(protocol),
            "seeds": seeds,
            "skipped_seeds": skipped,
            "exact": asdict(exact),
            "structured": asdict(structured),
            "versions": current_versions(),
            "date": datetime.date.today().isoformat(),
        }
        result = _experiments(generator, tasks, about, report)
        write_json(target / REPRODUCTION, result.to_dict())
        page = partial(write_reproduction_report, target, result)
        drawn(page, report, target / REPRODUCTION_REPORT)
    return result


def default_reproduction(model: str) -> Path:
    """Name the folder of a reproduction for which none is named."""
    return Path("runs") / f"reproduce-{plain_name(model)}"


def _usable_seeds(
    generator: Generator, regions: Regions, protocol: Protocol, exact: Exact
) -> tuple[list[int], list[int]]:
    """Seek pictures whose foreground has enough patches; return their seeds, and those skipped."""
    usable: list[int] = []
    skipped: list[int] = []
    for seed in range(protocol.first_seed, protocol.first_seed + _TRIES * protocol.images):
        latents = generator.sample_latents(1, seed=seed)
        subject = _prepared(generator, latents, regions, exact, silent)
        try:
            _foreground(subject, protocol, seed, 0)
        except InputError as error:
            skipped.append(seed)
            reason = error
            continue
        usable.append(seed)
        if len(usable) == protocol.images:
            return usable, skipped
    raise InputError(f"only {len(usable)} of {_TRIES * protocol.images} pictures serve: {reason}")


def _prepared(
    generator: Generator, latents: Any, regions: Regions, exact: Exact, progress: Progress
) -> Subject:
    count, seed = exact.baseline_count, exact.baseline_seed
    return prepare(
        generator, latents, regions, baseline_count=count, baseline_seed=seed, progress=progress
    )


def _foreground(subject: Subject, protocol: Protocol, seed: int, draw: int) -> tuple[int, ...]:
    """Draw patches on the foreground."""
    mask = visible_foreground(subject.image, subject.baseline_image).cpu()
    rng = stream(protocol.seed, "foreground patches", seed, draw)
    return subject.regions.draw_foreground(mask, rng, protocol.patches)


@dataclass(frozen=True)
class _Measured:
    """What is kept of one picture beside its fits."""

    key: str
    additivity: Additivity
    cost: ObviousCost


@dataclass(frozen=True, eq=False)
class _Task:
    """One picture of the reproduction; its folder is named after its seed."""

    generator: Generator
    regions: Regions
    protocol: Protocol
    exact: Exact
    structured: Structured
    number: int
    folder: Path

    def __str__(self) -> str:
        return f"picture {self.folder.name}"

    @property
    def key(self) -> str:
        """Of all that the fits depend on."""
        return content_key(
            self.generator.digest, self.generator.layer, self.regions.to_dict(),
            asdict(self.exact), asdict(self.structured), self.protocol.patches,
            self.protocol.strongest, self.protocol.seed, self.draws,
        )  # fmt: skip

    @property
    def draws(self) -> int:
        return 2 if self.number < self.protocol.redrawn else 1

    def stands(self) -> bool:
        """Tell whether these very fits stand."""
        recover(self.folder)
        manifest = self.folder / _MEASURED
        return manifest.is_file() and read_json(manifest).get("key") == self.key

    @cached_property
    def whole(self) -> Decomposition:
        """The structured form that stands."""
        return Decomposition.load(self.folder / STRUCTURED)

    @cached_property
    def drawn(self) -> list[Decomposition]:
        """The exact form that stands, one a draw of patches."""
        return [Decomposition.load(self.folder / f"{EXACT}-{draw}") for draw in range(self.draws)]

    @cached_property
    def measured(self) -> _Measured:
        """What stands beside them."""
        return read_as(self.folder / _MEASURED, lambda content: typed(content, _Measured))

    def fit(self, progress: Progress) -> None:
        """Fit both forms and write them; picture.json comes last, and says that all is there."""
        # From here on the fits are no longer those that it was written for.
        (self.folder / _MEASURED).unlink(missing_ok=True)
        seed = int(self.folder.name)
        latents = self.generator.sample_latents(1, seed=seed)
        given: dict[str, Any] = {"picture_seed": seed, "progress": progress}
        whole = explain(self.generator, latents, self.regions, self.structured, **given)
        whole.save(self.folder / STRUCTURED, overwrite=True)
        subject = _prepared(self.generator, latents, self.regions, self.exact, progress)
        # Named after these very settings, so that those of others in its place do not block it.
        checkpoints = [
            self.folder / f"checkpoint-{draw}-{self.key[:12]}" for draw in range(self.draws)
        ]
        measured = []
        for draw, checkpoint in enumerate(checkpoints):
            patches = _foreground(subject, self.protocol, seed, draw)
            settings = replace(self.exact, patches=patches)
            made = fit_exact(subject, settings, progress, checkpoint)
            decomposition_of(made, seed).save(self.folder / f"{EXACT}-{draw}", overwrite=True)
            if draw == 0:
                additivity = self._additivity(made, progress)
                measured.append(_Measured(self.key, additivity, obvious_cost(made)))
        write_json(self.folder / _MEASURED, asdict(measured[0]))
        for checkpoint in checkpoints:
            shutil.rmtree(checkpoint, ignore_errors=True)

    def _additivity(self, made: ExactComponents, progress: Progress) -> Additivity:
        """Put the ways of predicting the demands side by side."""
        features, count = made.features, self.protocol.strongest
        raw = exact_components(features, replace(made.settings, form="raw"))
        ways: dict[str, Tensor] = {
            "sparse": made.predicted[1:],
            f"sparse top {count}": scores.strongest(made, count),
            "raw": raw.predicted[1:],
            f"raw top {count}": scores.strongest(raw, count),
            "structured": self._structured_on(features.patches, made, progress),
        }
        return scores.additivity(features, ways)

    def _structured_on(
        self, patches: Sequence[int], made: ExactComponents, progress: Progress
    ) -> Tensor:
        """Fit the structured form to the same patches, and to all the rest as one more patch.

        Without the rest, what generates it would have to belong to the fields of other patches.
        """
        subject = made.features.subject
        labels = self.regions.label_map(*subject.image.shape[-2:])
        numbers = torch.full((self.regions.count + 1,), len(patches))
        numbers[list(patches)] = torch.arange(len(patches))
        regions = Regions.from_labels(numbers[labels])  # pixels of no patch (−1) are the rest too
        found = explain(
            self.generator, subject.latents, regions, self.structured, progress=progress
        )
        demands = torch.zeros(len(made.features.demands), regions.count, dtype=torch.bool)
        demands[:, : len(patches)] = made.features.demands[:, list(patches)]
        return found.minimal_units(demands)


def _experiments(
    generator: Generator, pictures: list[_Task], about: dict[str, Any], progress: Progress
) -> Reproduction:
    forms = {
        STRUCTURED: [picture.whole for picture in pictures],
        EXACT: [picture.drawn[0] for picture in pictures],
    }
    per_form: dict[str, dict[str, AcrossPictures[Any]]] = {form: {} for form in forms}
    for done, (name, run) in enumerate(_EXPERIMENTS.items(), start=1):
        for form, found in forms.items():
            try:
                results = [run(decomposition, generator) for decomposition in found]
            except MissingExtraError as error:
                progress(f"{name}, {form}", 0, 1, f"left out: {error}")
            else:
                per_form[form][name] = AcrossPictures.of(results)
        progress("experiments", done, len(_EXPERIMENTS), name)
    # Two draws of few patches out of many may have none in common, which leaves nothing to compare.
    redrawn = [
        scores.redraw(one, other)
        for one, other in (picture.drawn for picture in pictures if picture.draws > 1)
        if set(one.patches) & set(other.patches)
    ]
    return Reproduction(
        about,
        per_form,
        AcrossPictures.of([picture.measured.additivity for picture in pictures]),
        transfer(forms[STRUCTURED]) if len(pictures) > 1 else None,
        AcrossPictures.of(redrawn) if redrawn else None,
        AcrossPictures.of([picture.measured.cost for picture in pictures]),
    )
