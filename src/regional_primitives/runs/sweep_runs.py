"""One run of a sweep: what is asked for, whether it stands, and how it is done, here or elsewhere.

What is handed to other processes and machines is in this file: all of it can be pickled.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from regional_primitives.compare.vocabulary import VOCABULARY
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.decompose.explain import explain
from regional_primitives.decompose.provenance import current_versions
from regional_primitives.decompose.stored import read_manifest
from regional_primitives.decompose.structured import Structured
from regional_primitives.errors import (
    BusyError,
    GeneratorError,
    InputError,
    RegionalPrimitivesError,
    SomeFailedError,
    StorageError,
)
from regional_primitives.generators import ZOO, Generator, load_generator
from regional_primitives.generators.factory import names_a_factory
from regional_primitives.generators.feature import FeatureShape
from regional_primitives.generators.latents import Latents, concatenate, parts
from regional_primitives.regions import Regions
from regional_primitives.runs.folder import explain_to_folder, scores_to_folder
from regional_primitives.runs.key import Work
from regional_primitives.runtime.progress import Progress, silent
from regional_primitives.runtime.run_files import FIELDS, FIGURES, MANIFEST, REPORT, TENSORS
from regional_primitives.runtime.staging import is_being_made, staged_folder
from regional_primitives.scores import Evaluation
from regional_primitives.scores.sweep_scores import SWEEP, FailedPicture
from regional_primitives.show.sweep_page import SWEEP_REPORT

Keep: TypeAlias = Literal["runs", "scores"]
"""What a sweep keeps of each picture."""
Files: TypeAlias = dict[str, bytes]
"""What lies in a run folder, by names below it."""
Sent: TypeAlias = tuple[tuple[FailedPicture, ...], dict[int, Files]]
"""Pictures that cannot be explained, and by their seeds the runs that no shared folder holds."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,79}")


