"""Files that cannot be written: one line that names the file, and what was there stays."""

import errno
import os
from pathlib import Path

import pytest

from tinyloc.errors import InputError
from tinyloc.files import atomic, contents, write_text


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
