"""Progress of long work: a protocol that stages report to, and a bar with an ETA on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

__all__ = ["Progress", "progress_bar", "silent"]


@runtime_checkable
class Progress(Protocol):
    """What a stage calls: `progress("fit", done, total, "inside 0.4 %  leak 12 %")`."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` units of `stage` are finished."""


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Report nothing."""


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Yield a `Progress` that draws one line a stage, with elapsed time and ETA, on stderr."""
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("{task.description:<10}"),
        rich_progress.BarColumn(bar_width=24),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeElapsedColumn(),
        rich_progress.TextColumn("ETA"),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[note]}"),
    )
    bar = rich_progress.Progress(*columns, console=Console(stderr=True))
    tasks: dict[str, rich_progress.TaskID] = {}

    def report(stage: str, done: int, total: int, note: str = "") -> None:
        if stage not in tasks:
            tasks[stage] = bar.add_task(stage, total=total, note=note)
            bar.start()  # not before there is something to draw
        bar.update(tasks[stage], completed=done, total=total, note=note)

    try:
        yield report
    finally:
        bar.stop()
