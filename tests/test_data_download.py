"""Downloads from a server of the tests' own: verified, taken up again, and never half a file under its name."""

import http.server
import resource
import shutil
import tarfile
import threading
import zipfile

import pytest
from residential_houses import write_houses

from tinyloc.data import download, shib
from tinyloc.data.download import download_residential, download_shib, fetch
from tinyloc.data.residential import FOLDER
from tinyloc.errors import InputError


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` (bytes by path); it can forget ranges, and break off after some bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.knows_ranges = True
        self.breaks_after: int | None = None
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.asked.append((self.path, asked))
        content = server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.knows_ranges else 0
        if asked and server.knows_ranges and start >= len(content):
            self.send_error(416)
            return
        body = content[start:]
        self.send_response(206 if asked and server.knows_ranges else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.breaks_after])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def nothing(_):
    pass


def there(folder):
    """Every file under a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# ── one file ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_download_that_broke_off_is_taken_up_again(tmp_path, server, knows_ranges):
    server.files["/big"], server.knows_ranges = bytes(range(256)) * 1000, knows_ranges
    server.breaks_after = 100_000
    path = tmp_path / "big"
    with pytest.raises(InputError, match=r"the download broke off .* goes on from \d+ bytes") as caught:
        fetch(f"{server.url}/big", path, nothing)
    assert "\n" not in str(caught.value) and there(tmp_path) == [".partial-big"]
    begun = (tmp_path / ".partial-big").stat().st_size
    server.breaks_after = None
    fetch(f"{server.url}/big", path, nothing)
    assert server.asked == [("/big", None), ("/big", f"bytes={begun}-")] and 0 < begun <= 100_000
    assert path.read_bytes() == server.files["/big"] and there(tmp_path) == ["big"]


def test_a_partial_file_that_is_whole_already(tmp_path, server):
    """Killed after the last byte and before the name: the server has no byte more to give."""
    server.files["/file"] = b"whole"
    (tmp_path / ".partial-file").write_bytes(b"whole")
    fetch(f"{server.url}/file", tmp_path / "file", nothing)
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_a_file_that_is_not_the_wanted_one_leaves_nothing(tmp_path, server):
    def refuse(part):
        assert part.read_bytes() == b"other"
        raise InputError("not that one")

    server.files["/file"] = b"other"
    with pytest.raises(InputError, match="not that one"):
        fetch(f"{server.url}/file", tmp_path / "file", refuse)
    assert there(tmp_path) == []


def test_a_server_that_is_not_there_or_has_no_such_file(tmp_path, server):
    with pytest.raises(InputError, match="the server says 404"):
        fetch(f"{server.url}/file", tmp_path / "file", nothing)
    with pytest.raises(InputError, match=r"the download broke off \(ConnectionError\)"):
        fetch("http://127.0.0.1:9/file", tmp_path / "file", nothing)
    with pytest.raises(InputError, match="no address to fetch from"):
        fetch("my.server/file", tmp_path / "file", nothing)
    assert not (tmp_path / "file").exists()


# ── SHIB ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def release(server, monkeypatch):
    """A release of three files, with ids of their contents."""
    files = {name: name.encode() * 50 for name in ("calibration/1-1.csv", "calibration/2-1.csv", "test/freeliving.csv")}
    monkeypatch.setattr(shib, "BLOBS", {name: shib.git_blob(content) for name, content in files.items()})
    server.files.update({f"/{name}": content for name, content in files.items()})
    return files


def test_the_release_is_fetched_once_and_mended_where_it_is_wrong(tmp_path, server, release):
    said = []
    folder = download_shib(tmp_path, server.url, said.append)
    assert folder == tmp_path / "shib" and there(folder) == sorted(release)
    assert all((folder / name).read_bytes() == content for name, content in release.items())
    assert shib.free_living(folder / "calibration") == folder / "test" / "freeliving.csv"
    (folder / "calibration" / "2-1.csv").write_bytes(b"altered")
    server.asked.clear()
    download_shib(tmp_path, server.url, said.append)
    assert server.asked == [("/calibration/2-1.csv", None)]
    assert (folder / "calibration" / "2-1.csv").read_bytes() == release["calibration/2-1.csv"]
    right, fetched = "there and right", "950 bytes, the published file"
    assert [line.split(": ")[1] for line in said[3:]] == [right, fetched, right]


def test_a_file_that_the_server_altered_is_refused_and_the_others_stay(tmp_path, server, release):
    server.files["/calibration/2-1.csv"] += b"\n"
    with pytest.raises(InputError, match=r"2-1\.csv: what was downloaded is not the published file \(git blob"):
        download_shib(tmp_path, server.url, nothing)
    assert there(tmp_path) == ["shib/calibration/1-1.csv"]


# ── the residential recordings ───────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    return write_houses(tmp_path_factory.mktemp("houses"))


def packed(houses, path, further=()):
    """The houses as a .zip or .tar.gz."""
    files = [p for p in houses.rglob("*") if p.is_file()]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.relative_to(houses.parent))
            for name in further:
                archive.writestr(name, "x")
    else:
        with tarfile.open(path, "w:gz") as archive:
            archive.add(houses, FOLDER)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_the_archive_is_fetched_and_unpacked_once(tmp_path, server, houses, kind):
    further = ["__MACOSX/._x"] if kind == "zip" else []
    server.files["/archive"] = packed(houses, tmp_path / f"a.{kind}", further)
    folder = download_residential(tmp_path / "data", f"{server.url}/archive", nothing)
    assert there(folder) == there(houses)
    assert sorted(p.name for p in folder.parent.iterdir()) == [FOLDER]
    download_residential(tmp_path / "data", f"{server.url}/archive", nothing)
    assert len(server.asked) == 1


def test_an_unpacking_that_was_interrupted_starts_over_from_the_archive(tmp_path, server, houses):
    archive = tmp_path / "data" / "sphere" / "archive"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(packed(houses, tmp_path / "a.zip"))
    stale = archive.parent / ".partial-unpacked" / FOLDER / "half"
    stale.parent.mkdir(parents=True)
    stale.touch()
    folder = download_residential(tmp_path / "data", f"{server.url}/archive", nothing)
    assert there(folder) == there(houses) and not server.asked


@pytest.mark.parametrize("kind", ["zip", "gz"])
@pytest.mark.parametrize("damage", ["truncated", "altered", "page"])
def test_a_damaged_archive_is_refused(tmp_path, server, houses, kind, damage):
    whole = packed(houses, tmp_path / f"a.{kind}")
    middle = len(whole) // 3
    server.files["/archive"] = {
        "truncated": whole[:-middle],
        "altered": whole[:middle] + bytes(8) + whole[middle + 8 :],
        "page": b"<html>please log in</html>",
    }[damage]
    with pytest.raises(InputError, match="truncated or altered") as caught:
        download_residential(tmp_path / "data", f"{server.url}/archive", nothing)
    assert "\n" not in str(caught.value) and there(tmp_path / "data") == []


def test_a_damage_that_tarfile_takes_for_the_end_is_found(tmp_path, server, houses):
    """A member's header that became zeros; stored and not deflated, so that it alone can change."""
    files = sorted(p for p in houses.rglob("*") if p.is_file())
    with tarfile.open(tmp_path / "a.gz", "w:gz", compresslevel=0, format=tarfile.GNU_FORMAT) as archive:
        for file in [*files, houses / "house_A" / "metadata" / "act_desc.dat"]:
            archive.add(file, file.relative_to(houses.parent))
    whole = (tmp_path / "a.gz").read_bytes()
    last = whole.rfind(FOLDER.encode())
    server.files["/archive"] = whole[:last] + bytes(512) + whole[last + 512 :]
    with pytest.raises(InputError, match=r"truncated or altered \(CRC"):
        download_residential(tmp_path / "data", f"{server.url}/archive", nothing)


def test_an_archive_of_something_else_is_refused(tmp_path, server, houses):
    copy = tmp_path / FOLDER
    shutil.copytree(houses, copy)
    (copy / "house_C" / "metadata" / "room_tags.dat").unlink()
    server.files["/archive"] = packed(copy, tmp_path / "a.zip")
    with pytest.raises(InputError, match=r"has no .*house_C/metadata/room_tags\.dat"):
        download_residential(tmp_path / "data", f"{server.url}/archive", nothing)
    assert there(tmp_path / "data") == []


def test_a_full_disk_is_not_the_archives_fault(tmp_path, server, houses, monkeypatch):
    server.files["/archive"] = packed(houses, tmp_path / "a.zip")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(download, "_check_archive", lambda path: None)
    monkeypatch.setattr(download, "_unpack", with_small_files(download._unpack, limit))
    with pytest.raises(InputError, match=r"cannot be written \(File too large\); make room and run it again"):
        download_residential(tmp_path / "data", f"{server.url}/archive", nothing)
    monkeypatch.undo()
    assert not (tmp_path / "data" / "sphere" / ".partial-unpacked").exists()
    download_residential(tmp_path / "data", f"{server.url}/archive", nothing)  # from the archive that is there


def with_small_files(unpack, limit):
    """`unpack` where the system lets no file grow beyond ten bytes; Python ignores the signal that comes with it."""

    def unpacking(content, path):
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
        try:
            unpack(content, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    return unpacking


def test_an_archive_that_calls_itself_encrypted_is_refused(tmp_path, server, houses):
    whole = bytearray(packed(houses, tmp_path / "a.zip"))
    entry = whole.rindex(b"PK\x01\x02")  # in the directory at the end
    whole[entry + 8] |= 1
    server.files["/archive"] = bytes(whole)
    with pytest.raises(InputError, match=r"truncated or altered \(.*encrypted"):
        download_residential(tmp_path / "data", f"{server.url}/archive", nothing)
    assert there(tmp_path / "data") == []


@pytest.mark.parametrize("name", ["../evil", "/evil", f"{FOLDER}/../../evil", "evil"])
def test_an_archive_that_would_write_elsewhere_is_refused(tmp_path, server, houses, name):
    server.files["/archive"] = packed(houses, tmp_path / "a.zip", [name])
    with pytest.raises(InputError, match=r"evil.*not unpacked"):
        download_residential(tmp_path / "data", f"{server.url}/archive", nothing)
    assert not list(tmp_path.rglob("evil"))
