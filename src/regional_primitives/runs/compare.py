"""Comparisons: run folders of several pictures, compared, as compare.json and a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from regional_primitives.axes import Images
from regional_primitives.compare import compare
from regional_primitives.compare.checkpoints import (
    CheckpointComparison,
    are_checkpoints,
    checkpoints,
)
from regional_primitives.compare.comparison import PictureComparison
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import GeneratorError, InputError
from regional_primitives.generators import Generator
from regional_primitives.picture import Picture
from regional_primitives.runs.folder import drawn, generator_of, refuse_other_content
from regional_primitives.runtime.arguments import AnyPath, all_of_kind, path_of
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.run_files import MANIFEST
from regional_primitives.runtime.storage import write_json
from regional_primitives.scores.exhibits import Patterns, patterns_of
from regional_primitives.show.comparison_page import (
    COMPARISON_REPORT,
    MOST_COLUMNS,
    MOST_PARTS,
    shown_components,
    write_comparison_report,
)

COMPARISON = "compare.json"


@ordinary()
def compare_runs(
    folders: Sequence[AnyPath],
    out: AnyPath | None = None,
    *,
    a: int = 20,
    b: int = 100,
    draws: int = 10,
    seed: int = 0,
    progress: Progress | bool | None = False,
    model: str | None = None,
    **options: Any,
) -> PictureComparison | CheckpointComparison:
    """Compare the pictures of run folders; with `out` also write compare.json and compare.html.

    The page shows the patterns of shared primitives. Those that a run folder holds are read from
    it; the others are generated, if the generator is one of the zoo, or your own that `model` and
    `options` name, see `rp.load_generator`.

    Two runs of one picture that were made with different weights are two checkpoints: told is what
    share each part takes under either, and with `out` compare.json is written, without a page.

    The runs are of one generator, layer and division into patches; `a` and `b` those of t(a, b);
    `draws` random fields are drawn from the stream of `seed`. `out` is a folder that is new, empty,
    or holds a comparison already, which is replaced.

    Raises:
        StorageError: not a run folder, or a corrupt one; `out` holds something else, or the disk
            refuses.
        InputError: what `rp.compare` raises.
    """
    listed = all_of_kind(folders, object, "a comparison takes a list of run folders")
    paths = [path_of(folder, "a run folder") for folder in listed]
    if len(paths) < 2:
        raise InputError(f"a comparison takes at least two run folders; got {len(paths)}")
    target = None if out is None else path_of(out, "the comparison's folder")
    if target is not None:
        is_run = "is a run folder; choose another for the comparison"
        other = "exists and holds no comparison; choose a new or empty folder for it"
        refuse_other_content(target, COMPARISON, is_run if (target / MANIFEST).is_file() else other)
    with reporting(progress) as report:
        decompositions = []
        for number, path in enumerate(paths, start=1):
            decompositions.append(Decomposition.load(path))
            report("runs", number, len(paths))
        how: dict[str, Any] = {"names": _names(paths), "a": a, "b": b, "draws": draws, "seed": seed}
        runs = {"runs": [str(path) for path in paths]}
        if are_checkpoints(decompositions):
            found = checkpoints(decompositions, **how)
            if target is not None:
                write_json(target / COMPARISON, {**runs, **found.to_dict()})
                (target / COMPARISON_REPORT).unlink(missing_ok=True)  # of an older comparison
            return found

        # One generator made all pictures, so that it is loaded once, and only if it is needed.
        @cache
        def generator() -> Generator:
            return generator_of(decompositions[0], model, **options)

        if model is not None or options:  # what is named must be the right one
            decompositions[0].check_generator(generator())
        result = compare(decompositions, **how)
        if target is None:
            return result
        shown = _pictures(result, paths, report, generator)
        told = {**runs, **result.to_dict()}
        write_json(target / COMPARISON, told)
        page = partial(write_comparison_report, target, result, *shown)
        drawn(page, report, target / COMPARISON_REPORT)
    return result


def _names(paths: Sequence[Path]) -> list[str]:
    """Call each run by its folder's name, or by its path where two folders have one name."""
    short = [path.name or str(path) for path in paths]
    if len(set(short)) == len(short) or len(set(paths)) < len(paths):
        return short
    return [str(path) for path in paths]


def _pictures(
    result: PictureComparison,
    paths: Sequence[Path],
    progress: Progress,
    generator: Callable[[], Generator],
) -> tuple[list[Patterns], list[Images | None]]:
    """Generate what the page shows: patterns that no folder holds, and each part by itself."""

    found: list[Patterns] = []
    answers: list[Images | None] = []
    for number, components in enumerate(shown_components(result)):
        d = result.decompositions[number]
        found.append(patterns_of(d, components, paths[number], generator))
        answers.append(None)
        if result.parts and number < MOST_COLUMNS:
            each = torch.eye(d.regions.count, dtype=torch.bool)[:MOST_PARTS]
            with suppress(GeneratorError):
                answers[-1] = Picture.of(d, generator()).ask(each)
        progress("patterns", number + 1, len(paths))
    return found, answers
