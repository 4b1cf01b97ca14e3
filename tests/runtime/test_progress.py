from __future__ import annotations

import pytest

from regional_primitives.runtime.progress import Progress, progress_bar, silent


def test_bar_draws_each_stage_on_stderr_and_nothing_on_stdout(capsys):
    with progress_bar() as report:
        for done in range(1, 4):
            report("baseline", done, 3)
        report("fit", 5, 10, "inside 0.4 %  leak 12 %")
    captured = capsys.readouterr()
    assert captured.out == ""
    baseline, fit = (
        next(line for line in captured.err.splitlines() if line.startswith(stage))
        for stage in ("baseline", "fit")
    )
    assert "3/3" in baseline
    assert "5/10" in fit
    assert "inside 0.4 %  leak 12 %" in fit


def test_bar_ends_with_the_work_that_fails(capsys):
    def work():
        with progress_bar() as report:
            report("fit", 1, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    with progress_bar() as report:
        report("fit", 2, 2)
    assert "2/2" in capsys.readouterr().err


def test_silence_is_a_progress_too(capsys):
    assert isinstance(silent, Progress)
    silent("fit", 1, 2, "note")
    assert capsys.readouterr() == ("", "")