@dataclass(frozen=True)
class Asked:
    """What all runs of a sweep share."""

    model: str
    options: tuple[tuple[str, Any], ...]
    regions: Regions
    settings: Structured
    evaluation: Evaluation
    keep: Keep
    name: str
    """Of this sweep alone, as processes on a cluster outlive one."""

    def batches(
        self,
        layers: str | Sequence[str] | None,
        seeds: Sequence[int],
        folder: Path,
        together: int,
        **here: Any,
    ) -> list[Batch]:
        """Cut at every layer once, so that a wrong name is told before anything is run.

        `together` is how many pictures are fitted in lockstep; `here` are options that are others
        in this process.
        """
        names: list[str | None] = [None]
        if layers == "all":
            if self.model not in ZOO and names_a_factory(self.model):
                raise InputError(
                    f"all layers are those that the zoo lists; name those of {self.model}, see "
                    "`primitives layers`"
                )
            names = list(ZOO[self.model].layers) if self.model in ZOO else names
        elif layers is not None:
            if not isinstance(layers, (str, Sequence)):
                raise InputError(f"layers is a name, several of them, or all, not {layers!r}")
            names = [layers] if isinstance(layers, str) else list(layers)
        if not names:
            raise InputError("a sweep needs at least one layer")
        cuts = {}
        for name in names:
            generator = load_generator(self.model, name, **{**dict(self.options), **here})
            settings = self.settings.settled(generator)
            work = Work.asked(generator, None, self.regions, settings)
            cuts[generator.layer] = (name, generator.feature_shape, work)
        return [
            Batch(tuple(
                Task(name, shape, work, seed, folder / layer_folder(layer) / str(seed))
                for seed in seeds[first : first + together]
            ))
            for layer, (name, shape, work) in cuts.items()
            for first in range(0, len(seeds), together)
        ]  # fmt: skip

    def stands(self, batch: Batch) -> bool:
        """Tell whether all runs stand, measured as asked; a run of something else is refused."""
        return all(map(self._stands, batch.tasks))

    def _stands(self, task: Task) -> bool:
        if not (task.folder / MANIFEST).is_file():
            return False
        manifest = read_manifest(task.folder)
        wanted = replace(task.work, picture_seed=task.seed)
        for difference in wanted.differences(Work.done(manifest)):
            raise StorageError(
                f"{task.folder} holds a run with {difference}; choose another folder"
            )
        enough = (REPORT, FIELDS) if self.keep == "scores" else (REPORT,)
        whole = any((task.folder / name).is_file() for name in enough)
        return whole and manifest.evaluation == asdict(self.evaluation)

    def run(self, batch: Batch, progress: Progress) -> tuple[FailedPicture, ...]:
        """Make the runs that do not stand; return the pictures that cannot be explained.

        Raises:
            BusyError: another process makes them, or has made them meanwhile.
            StorageError: the disk refuses.
        """
        if batch.is_busy or self.stands(batch):
            raise BusyError(f"another process makes {batch}")
        # Whichever stand, the fit is that of all, so that its bytes are the same after an end.
        fit = _Lockstep(batch).explain if len(batch) > 1 else None
        missing = [task for task in batch.tasks if not self._stands(task)]
        failures = []
        busy: BusyError | None = None
        for task in missing:
            try:
                self._run(task, fit, progress)
            except (GeneratorError, InputError) as error:
                told = f"{task.work.layer}, picture {task.seed}: {error}"
                failures.append(FailedPicture(task.seed, task.work.layer, told))
            except BusyError as error:
                busy = error
            except StorageError:
                if not self._stands(task):  # nobody was faster
                    raise
        if busy is not None:
            raise busy
        return tuple(failures)

    def missing(self, batch: Batch) -> int:
        """Count the runs that do not stand."""
        return sum(not self._stands(task) for task in batch.tasks)

    def _run(
        self, task: Task, fit: Callable[..., Decomposition] | None, progress: Progress
    ) -> None:
        def named(stage: str, done: int, total: int, note: str = "") -> None:
            progress(f"{task} {stage}", done, total, note)

        whole = (task.folder / TENSORS).is_file()
        light = not whole and (task.folder / FIELDS).is_file()
        explained: Callable[..., object] = partial(explain_to_folder, overwrite=light)
        if self.keep == "scores" and not whole:
            explained = scores_to_folder
        explained(
            _generator(self.name, self.model, task.layer, self.options),
            task.seed,
            task.folder,
            regions=self.regions,
            settings=self.settings,
            evaluation=self.evaluation,
            fit=fit,
            progress=named,
        )


@dataclass(frozen=True)
class Task:
    """One picture at one layer."""

    layer: str | None
    """As it was asked for; None for the generator's own choice."""
    feature_shape: FeatureShape
    work: Work
    """What all pictures at this layer share."""
    seed: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.work.layer}/{self.seed}"


@dataclass(frozen=True)
class Batch:
    """Pictures at one layer that are fitted in lockstep: mostly a single one."""

    tasks: tuple[Task, ...]

    def __len__(self) -> int:
        return len(self.tasks)

    def __str__(self) -> str:
        first, last = self.tasks[0], self.tasks[-1]
        return str(first) if first == last else f"{first} to {last.seed}"

    @property
    def is_busy(self) -> bool:
        """Whether a process is at it right now."""
        return any(is_being_made(task.folder) for task in self.tasks)


