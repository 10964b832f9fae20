"""Object storage at its one seam: URLs, reading, writing, errors, the bounded folder of copies, locks."""

import errno
import json
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path, PureWindowsPath

import pytest

import buckets
import signloom
from conftest import parsed, random_landmarks
from signloom.errors import InputError, MissingExtraError
from signloom.files import cache, leases, scratch, storage
from signloom.files.locks import LockedError
from signloom.files.reading import JSON, open_file, read_json, read_text
from signloom.files.urls import Url, UrlText, is_url, located
from signloom.files.writing import atomic_write, write_json, write_json_lines
from signloom.landmarks import Landmarks, read_header

SOURCE = Path(signloom.__file__).parent


def test_only_one_module_knows_fsspec():
    # By import statements, also inside functions.
    knowing = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(r"^\s*(import|from) (fsspec|s3fs|gcsfs)\b", path.read_text(encoding="utf-8"), re.M)
    ]
    assert knowing == ["files/storage.py"]
    assert parsed(SOURCE / "files" / "storage.py")


def test_without_a_url_nothing_of_it_is_imported(tmp_path):
    random_landmarks(3).save(tmp_path / "clip.npz")
    code = (
        "import sys; from pathlib import Path; from signloom.landmarks import Landmarks; import signloom.corpus;\n"
        "import signloom.commands.extract, signloom.importers.annotations\n"
        "Landmarks.load(Path(sys.argv[1]))\n"
        "print([name for name in ('fsspec', 's3fs', 'aiobotocore') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code, tmp_path / "clip.npz"], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_a_url_is_joined_and_named_like_a_path():
    url = located("s3://bucket/folder") / "clip.npz"
    assert (str(url), url.name, url.suffix, str(url.parent)) == (
        "s3://bucket/folder/clip.npz",
        "clip.npz",
        ".npz",
        "s3://bucket/folder",
    )
    # What the command line makes of it before anybody looks: `Path` makes one slash of two.
    assert located(Path("s3://bucket/folder")) == located("s3://bucket/folder")
    assert repr(pickle.loads(pickle.dumps(url))) == repr(url)
    assert [is_url(text) for text in ("s3://b/x", Path("gs://b"), "C:/x", "plain/x", "file:///x")] == [
        True,
        True,
        False,
        False,
        True,
    ]


class WindowsUrl(UrlText, PureWindowsPath):
    """A URL as Windows makes it."""


def test_a_url_on_windows_is_the_same_url():
    # What the command line makes of it there: other slashes.
    path = PureWindowsPath("s3://bucket/folder")
    assert str(path) == r"s3:\bucket\folder"
    assert is_url(path)
    assert str(located(path)) == "s3://bucket/folder"
    url = WindowsUrl("s3://bucket/folder") / "deep" / "clip.npz"
    assert (str(url), url.as_posix()) == ("s3://bucket/folder/deep/clip.npz",) * 2
    assert (url.scheme, url.name, url.suffix, str(url.parent.parent)) == (
        "s3",
        "clip.npz",
        ".npz",
        "s3://bucket/folder",
    )
    assert str(url.relative_to(WindowsUrl("s3://bucket/folder"))) == "deep/clip.npz"
    assert pickle.loads(pickle.dumps(url)) == url
    with pytest.raises(InputError, match="is a URL; this needs a local file"):
        os.fspath(url)
    # The names of objects differ by their case.
    assert len({WindowsUrl("s3://bucket/A"), WindowsUrl("s3://bucket/a"), WindowsUrl("s3://bucket") / "a"}) == 2


@pytest.mark.parametrize("text", [r"C:\folder\x", "C:/folder/x", r"\\host\share\x", r"folder\x"])
def test_a_path_of_windows_is_no_url(text):
    assert not is_url(PureWindowsPath(text))
    assert not is_url(text)


def test_a_file_url_may_name_a_drive():
    assert located("file:///C:/folder/x") == Path("C:/folder/x")


@pytest.mark.parametrize("text", ["plain/x", "/plain/x", "file:///plain/x"])
def test_a_file_is_a_path_and_no_url(text):
    path = located(text)
    assert not isinstance(path, Url)
    assert path == Path(text.removeprefix("file://"))


def test_a_url_is_never_a_local_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = located("s3://bucket/folder")
    for use in (url.mkdir, url.exists, url.is_dir, lambda: url.write_text("x")):
        with pytest.raises(InputError, match="s3://bucket/folder: is a URL; this needs a local file"):
            use()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hdfs://host/x", "unknown storage hdfs://; needed s3://, gs:// or file://"),
        ("s3://", "no bucket; needed s3://BUCKET/FOLDER"),
        ("s3://key:topsecret@bucket/x", "holds a user or a password"),
    ],
)
def test_urls_that_cannot_be_are_refused(text, message):
    with pytest.raises(InputError, match=message) as refused:
        located(text)
    assert "topsecret" not in str(refused.value)


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """An empty place in the memory of this process."""
    pytest.importorskip("fsspec", reason="storage needs the extra 'storage'")
    monkeypatch.setenv(scratch.VARIABLE, str(tmp_path / "cache"))
    url = Url("memory://bucket/test")
    storage.remove([url / name for name in storage.listing(url)])
    return url


