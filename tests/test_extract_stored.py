"""`signloom extract` from and into object storage: the same bytes as on a disk, resumed, with one driver at a time."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import buckets
import waving
from conftest import dead_temporary
from signloom.errors import InputError
from signloom.extract import extract_landmarks
from signloom.extract.clip import Listed
from signloom.extract.reading import ends_sha256
from signloom.extract.resume import FailureLog
from signloom.extract.sources import Clip, find_clips
from signloom.files import storage
from signloom.files.leases import held
from signloom.files.urls import Url

cv2 = pytest.importorskip("cv2", reason="extraction needs the extra 'extract'", exc_type=ImportError)
pytest.importorskip("mediapipe", reason="extraction needs the extra 'extract'", exc_type=ImportError)
pytestmark = [buckets.needs_s3]


@pytest.fixture
def extract(run_command):
    return lambda *arguments: run_command("extract", *arguments, "--workers", "1")


@pytest.fixture
def clips(tmp_path):
    """A video, frames as PHOENIX has them, a folder of frames, and a text with the name of a video."""
    root = tmp_path / "clips"
    waving.write_video(root / "sign" / "one.mp4", 3, person=False)
    (root / "broken.mp4").write_text("this is no video\n")
    (root / "notes.txt").write_text("not a clip\n")
    for folder in ("phoenix/a/1", "frames"):
        (root / folder).mkdir(parents=True)
        for number, frame in enumerate(waving.frames(3, person=False)):
            cv2.imwrite(str(root / folder / f"{number}.png"), frame)
    return root


def upload(folder, url):
    for path in folder.rglob("*"):
        if path.is_file():
            storage.upload(path, url / path.relative_to(folder).as_posix())


def points(folder):
    """The landmark files under a folder or URL, by path."""
    if isinstance(folder, Url):
        return {name: storage.read(folder / name, 10**7) for name in storage.listing(folder) if name.endswith(".npz")}
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.npz")}


def test_clips_are_found_by_url_as_in_a_folder(clips, bucket):
    upload(clips, bucket / "clips")
    local, stored = find_clips([clips]), find_clips([f"{bucket}/clips"])
    assert [clip.name for clip in stored.clips] == [clip.name for clip in local.clips]
    assert [clip.is_folder for clip in stored.clips] == [clip.is_folder for clip in local.clips]
    assert stored.passed_over == local.passed_over == {".txt": 1}
    by_name = {clip.name: clip.listed for clip in stored.clips}
    assert by_name["phoenix/a"] == Listed(3, is_folder=True)
    assert by_name["sign/one"] == Listed((clips / "sign" / "one.mp4").stat().st_size, is_folder=False)
    # A single object, and frames given as source.
    assert [clip.name for clip in find_clips([f"{bucket}/clips/sign/one.mp4"]).clips] == ["one"]
    assert [clip.name for clip in find_clips([f"{bucket}/clips/frames"]).clips] == ["frames"]
    with pytest.raises(InputError, match="no such object or folder; patterns cannot be given as URLs"):
        find_clips([f"{bucket}/clips/*.mp4"])


@pytest.mark.parametrize("name", ["a/../b.mp4", "a//b.mp4"])
def test_objects_that_no_file_could_be_called_are_named(bucket, name, monkeypatch):
    monkeypatch.setattr(storage, "listing", lambda url: {name: storage.Stored(1, "")})
    with pytest.raises(InputError, match="no file could have this name; rename the object"):
        find_clips([str(bucket)])


@pytest.mark.slow
def test_urls_give_the_same_bytes_as_folders(clips, bucket, tmp_path, extract):
    upload(clips, bucket / "clips")
    results = {}
    for name, source, output in (
        ("local", clips, tmp_path / "local"),
        ("url to url", f"{bucket}/clips", bucket / "landmarks"),
        ("url to folder", f"{bucket}/clips", tmp_path / "out"),
        ("folder to url", clips, bucket / "other"),
    ):
        result = extract(source, "--output", output)
        assert result.status == 1, result.err
        assert "3 done, 1 failed" in result.out
        assert f"landmarks are in {output}\n" in result.out
        results[name] = points(output)
    assert sorted(results["local"]) == ["frames.npz", "phoenix/a.npz", "sign/one.npz"]
    assert all(result == results["local"] for result in results.values())
    assert sorted(storage.listing(bucket / "landmarks")) == ["failed.jsonl", *sorted(results["local"])]
    (failed,) = [json.loads(line) for line in storage.read(bucket / "landmarks" / "failed.jsonl", 10**6).splitlines()]
    assert (failed["clip"], failed["source"]) == ("broken", f"{bucket}/clips/broken.mp4")
    # The reason names the URL, not the copy that is gone.
    assert failed["reason"].startswith(f"{bucket}/clips/broken.mp4: ")
    assert list((tmp_path / "cache" / "scratch").iterdir()) == []


@pytest.mark.slow
def test_a_second_run_extracts_only_what_is_missing(clips, bucket, extract):
    upload(clips, bucket / "clips")
    storage.remove([bucket / "clips" / "broken.mp4"])
    output = bucket / "landmarks"
    assert extract(f"{bucket}/clips", "--output", output).status == 0
    whole = points(output)
    storage.remove([output / "phoenix" / "a.npz"])
    # Another source of the same size: the byte that differs is in no frame.
    video = bytearray((clips / "sign" / "one.mp4").read_bytes())
    video[video.rindex(b"Lavf")] ^= 1
    (clips / "sign" / "one.mp4").write_bytes(video)
    storage.upload(clips / "sign" / "one.mp4", bucket / "clips" / "sign" / "one.mp4")
    result = extract(f"{bucket}/clips", "--output", output)
    assert (result.status, "1 already done, 2 to extract" in result.err) == (0, True), result.err
    again = points(output)
    assert again["phoenix/a.npz"] == whole["phoenix/a.npz"]
    assert again["sign/one.npz"] != whole["sign/one.npz"]
    result = extract(f"{bucket}/clips", "--output", output, "--pixel_aspect", 2)
    assert (result.status, "extracted with other options" in result.err) == (2, True)


@pytest.mark.slow
def test_an_object_that_vanishes_after_it_was_listed_fails_alone(clips, bucket, tmp_path):
    upload(clips, bucket / "clips")
    (found,) = [clip for clip in find_clips([f"{bucket}/clips"]).clips if clip.name == "sign/one"]
    storage.remove([bucket / "clips" / "sign" / "one.mp4"])
    with pytest.raises(InputError) as vanished:
        extract_landmarks(found.path)
    assert str(vanished.value) == f"{bucket}/clips/sign/one.mp4: no such object or bucket"


@pytest.mark.slow
def test_one_driver_writes_to_a_place(clips, bucket, extract):
    upload(clips, bucket / "clips")
    with held(bucket / "landmarks"):
        result = extract(f"{bucket}/clips", "--output", bucket / "landmarks")
        assert result.status == 2
        assert f"{bucket}/landmarks: another process writes here (process {os.getpid()} on " in result.err
        # A shard of the same place is refused as well.
        result = extract(f"{bucket}/clips", "--output", bucket / "landmarks", "--shard", "1/2")
        assert (result.status, "another process writes here" in result.err) == (2, True)
    assert storage.listing(bucket / "landmarks") == {}


@pytest.mark.slow
def test_a_killed_driver_is_followed_at_once(clips, bucket, tmp_path, extract):
    long = tmp_path / "long"
    for number in range(4):
        waving.write_video(long / f"{number}.mp4", 60, person=False)
    upload(long, bucket / "clips")
    output = bucket / "landmarks"
    command = [sys.executable, "-m", "signloom.cli", "extract", f"{bucket}/clips", "--output", str(output)]
    command += ["--workers", "1"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not points(output) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    there = points(output)
    assert 1 <= len(there) < 4
    assert ".signloom.lock" in storage.listing(output)
    result = extract(f"{bucket}/clips", "--output", output)
    assert (result.status, f"{len(there)} already done" in result.err) == (0, True), result.err
    assert {name: points(output)[name] for name in there} == there
    assert sorted(storage.listing(output)) == ["0.npz", "1.npz", "2.npz", "3.npz"]
    # What the killed process had fetched is gone as well.
    assert list((tmp_path / "cache" / "scratch").iterdir()) == []


def test_ends_of_an_object_are_those_of_its_file(bucket, tmp_path):
    # Shorter than both ends together, as long, and longer.
    for size in (0, 5, 2 * 65536, 2 * 65536 + 1, 300_000):
        path = tmp_path / f"{size}.mp4"
        path.write_bytes(np.random.default_rng(size).bytes(size))
        storage.upload(path, bucket / path.name)
        assert ends_sha256(bucket / path.name) == ends_sha256(path)
    with pytest.raises(storage.MissingObjectError):
        ends_sha256(bucket / "gone.mp4")


def test_logs_of_shards_are_merged(bucket):
    clips = [Clip(bucket / f"{name}.mp4", name, Listed(1, is_folder=False)) for name in "abc"]
    for number, clip in enumerate(clips[:2], start=1):
        log = FailureLog(bucket / "out", [clip], f"{number}/2")
        log.add(clip, "no video")
        log.close()
    assert sorted(storage.names(bucket / "out")) == ["failed.1-of-2.jsonl", "failed.2-of-2.jsonl"]
    # A run of all but one: the other's entry stays.
    log = FailureLog(bucket / "out", clips[1:], None)
    assert storage.names(bucket / "out") == ["failed.jsonl"]
    for reason in ("first", "second", "third"):
        log.add(clips[2], reason)
    log.close()
    lines = [json.loads(line) for line in storage.read(bucket / "out" / "failed.jsonl", 10**6).splitlines()]
    assert [(line["clip"], line["reason"]) for line in lines] == [
        ("a", "no video"),
        ("c", "first"),
        ("c", "second"),
        ("c", "third"),
    ]


def test_temporary_files_are_none_of_object_storage(bucket, tmp_path):
    from signloom.files.temporary import remove_temporary

    assert dead_temporary(tmp_path / "model").exists()
    assert (remove_temporary(bucket), remove_temporary(tmp_path)) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data_dir", "c", "--output", "s3://bucket/run"], "--output is s3://bucket/run; needed a local"),
        (["transcribe", "s3://bucket/a.mp4", "--model", "m"], "SOURCES is s3://bucket/a.mp4; needed a local"),
        (["extract", "hdfs://host/x", "--output", "x"], "unknown storage hdfs://; needed s3://, gs:// or file://"),
        (["extract", "s3://k:topsecret@b/x", "--output", "x"], "a URL of s3:// holds a user or a password"),
    ],
)
def test_urls_where_none_can_be_are_refused(arguments, message, tmp_path, monkeypatch, run_command):
    monkeypatch.chdir(tmp_path)
    result = run_command(*arguments)
    assert (result.status, message in result.err) == (2, True), result.err
    assert "topsecret" not in result.out + result.err
    assert list(tmp_path.iterdir()) == []
