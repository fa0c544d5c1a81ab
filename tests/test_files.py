"""Files that cannot be written, and folders that two runs write: what was there stays, and is whole."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from tinyloc import config
from tinyloc.errors import InputError
from tinyloc.files import alone, atomic, contents, write_json, write_text
from tinyloc.study import Study


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "afile").write_text("mine")
    with pytest.raises(InputError, match=r"afile/out\.txt: cannot be written \(File exists\); choose another place"):
        write_text(tmp_path / "afile" / "out.txt", "new")
    assert (tmp_path / "afile").read_text() == "mine"


def test_a_folder_where_the_file_should_be(tmp_path):
    (tmp_path / "out.txt").mkdir()
    with pytest.raises(InputError, match=r"out\.txt: cannot be written \(Is a directory\)"):
        write_text(tmp_path / "out.txt", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc here")
def test_a_place_where_nothing_can_be_made():
    with pytest.raises(InputError, match="cannot be written"):
        write_text(Path("/proc/nowhere/out.txt"), "new")


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with (
        pytest.raises(InputError, match=r"out\.txt: cannot be written \(No space left on device\); make room"),
        atomic(path),
    ):
        raise OSError(errno.ENOSPC, "of whatever writer")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_an_error_of_another_kind_is_not_dressed_up(tmp_path):
    with pytest.raises(ConnectionResetError), atomic(tmp_path / "out.txt"):
        raise ConnectionResetError(errno.ECONNRESET, "not of the file system")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a pipe or a device"):
        contents(tmp_path / "pipe")


def test_two_runs_in_one_folder_take_turns(tmp_path):
    waiting, order = threading.Event(), []

    def second():
        with alone(tmp_path / "run", waiting.set):
            order.append("second")

    other = threading.Thread(target=second)
    with alone(tmp_path / "run", lambda: order.append("the first has nobody to wait for")):
        other.start()
        assert waiting.wait(timeout=60)
        order.append("first")
    other.join(timeout=60)
    assert order == ["first", "second"]


def test_a_run_that_waited_finds_the_work_done(tmp_path):
    study = Study(config.profile("quick"), tmp_path, progress=False)
    folder, made = tmp_path / "results", []
    begun = threading.Event()

    def make():
        begun.set()
        time.sleep(0.1)  # the other is at the lock by then, or finds the work done before it: both are right
        made.append(1)
        write_json(folder / "config.json", {"key": "k"})

    runs = [threading.Thread(target=study._once, args=(folder, "k", make)) for _ in range(2)]
    runs[0].start()
    begun.wait(timeout=60)
    runs[1].start()
    for run in runs:
        run.join(timeout=60)
    assert made == [1]