@pytest.fixture(params=["memory", pytest.param("s3", marks=buckets.needs_s3)])
def place(request):
    """An empty place, in memory and in S3."""
    return request.getfixturevalue("memory" if request.param == "memory" else "bucket") / "place"


def test_objects_are_written_listed_read_and_removed(place, tmp_path):
    assert storage.listing(place) == {}
    assert storage.write(place / "b", b"22")
    (tmp_path / "file").write_bytes(b"333")
    storage.upload(tmp_path / "file", place / "a" / "c")
    assert {name: stored.size for name, stored in storage.listing(place).items()} == {"a/c": 3, "b": 2}
    assert storage.read(place / "b", 2) == b"22"
    assert storage.stat(place / "a" / "c").size == 3
    assert storage.stat(place / "a") is None
    before = storage.stat(place / "b").version
    storage.write(place / "b", b"44")
    assert storage.stat(place / "b").version != before
    storage.remove([place / "b", place / "none"])
    assert list(storage.listing(place)) == ["a/c"]


def test_a_new_object_replaces_none(place):
    assert storage.write(place / "lock", b"first", new=True)
    assert not storage.write(place / "lock", b"second", new=True)
    assert storage.read(place / "lock", 100) == b"first"


def test_objects_that_are_missing_or_too_large(place, tmp_path):
    storage.write(place / "large", b"12345")
    with pytest.raises(InputError, match=re.escape(f"{place}/large: 5 bytes; needed at most 4")):
        storage.read(place / "large", 4)
    for ask in (
        lambda: storage.read(place / "none", 4),
        lambda: storage.fetch(place / "none", tmp_path / "none"),
        lambda: read_text(place / "none"),
    ):
        with pytest.raises(storage.MissingObjectError, match=re.escape(f"{place}/none: no such object or bucket")):
            ask()


def test_files_are_written_and_read_by_url_as_by_path(place, tmp_path):
    write_json(place / "a.json", {"a": 1})
    assert read_json(place / "a.json") == {"a": 1}
    clip = random_landmarks(5)
    clip.save(place / "clip.npz")
    clip.save(tmp_path / "clip.npz")
    with open_file(place / "clip.npz", JSON) as file:
        assert file.read() == (tmp_path / "clip.npz").read_bytes()
    assert (Landmarks.load(place / "clip.npz").points == Landmarks.load(tmp_path / "clip.npz").points).all()
    assert read_header(place / "clip.npz") == read_header(tmp_path / "clip.npz")
    write_json_lines(place / "a.json", [])
    assert list(storage.listing(place)) == ["clip.npz"]


def test_what_fails_while_it_is_written_is_not_uploaded(place):
    write_json(place / "a.json", {"a": 1})
    with pytest.raises(ZeroDivisionError), atomic_write(place / "a.json") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert read_json(place / "a.json") == {"a": 1}
    assert list((scratch.cache_folder() / "scratch").iterdir()) == []


@buckets.needs_s3
def test_a_header_is_read_without_the_points(bucket, monkeypatch):
    import s3fs

    random_landmarks(1000).save(bucket / "clip.npz")
    fetched, fetch = [], s3fs.S3File._fetch_range

    def counting(self, start, end):
        fetched.append(end - start)
        return fetch(self, start, end)

    monkeypatch.setattr(s3fs.S3File, "_fetch_range", counting)
    assert read_header(bucket / "clip.npz")["fps"] == 25
    # The header and the directory of the archive are at its end.
    assert storage.stat(bucket / "clip.npz").size > 3_000_000
    assert sum(fetched) < 500_000


# In a process of its own, since file systems are kept for the whole of one.
ASKING = """
import sys
from pathlib import Path, PureWindowsPath
from signloom.errors import SignloomError
from signloom.files import storage
from signloom.files.urls import Url
requests = [storage.listing, storage.stat, lambda url: storage.write(url, b"x"), lambda url: storage.read(url, 9)]
for ask in requests[:int(sys.argv[2])]:
    try:
        print("no error:", ask(Url(sys.argv[1])))
    except SignloomError as error:
        print(error)
"""


