"""Comparisons: run folders of several pictures, compared, as compare.json and a page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from regional_primitives.compare import PictureComparison, compare
from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError, MissingExtraError, StorageError
from regional_primitives.generators import Generator
from regional_primitives.runs.folder import generator_of
from regional_primitives.runtime.kinds import all_of_kind
from regional_primitives.runtime.modes import ordinary
from regional_primitives.runtime.paths import AnyPath, path_of
from regional_primitives.runtime.progress import Progress, reporting
from regional_primitives.runtime.staging import MANIFEST, check_folder, recover, visible
from regional_primitives.runtime.storage import write_json
from regional_primitives.scores.exhibits import Patterns, patterns_of
from regional_primitives.show.comparison_report import COMPARISON_REPORT, write_comparison_report
from regional_primitives.show.comparison_view import shown_components

__all__ = ["COMPARISON", "compare_runs"]

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
) -> PictureComparison:
    """Compare the pictures of run folders; with `out` also write compare.json and compare.html.

    The page shows the patterns of shared primitives. Those that a run folder holds are read from
    it; the others are generated, if the generator is one of the zoo.

    Args:
        folders: two or more run folders of one generator, layer and division into patches.
        out: a folder that is new, empty, or holds a comparison already, which is replaced.
        a: of t(a, b).
        b: of t(a, b).
        draws: how often random fields are drawn.
        seed: their random stream.
        progress: told of every step.

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
    with reporting(progress) as report:
        return _compared(paths, target, report, a=a, b=b, draws=draws, seed=seed)


def _compared(
    paths: Sequence[Path], out: Path | None, progress: Progress, **counts: Any
) -> PictureComparison:
    if out is not None:
        _refuse_other_content(out)
    decompositions = []
    for number, path in enumerate(paths, start=1):
        decompositions.append(Decomposition.load(path))
        progress("runs", number, len(paths))
    result = compare(decompositions, names=_names(paths), **counts)
    if out is None:
        return result
    patterns = _patterns(result, paths, progress)
    write_json(out / COMPARISON, {"runs": [str(path) for path in paths], **result.to_dict()})
    try:
        write_comparison_report(out, result, patterns)
    except MissingExtraError as error:
        # An older page must not stand beside newer numbers.
        (out / COMPARISON_REPORT).unlink(missing_ok=True)
        progress("report", 0, 1, f"left out: {error}")
    else:
        progress("report", 1, 1)
    return result


def _names(paths: Sequence[Path]) -> list[str]:
    """Call each run by its folder's name, or by its path where two folders have one name."""
    short = [path.name or str(path) for path in paths]
    if len(set(short)) == len(short) or len(set(paths)) < len(paths):
        return short
    return [str(path) for path in paths]


def _refuse_other_content(out: Path) -> None:
    check_folder(out)
    recover(out)
    if (out / COMPARISON).is_file():
        return
    if (out / MANIFEST).is_file():
        raise StorageError(f"{out} is a run folder; choose another for the comparison")
    if visible(out):
        raise StorageError(
            f"{out} exists and holds no comparison; choose a new or empty folder for it"
        )


def _patterns(
    result: PictureComparison, paths: Sequence[Path], progress: Progress
) -> list[Patterns]:
    # One generator made all pictures, so that it is loaded once, and only if it is needed.
    @lru_cache(maxsize=1)
    def generator(first: int) -> Generator:
        return generator_of(result.decompositions[first])

    found = []
    for number, components in enumerate(shown_components(result)):
        d = result.decompositions[number]
        found.append(patterns_of(d, components, paths[number], partial(generator, 0)))
        progress("patterns", number + 1, len(paths))
    return found
