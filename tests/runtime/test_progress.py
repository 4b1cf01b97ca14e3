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


def test_nothing_is_drawn_where_nothing_was_reported(capsys):
    with pytest.raises(ValueError, match="bad input"), progress_bar():
        raise ValueError("bad input")
    assert capsys.readouterr() == ("", "")


def test_a_stage_is_one_line_of_a_narrow_screen(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with progress_bar() as report:
        report(
            "free bound", 112, 112, "inside error 0.47%, leak 15.4%, of the 128 demands held out"
        )
    (line,) = capsys.readouterr().err.splitlines()
    assert "112/112" in line
    assert "ETA 0:00:00 inside error 0.47%" in line
    assert line.rstrip().endswith("…")


def test_silence_is_a_progress_too(capsys):
    assert isinstance(silent, Progress)
    silent("fit", 1, 2, "note")
    assert capsys.readouterr() == ("", "")


def test_an_overall_stage_stays_and_parts_of_it_go_when_they_are_finished(capsys):
    with progress_bar(overall="runs") as report:
        report("runs", 0, 2)
        report("main.5/0 fit", 3, 3)
        report("runs", 1, 2, "main.5[0]/0 finished")
        report("main.5/1 fit", 1, 3)
    lines = [line.strip() for line in capsys.readouterr().err.splitlines()]
    # No terminal here: each report of the overall stage is a line of its own.
    assert lines[:2] == ["runs 0/2  ETA -:--:--", "runs 1/2  ETA 0:00:00  main.5[0]/0 finished"]
    assert any(line.startswith("runs") and "1/2" in line for line in lines[2:])
    assert any("main.5/1 fit" in line for line in lines[2:])
    assert not any("main.5/0 fit" in line for line in lines[2:])


def test_what_stood_before_the_first_report_tells_nothing_of_the_pace(monkeypatch):
    from types import SimpleNamespace

    from regional_primitives.runtime.progress import _eta

    def task(done, first, total, elapsed):
        return SimpleNamespace(
            completed=done, total=total, elapsed=elapsed, fields={"first": first}
        )

    assert _eta(task(7, 5, 10, 60.0)) == "ETA 0:01:30"
    assert _eta(task(5, 5, 10, 60.0)) == "ETA -:--:--"
    assert _eta(task(10, 5, 10, 60.0)) == "ETA 0:00:00"