def asked(url: str, environment: dict[str, str], requests: int = 4) -> list[str]:
    """What a user is told who uses a URL: a line for each of up to four requests."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    result = subprocess.run(
        [sys.executable, "-c", ASKING, url, str(requests)],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "topsecret" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout.splitlines()


@buckets.needs_s3
def test_a_bucket_that_does_not_exist_is_named(bucket, s3_server):
    lines = asked("s3://no-such-bucket/x", buckets.environment(s3_server))
    # Nothing is there, which `stat` says with None.
    assert lines.pop(1) == "no error: None"
    assert lines == ["s3://no-such-bucket/x: no such object or bucket"] * 3


@buckets.needs_s3
def test_missing_credentials_are_asked_for(s3_server, tmp_path):
    known = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    environment = {name: text for name, text in buckets.environment(s3_server).items() if name not in known}
    lines = asked("s3://bucket/x", {**environment, "HOME": str(tmp_path)})
    assert len(lines) == 4
    assert all("s3://bucket/x: no valid credentials; give them as" in line for line in lines)


@buckets.needs_s3
@pytest.mark.slow
def test_wrong_credentials_are_never_printed():
    with buckets.server(INITIAL_NO_AUTH_ACTION_COUNT="0") as port:
        environment = buckets.environment(
            port, AWS_ACCESS_KEY_ID="topsecretkey", AWS_SECRET_ACCESS_KEY="topsecretpassword"
        )
        lines = asked("s3://bucket/x", environment)
    assert lines == ["s3://bucket/x: access is refused; credentials are wrong, or they do not permit this"] * 4


@buckets.needs_s3
@pytest.mark.slow
def test_a_server_that_nobody_runs_is_said_to_be_unreachable():
    # Port 1 is nobody's.
    (line,) = asked("s3://bucket/x", buckets.environment(1), requests=1)
    assert "s3://bucket/x: the storage cannot be reached" in line


def test_missing_packages_are_named(memory, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"storage by s3:// needs the package 's3fs'; .*\[storage\]"):
        storage.stat(Url("s3://bucket/x"))
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match=r"gs://bucket/x: needs the package 'gcsfs'; install it with: .*gcsfs"):
        storage.stat(Url("gs://bucket/x"))


class Full:
    """A file system whose reader finds the local disk full."""

    def info(self, path):
        return {"size": 4, "type": "file"}

    def get_file(self, path, target):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_local_disk_is_named(memory, monkeypatch, tmp_path):
    import fsspec.core

    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda *_, **__: (Full(), "x"))
    place = cache.copies_folder() / "corpus" / "clip.npz"
    with pytest.raises(OSError, match="No space") as full:
        cache.cached(memory / "clip.npz", place)
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(place))
    assert list(place.parent.iterdir()) == []


class Replaced(Full):
    """A file system in which an object shrinks between two questions."""

    def get_file(self, path, target):
        Path(target).write_bytes(b"ab")


def test_an_object_that_is_replaced_meanwhile_is_not_kept(memory, monkeypatch):
    import fsspec.core

    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda *_, **__: (Replaced(), "x"))
    place = cache.copies_folder() / "corpus" / "clip.npz"
    with pytest.raises(InputError, match="2 bytes came, it had 4; was it replaced"):
        cache.cached(memory / "clip.npz", place)
    assert list(place.parent.iterdir()) == []


# The bounded folder of copies.


def copies(*names: str) -> list[Path]:
    return [cache.copies_folder() / "corpus" / "landmarks" / name for name in names]


def aged(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def test_a_copy_is_fetched_once(memory, monkeypatch):
    storage.write(memory / "a.npz", b"first")
    (path,) = copies("a.npz")
    assert cache.cached(memory / "a.npz", path).read_bytes() == b"first"
    storage.remove([memory / "a.npz"])
    aged(path, 1000)
    assert cache.cached(memory / "a.npz", path).read_bytes() == b"first"
    # It counts as used now.
    assert path.stat().st_mtime > time.time() - 100


def test_copies_that_were_not_used_for_longest_go_first(memory, monkeypatch):
    paths = copies("a.npz", "b.npz", "c.npz", "d.npz")
    record = cache.copies_folder() / "corpus" / "manifest.jsonl"
    for number, path in enumerate(paths):
        storage.write(memory / path.name, bytes(300))
        cache.cached(memory / path.name, path)
        aged(path, 1000 - number)
    record.write_bytes(bytes(5000))
    aged(record, 5000)
    aged(paths[0], 20)
    monkeypatch.setenv(cache.VARIABLE, "1e-6")
    cache.trim()
    # 1,200 bytes are more than 1,000: the two oldest go, for 900 or less. `a` was used since, and a record stays.
    assert [path.exists() for path in [*paths, record]] == [True, False, True, True, True]


def test_room_is_made_while_copies_come(memory, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, "1e-6")
    paths = copies(*(f"{number}.npz" for number in range(10)))
    for number, path in enumerate(paths):
        storage.write(memory / path.name, bytes(300))
        cache.cached(memory / path.name, path)
        aged(path, 1000 - number)
    # A step is 50 bytes: each copy makes room for itself, and is the newest.
    assert sum(path.stat().st_size for path in paths if path.exists()) <= 1000
    assert paths[-1].exists()


def test_what_was_used_a_moment_ago_stays(memory, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, "1e-9")
    for path in copies("a.npz", "b.npz"):
        storage.write(memory / path.name, bytes(300))
        assert cache.cached(memory / path.name, path).is_file()
    cache.trim()
    assert all(path.is_file() for path in copies("a.npz", "b.npz"))


def test_copies_of_a_corpus_that_nobody_used_for_a_month_go(memory):
    old, new = (cache.copies_folder() / name / "manifest.jsonl" for name in ("old", "new"))
    for path, days in ((old, 40), (new, 20)):
        path.parent.mkdir(parents=True)
        path.touch()
        aged(path, days * 24 * 3600)
    cache.trim()
    assert [path.exists() for path in (old.parent, new)] == [False, True]


@pytest.mark.parametrize("text", ["nothing", "0", "-3", "nan"])
def test_a_size_that_cannot_be_is_refused(memory, monkeypatch, text):
    monkeypatch.setenv(cache.VARIABLE, text)
    with pytest.raises(InputError, match=f"SIGNLOOM_CACHE_GB is '{text}'; needed a number of gigabytes above 0"):
        cache.most_bytes()


# Locks.


@pytest.fixture
def quick(monkeypatch):
    """Locks that are renewed and judged in fractions of a second."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(leases, "STALE_SECONDS", 1.0)
    monkeypatch.setattr(leases, "_POLL_SECONDS", 0.1)


