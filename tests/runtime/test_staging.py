"""Whatever target is named is written into or refused before the work; nothing of others is lost.

What becomes of the files when a process is killed is in tests/test_kills.py.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import regional_primitives as rp
from regional_primitives import StorageError
from regional_primitives.runtime import staging
from regional_primitives.runtime.run_files import MANIFEST
from regional_primitives.runtime.staging import (
    check_file,
    check_folder,
    recover,
    staged_file,
    staged_folder,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="mount points and devices of Linux")


def _listing(folder):
    return sorted(path.name for path in folder.iterdir())


def _manifest(content):
    """Write a run.json that tells of a run of ours, by what its tensors are."""
    return json.dumps({"schema_version": 2, "tensors_digest": content})


def _run(folder, content="old"):
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text(_manifest(content))
    return folder


def _write(folder, content="new", overwrite=False, meanwhile=lambda: None):
    with staged_folder(folder, overwrite=overwrite) as staging:
        (staging / MANIFEST).write_text(_manifest(content))
        meanwhile()


def _refused(folder, message, overwrite=True):
    """Ask that the folder is refused before the work, in one line."""
    with (
        pytest.raises(StorageError, match=message) as error,
        staged_folder(folder, overwrite=overwrite),
    ):
        pytest.fail("the block ran")
    assert "\n" not in str(error.value)


@pytest.fixture(params=["exchange", "two renames"])
def system(request, monkeypatch):
    """Systems that exchange two names in one step, and those that cannot."""
    if request.param == "two renames":
        monkeypatch.setattr(staging, "_system_call", lambda: None)


# What comes while we work


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_others_that_came_meanwhile_stays(tmp_path, overwrite, system):
    target = tmp_path / "mine"

    def others():
        target.mkdir()
        (target / "thesis.txt").write_text("x")

    with pytest.raises(StorageError, match=r"not a run folder.*result lies in .*mine-2"):
        _write(target, overwrite=overwrite, meanwhile=others)
    assert (target / "thesis.txt").read_text() == "x"
    assert (tmp_path / "mine-2" / MANIFEST).read_text() == _manifest("new")
    assert _listing(tmp_path) == ["mine", "mine-2"]


def test_a_file_or_run_that_came_meanwhile_stays(tmp_path, system):
    with pytest.raises(StorageError, match=r"is a file.*result lies in"):
        _write(tmp_path / "a", meanwhile=lambda: (tmp_path / "a").write_text("x"))
    assert (tmp_path / "a").read_text() == "x"
    with pytest.raises(StorageError, match=r"holds a run already.*result lies in .*b-3"):
        _write(tmp_path / "b", meanwhile=lambda: [_run(tmp_path / "b"), _run(tmp_path / "b-2")])
    assert (tmp_path / "b" / MANIFEST).read_text() == _manifest("old")
    assert _listing(tmp_path) == ["a", "a-2", "b", "b-2", "b-3"]


def test_a_second_writer_of_a_folder_is_refused_before_its_work(tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "_PATIENCE", 0.01)
    target = tmp_path / "run"
    _write(target, meanwhile=lambda: _refused(target, "another process is writing"))
    assert _listing(tmp_path) == ["run"]


def test_many_writers_of_one_folder_end_with_one_whole_run_each(tmp_path):
    def write(number):
        try:
            with staged_folder(tmp_path / "run") as staging:
                for name in (MANIFEST, "scores.json"):
                    (staging / name).write_text(str(number))
        except StorageError as error:
            told.append(str(error))

    told: list[str] = []
    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for folder in tmp_path.iterdir():
        assert (folder / MANIFEST).read_text() == (folder / "scores.json").read_text()
        assert not folder.name.startswith(".")
    assert len(told) == 7


def test_what_others_keep_in_a_run_is_carried_over(tmp_path, system):
    run = _run(tmp_path / "run")
    (run / "figures" / "mine").mkdir(parents=True)
    for name in ("scores.json", "figures/overview.png", "figures/sketch.png", "figures/mine/a"):
        (run / name).write_text(name)

    def meanwhile():
        (run / "edit.json").write_text("saved meanwhile")
        (run / "link").symlink_to("nowhere")

    _write(run, overwrite=True, meanwhile=meanwhile)
    assert (run / MANIFEST).read_text() == _manifest("new")
    assert (run / "edit.json").read_text() == "saved meanwhile"
    assert (run / "link").is_symlink()
    assert (run / "figures" / "mine" / "a").read_text() == "figures/mine/a"
    assert _listing(run) == ["edit.json", "figures", "link", MANIFEST]
    assert _listing(run / "figures") == ["mine", "sketch.png"]
    assert _listing(tmp_path) == ["run"]


def test_a_file_that_is_being_written_into_a_run_arrives(tmp_path, system):
    run = _run(tmp_path / "run")
    with staged_file(run / "edit.json") as temporary:
        temporary.write_text("edit")
        _write(run, overwrite=True)
    assert (run / "edit.json").read_text() == "edit"
    assert _listing(run) == ["edit.json", MANIFEST]


def test_an_exchange_that_the_system_refuses_keeps_old_and_new(tmp_path, monkeypatch):
    real = staging._renamed

    def refuse(one, other, flag):
        if flag == staging._EXCHANGE:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return real(one, other, flag)

    monkeypatch.setattr(staging, "_renamed", refuse)
    run = _run(tmp_path / "run")
    with pytest.raises(StorageError, match=r"busy.*the finished result lies in .*run-2"):
        _write(run, overwrite=True)
    assert (run / MANIFEST).read_text() == _manifest("old")
    assert (tmp_path / "run-2" / MANIFEST).read_text() == _manifest("new")
    assert _listing(tmp_path) == ["run", "run-2"]


def test_two_renames_of_which_the_second_fails_put_the_old_run_back(tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "_system_call", lambda: None)
    run, real = _run(tmp_path / "run"), Path.rename

    def rename(path, target):
        if path.name == ".run.primitives-new" and target == run:
            raise OSError(errno.ENOTEMPTY if run.exists() else errno.ENOSPC, "No space left")
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(StorageError, match="No space left"):
        _write(run, overwrite=True)
    assert (run / MANIFEST).read_text() == _manifest("old")
    assert _listing(tmp_path) == ["run", "run-2"]


# What ended processes left


def test_what_ended_processes_left_is_swept_up_and_nothing_else(tmp_path):
    run = _run(tmp_path / "run")
    (tmp_path / ".other.primitives-new").mkdir()
    (tmp_path / ".other.primitives-new" / "half").write_text("")
    (tmp_path / ".note.json.primitives-ab12_xyz").write_text("half")
    for foreign in (".run.abcdefgh", ".git", ".x.primitives-toolong99", "run.primitives-new"):
        (tmp_path / foreign).mkdir()
    (tmp_path / ".link.primitives-new").symlink_to(run, target_is_directory=True)
    recover(tmp_path)
    expected = [
        ".git",
        ".link.primitives-new",
        ".run.abcdefgh",
        ".x.primitives-toolong99",
        "run",
        "run.primitives-new",
    ]
    assert _listing(tmp_path) == expected
    assert _listing(run) == [MANIFEST]


def test_what_a_living_process_holds_is_not_swept_up(tmp_path):
    with (
        staged_folder(tmp_path / "run") as folder,
        staged_file(tmp_path / "edit.json") as file,
    ):
        (folder / MANIFEST).write_text(_manifest("new"))
        file.write_text("new")
        with staged_file(tmp_path / "another.json") as another:
            another.write_text("new")
    assert _listing(tmp_path) == ["another.json", "edit.json", "run"]


def test_a_run_moved_aside_by_an_ended_process_is_put_back(tmp_path):
    _run(tmp_path / ".run.primitives-old")
    (tmp_path / ".run.primitives-new").mkdir()
    recover(tmp_path)
    assert (tmp_path / "run" / MANIFEST).read_text() == _manifest("old")
    assert _listing(tmp_path) == ["run"]


def test_a_run_half_cleared_away_gives_up_what_is_not_ours(tmp_path):
    (tmp_path / ".run.primitives-old").mkdir()
    (tmp_path / ".run.primitives-old" / "scores.json").write_text("ours")
    (tmp_path / ".run.primitives-old" / "notes.txt").write_text("of the user")
    recover(tmp_path)
    assert _listing(tmp_path) == ["run"]
    assert _listing(tmp_path / "run") == ["notes.txt"]


# Targets of every kind


def test_a_link_stays_and_its_target_is_written(tmp_path, system):
    run = _run(tmp_path / "elsewhere" / "run")
    (tmp_path / "link").symlink_to("elsewhere/run")
    _write(tmp_path / "link", overwrite=True)
    (tmp_path / "new").symlink_to("elsewhere/fresh")
    _write(tmp_path / "new")
    assert (tmp_path / "link").is_symlink()
    assert (run / MANIFEST).read_text() == _manifest("new")
    assert (tmp_path / "elsewhere" / "fresh" / MANIFEST).read_text() == _manifest("new")
    (tmp_path / "file").symlink_to("elsewhere/edit.json")
    for text in ("one", "other"):
        with staged_file(tmp_path / "file") as temporary:
            temporary.write_text(text)
        assert (tmp_path / "elsewhere" / "edit.json").read_text() == text
    assert (tmp_path / "file").is_symlink()
    (tmp_path / "circle").symlink_to("circle")
    _refused(tmp_path / "circle", "cannot write")
    with pytest.raises(StorageError, match="cannot write"):
        check_file(tmp_path / "circle")
    assert _listing(tmp_path / "elsewhere") == ["edit.json", "fresh", "run"]


@linux
def test_mount_points_are_refused_before_the_work(tmp_path, monkeypatch):
    for mount in ("run", "run/figures"):
        line = f"36 35 98:0 / {tmp_path / mount} rw - ext4 /dev/root rw".replace("_", "\\137")
        monkeypatch.setattr(Path, "read_bytes", lambda _, line=line: line.encode())
        run = tmp_path / "run"
        run.mkdir(exist_ok=True)
        _refused(run, "is or holds a mount point .* choose a folder in it")


@linux
def test_a_mounted_file_is_written_into(tmp_path, monkeypatch):
    file = tmp_path / "edit.json"
    file.write_text("a much longer text")
    inode = file.stat().st_ino
    monkeypatch.setattr(staging, "_mounts", lambda: [file])
    with staged_file(file) as temporary:
        temporary.write_text("new")
    assert file.read_text() == "new"
    assert file.stat().st_ino == inode


def test_the_working_folder_is_refused(tmp_path, monkeypatch):
    run = _run(tmp_path / "run")
    (run / "figures").mkdir()
    for here in (run, run / "figures"):
        monkeypatch.chdir(here)
        _refused(run, "is where this process works")
    monkeypatch.chdir(run)
    _refused(".", "is where this process works")
    _write("new")
    assert (run / "new" / MANIFEST).is_file()


def test_places_without_the_right_to_write_are_refused(tmp_path, monkeypatch):
    run = _run(tmp_path / "parent" / "run")
    (run / "figures").mkdir()
    empty = tmp_path / "parent" / "empty"
    empty.mkdir()
    denied: list[Path] = []
    monkeypatch.setattr(staging.os, "access", lambda path, _: path not in denied)
    for place, folder in ((run, run), (run / "figures", run)):
        denied[:] = [place]
        _refused(folder, f"{place} is write-protected")
    denied[:] = [tmp_path / "parent"]
    for folder in (empty, run, tmp_path / "parent" / "deep" / "er"):
        _refused(folder, f"cannot write to .*{denied[0]} takes no new files")
    with pytest.raises(StorageError, match=r"cannot write .*takes no new files"):
        check_file(tmp_path / "parent" / "edit.json")
    with pytest.raises(StorageError, match=r"cannot write to .*takes no new files"):
        check_folder(tmp_path / "parent" / "sweep")
    denied[:] = [run / MANIFEST]
    with pytest.raises(StorageError, match=r"cannot write .*write-protected"):
        check_file(run / MANIFEST)
    assert _listing(tmp_path / "parent") == ["empty", "run"]


def test_names_that_are_too_long_are_refused(tmp_path):
    for name in ("x" * 300, "x" * 250, "x" * 245):
        _refused(tmp_path / name, "File name too long", overwrite=False)
        _refused(tmp_path / "new" / name, "File name too long", overwrite=False)
        with pytest.raises(StorageError, match="File name too long"):
            check_file(tmp_path / name)
    assert _listing(tmp_path) == []


@pytest.mark.parametrize("write", [staged_folder, staged_file])
def test_parents_that_were_made_go_again_when_the_work_fails(tmp_path, write):
    def work():
        with write(tmp_path / "new" / "er" / "thing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert _listing(tmp_path) == []


@linux
def test_devices_and_pipes_are_written_into(tmp_path):
    with staged_file("/dev/null") as temporary:
        temporary.write_text("x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with (
        pytest.raises(StorageError, match="cannot write /dev/full: No space left"),
        staged_file("/dev/full") as temporary,
    ):
        temporary.write_text("x")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    with staged_file(pipe) as temporary:
        temporary.write_text("through")
    reader.join()
    assert found == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    code = (
        "from regional_primitives.runtime.storage import write_json; "
        "write_json('/dev/stdout', {'a': 1})"
    )
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == '{\n  "a": 1\n}\n'
    assert _listing(tmp_path) == ["out", "pipe"]


def test_permissions_of_what_is_replaced_stay(tmp_path):
    file, run = tmp_path / "edit.json", _run(tmp_path / "run")
    file.write_text("old")
    file.chmod(0o600)
    run.chmod(0o700)
    with staged_file(file) as temporary:
        temporary.write_text("new")
    _write(run, overwrite=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(run.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["", "a\0b", b"a\0b", "~nobody-of-this-name/x", 5, None])
def test_bad_input_that_is_no_path(name):
    for write in (staged_folder, staged_file):
        with pytest.raises(rp.InputError), write(name):
            pytest.fail("the block ran")


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_names_of_every_kind(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("HOME", str(tmp_path))
    with staged_file(kind("~/file")) as temporary:
        temporary.write_text("")
    with staged_folder(kind("~/folder")):
        pass
    assert _listing(tmp_path) == ["file", "folder"]


# Systems without locks


def test_without_locks_a_second_writer_is_refused_and_nothing_is_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "fcntl", None)
    monkeypatch.setattr(staging, "_PATIENCE", 0.01)
    _write(tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / MANIFEST).read_text() == _manifest("new")
    (tmp_path / ".new.primitives-new").mkdir()
    _refused(tmp_path / "new", r"or was ended while it did and left .*\.new\.primitives-new")
    recover(tmp_path)
    assert _listing(tmp_path) == [".new.primitives-new", "run"]


@pytest.mark.parametrize(
    "content", ["{}", "", "[1]", "x" * 9, '{"schema_version": 2}', '{"scripts": {"run": "tool"}}']
)
def test_a_run_json_of_another_tool_makes_no_run_folder(tmp_path, content):
    folder = _run(tmp_path / "tool")
    (folder / MANIFEST).write_text(content)
    (folder / "report.html").write_text("theirs")
    _refused(folder, "exists and is not a run folder")
    assert (folder / MANIFEST).read_text() == content
    assert (folder / "report.html").read_text() == "theirs"
