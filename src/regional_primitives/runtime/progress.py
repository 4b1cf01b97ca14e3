"""Progress of long work: a protocol that stages report to, and bars with an ETA on stderr."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from regional_primitives.errors import InputError


@runtime_checkable
class Progress(Protocol):
    """What a stage calls: `progress("fit", done, total, "inside 0.4 %  leak 12 %")`."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` units of `stage` are finished."""


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Report nothing."""


@contextmanager
def reporting(progress: Progress | bool | None) -> Iterator[Progress]:
    """Yield what is told of progress: True draws a bar, False and None are silent."""
    if progress is True:
        with progress_bar() as bar:
            yield bar
    elif progress is None or progress is False:
        yield silent
    elif callable(progress):
        yield progress
    else:
        raise InputError(
            "progress is True, False, or a callable (stage, done, total, note), "
            f"not {type(progress).__name__}"
        )


@contextmanager
def progress_bar(overall: str = "") -> Iterator[Progress]:
    """Yield a `Progress` that draws one line a stage, with elapsed time and ETA, on stderr.

    If all others are part of an `overall` stage, its line stays on top, and theirs go when they
    are finished, since they come again and again. Where stderr is no terminal, each of its reports
    is a line of its own, so that a log tells the news.
    """
    from rich import progress as rich_progress
    from rich.console import Console
    from rich.table import Column
    from rich.text import Text

    class Remaining(rich_progress.ProgressColumn):
        """Time left; the first report may count older work as done, which tells no pace."""

        def render(self, task: rich_progress.Task) -> Text:
            return Text(_eta(task))

    class Note(rich_progress.ProgressColumn):
        """What is told beside; what a narrow screen cannot hold of it is left out."""

        def render(self, task: rich_progress.Task) -> Text:
            return Text(task.fields["note"], no_wrap=True, overflow="ellipsis")

    def whole() -> Column:
        return Column(no_wrap=True)

    columns = (
        rich_progress.TextColumn("{task.description:<10}", markup=False, table_column=whole()),
        rich_progress.BarColumn(bar_width=10, table_column=whole()),
        rich_progress.MofNCompleteColumn(table_column=whole()),
        rich_progress.TimeElapsedColumn(table_column=whole()),
        Remaining(table_column=whole()),
        Note(),
    )
    console = Console(stderr=True)
    bar = rich_progress.Progress(*columns, console=console)
    tasks: dict[str, rich_progress.TaskID] = {}

    def report(stage: str, done: int, total: int, note: str = "") -> None:
        if stage not in tasks:
            tasks[stage] = bar.add_task(stage, total=total, note=note, first=done)
            bar.start()  # not before there is something to draw
        bar.update(tasks[stage], completed=done, total=total, note=note)
        if stage == overall and not console.is_terminal:
            task = next(task for task in bar.tasks if task.id == tasks[stage])
            line = f"{stage} {done}/{total}  {_eta(task)}  {note}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        if overall and stage != overall and done >= total:
            bar.remove_task(tasks.pop(stage))

    try:
        yield report
    finally:
        if bar.live.is_started:  # else it would print an empty line
            bar.stop()


def _eta(task: Any) -> str:
    """Say how long what is left of a task will take, at its mean pace since its first report."""
    done, left = task.completed - task.fields["first"], task.total - task.completed
    if left <= 0:
        return "ETA 0:00:00"
    if done <= 0:
        return "ETA -:--:--"
    return f"ETA {datetime.timedelta(seconds=round(task.elapsed / done * left))}"