@dataclass
class _Lockstep:
    """A fit of a whole batch, made when the first of its pictures is asked for."""

    batch: Batch
    found: dict[int, Decomposition | RegionalPrimitivesError] = field(default_factory=dict)

    def explain(
        self,
        generator: Generator,
        latents: Latents,
        regions: Regions,
        settings: Structured,
        *,
        picture_seed: int,
        picture_file: None = None,
        progress: Progress,
    ) -> Decomposition:
        """Take the place of `rp.explain` for one of the pictures."""
        if not self.found:
            several = self._alike(generator, latents)
            seeds = list(several)
            try:
                made = explain(
                    generator,
                    concatenate(list(several.values())),
                    regions,
                    settings,
                    picture_seed=seeds,
                    together=True,
                    progress=progress,
                )
                self.found = dict(zip(seeds, made, strict=True))
            except SomeFailedError as error:
                self.found = {
                    seeds[place]: one for place, one in (error.explained | error.failed).items()
                }
            except (GeneratorError, InputError):  # of all: each says why
                pass
        one = self.found.get(picture_seed)
        if one is None:
            return explain(
                generator, latents, regions, settings, picture_seed=picture_seed, progress=progress
            )
        if isinstance(one, Decomposition):
            return one
        raise one

    def _alike(self, generator: Generator, latents: Latents) -> dict[int, Latents]:
        """Draw the latents of those pictures that fit in one batch with these."""
        drawn: dict[int, Latents] = {}
        for task in self.batch.tasks:
            with suppress(GeneratorError, InputError):  # told when it is its turn
                drawn[task.seed] = generator.sample_latents(1, seed=task.seed)
        shapes = [(name, part.shape) for name, part in parts(latents).items()]
        return {
            seed: one for seed, one in drawn.items()
            if [(name, part.shape) for name, part in parts(one).items()] == shapes
        }  # fmt: skip


def layer_folder(layer: str) -> str:
    """Name the folder of a layer's runs, fit for file systems and links, no two alike."""
    if _SAFE_NAME.fullmatch(layer) and layer not in (FIGURES, SWEEP, SWEEP_REPORT, VOCABULARY):
        return layer
    safe = re.sub(r"[^A-Za-z0-9_.+-]+", "_", layer)[:60].lstrip(".")
    return f"{safe}-{hashlib.sha256(layer.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Afar:
    """Runs of a sweep made on machines that may not see its folder."""

    asked: Asked
    mark: Path | None
    """A file in the sweep's folder: who sees it writes there. Without one all runs are sent."""
    versions: tuple[tuple[str, str], ...]
    """Of the machine that asks; others round otherwise, or cannot read what they get."""

    @staticmethod
    def of(asked: Asked, mark: Path | None) -> Afar:
        """Note the versions of this machine."""
        return Afar(asked, mark, tuple(current_versions().items()))

    def run(self, batch: Batch, progress: Progress) -> Sent:
        """Make runs, into the sweep's folder or to be sent.

        Raises:
            RegionalPrimitivesError: this machine has other versions, and what `Asked.run` raises.
        """
        here = current_versions()
        others = [f"{name} {here[name]}, not {wanted}" for name, wanted in self.versions
                  if here[name] != wanted]  # fmt: skip
        if others:
            raise RegionalPrimitivesError(
                f"a machine of the cluster has {', '.join(others)}; install the same on all"
            )
        if self.mark is not None and self.mark.exists():
            return self.asked.run(batch, progress), {}
        with tempfile.TemporaryDirectory(prefix="primitives-") as place:
            made = [replace(task, folder=Path(place) / task.folder.name) for task in batch.tasks]
            failures = self.asked.run(Batch(tuple(made)), progress)
            return failures, {task.seed: _files(task.folder) for task in made}

    def receive(self, batch: Batch, sent: Sent) -> tuple[FailedPicture, ...]:
        """Write the runs that were sent; return the pictures that cannot be explained.

        Raises:
            StorageError: the disk refuses.
        """
        failures, runs = sent
        for task in batch.tasks:
            files, alone = runs.get(task.seed), Batch((task,))
            if not files or self.asked.stands(alone):
                continue
            if (task.folder / TENSORS).is_file():  # a whole run, measured anew and not replaced
                self.asked.run(alone, silent)
                continue
            with staged_folder(task.folder, overwrite=True) as staging:
                for name, content in files.items():
                    (staging / name).parent.mkdir(exist_ok=True)
                    (staging / name).write_bytes(content)
        return failures


def _files(folder: Path) -> Files:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@lru_cache(maxsize=1)
def _generator(
    sweep: str, model: str, layer: str | None, options: tuple[tuple[str, Any], ...]
) -> Generator:
    """Load a generator, and keep it for the next run: runs of one layer come one after another."""
    return load_generator(model, layer, **dict(options))


def forget_generators() -> None:
    """Let the generator go that this process has kept."""
    _generator.cache_clear()