def test_one_process_holds_a_lock(memory, quick):
    with leases.held(memory):
        assert list(storage.listing(memory)) == [".signloom.lock"]
        with leases.held(memory, "1-of-2"):
            pass
        with (
            pytest.raises(LockedError, match=rf"another process writes here \(process {os.getpid()} on"),
            leases.held(memory),
        ):
            pass
    assert storage.listing(memory) == {}


def forged(url: Url, **changes: object) -> None:
    record = {"pid": 1, "host": "elsewhere", "machine": "0", "since": "then", "command": "extract", "token": "x"}
    storage.write(url / ".signloom.lock", json.dumps({**record, **changes}).encode())


def test_a_lock_that_nobody_renews_is_taken_over(memory, quick):
    forged(memory)
    told = []
    with leases.held(memory, tell=told.append):
        pass
    assert told == [f"{memory}: locked (process 1 on elsewhere, since then: extract); waiting 1 s whether it lives"]


def test_a_lock_of_a_dead_process_of_this_machine_is_taken_over_at_once(memory):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    forged(memory, pid=ended.pid, machine=leases.machine())
    told = []
    with leases.held(memory, tell=told.append):
        pass
    assert told == []


def test_scratch_of_a_killed_process_is_removed(memory):
    code = "import os; from signloom.files.scratch import scratch\nwith scratch() as folder: print(folder); os._exit(9)"
    killed = subprocess.run([sys.executable, "-u", "-c", code], capture_output=True, text=True)
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    with scratch.scratch() as mine, scratch.scratch() as other:
        assert not left.exists()
        assert mine != other
        assert mine.is_dir()


def test_who_lost_its_lock_is_told(memory, quick):
    with pytest.raises(LockedError, match="another process took over the lock"), leases.held(memory):
        forged(memory)
        time.sleep(0.5)
    # The lock of the other stays.
    assert list(storage.listing(memory)) == [".signloom.lock"]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"pid": "x"}', b"\xff"])
def test_a_lock_with_other_content_is_only_slow(memory, quick, content):
    storage.write(memory / ".signloom.lock", content)
    with leases.held(memory):
        pass


@buckets.needs_s3
def test_locks_hold_in_s3(bucket, quick):
    with leases.held(bucket / "x"), pytest.raises(LockedError, match="another process"), leases.held(bucket / "x"):
        pass
    assert storage.listing(bucket / "x") == {}
