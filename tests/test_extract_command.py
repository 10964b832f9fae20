"""`signloom extract` as a user runs it: many clips, bad ones among them, killed, resumed, shared out."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import waving
from conftest import dead_temporary
from signloom.commands import extract as command
from signloom.commands.extract import Options, run
from signloom.errors import InputError, MissingExtraError, SignloomError
from signloom.extract import clip_worker, parallel
from signloom.extract.holistic import Settings
from signloom.extract.resume import FailureLog, locked_output, read_header, survey
from signloom.extract.sources import Clip, find_clips
from signloom.files.locks import LOCK, LockedError, locked
from signloom.landmarks import Landmarks
from signloom.processes import usable_cpus

cv2 = pytest.importorskip("cv2", reason="extraction needs the extra 'extract'", exc_type=ImportError)
pytest.importorskip("mediapipe", reason="extraction needs the extra 'extract'", exc_type=ImportError)

pytestmark = pytest.mark.slow

PROC = Path("/proc")
COMMAND = [sys.executable, "-m", "signloom.cli", "extract"]


def extract(*arguments):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False)


def failures(folder, name="failed.jsonl"):
    path = folder / name
    if not path.exists():
        return {}
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {entry["clip"]: entry["reason"] for entry in entries}


@pytest.fixture
def corpus(tmp_path):
    """Three good clips (a video, a frame folder, one with nobody in it) and four that cannot be read."""
    root = tmp_path / "clips"
    waving.write_video(root / "sign" / "nobody.mp4", 3, person=False)
    waving.write_video(root / "sign" / "cut.mp4", 4, person=False)
    data = (root / "sign" / "cut.mp4").read_bytes()
    (root / "sign" / "cut.mp4").write_bytes(data[: len(data) // 3])
    (root / "text.mp4").write_text("this is no video\n")
    (root / "empty.mp4").touch()
    (root / "notes.txt").write_text("not a clip\n")
    for name in ("good", "broken"):
        folder = root / "phoenix" / name / "1"
        folder.mkdir(parents=True)
        for number, frame in enumerate(waving.frames(3, person=False)):
            cv2.imwrite(str(folder / f"{number}.png"), frame)
    broken = root / "phoenix" / "broken" / "1" / "1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    return root


def test_bad_clips_are_listed_and_the_rest_go_on(corpus, tmp_path):
    out = tmp_path / "out"
    result = extract(corpus, "--output", out, "--workers", 1, "--pixel_aspect", 1)
    assert result.returncode == 1
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.npz")) == [
        "phoenix/good.npz",
        "sign/nobody.npz",
    ]
    reasons = failures(out)
    assert set(reasons) == {"sign/cut", "text", "empty", "phoenix/broken"}
    assert "damaged or cut off" in reasons["sign/cut"]
    assert "it is a text file" in reasons["text"]
    assert "the file is empty" in reasons["empty"]
    assert "frame 2 (1.png) is cut off" in reasons["phoenix/broken"]
    assert "clips      2 done, 4 failed" in result.stdout
    assert "pose       in   0.0% of frames" in result.stdout
    assert "next: signloom help import" in result.stdout
    assert "no person detected in 2 clips: phoenix/good, sign/nobody" in result.stderr
    assert "note: 1 clip without fps; assumed 25" in result.stderr
    assert "ignored, not clips: 1 .txt" in result.stderr
    # Nothing of what the libraries say in C++ gets through.
    for chatter in ("XNNPACK", "W0000", "moov atom", "libpng", "Traceback"):
        assert chatter not in result.stderr
    assert np.isnan(Landmarks.load(out / "sign" / "nobody.npz").points).all()

    # The second run tries only the failed ones again; once they are mended all is well, and the list is gone.
    stamp = (out / "sign" / "nobody.npz").stat().st_mtime_ns
    waving.write_video(corpus / "text.mp4", 2, person=False)
    for path in (corpus / "sign" / "cut.mp4", corpus / "empty.mp4", corpus / "phoenix" / "broken" / "1" / "1.png"):
        path.unlink()
    again = extract(corpus, "--output", out, "--pixel_aspect", 1)
    assert again.returncode == 0, again.stderr
    assert "2 already done, 2 to extract" in again.stderr
    assert (out / "sign" / "nobody.npz").stat().st_mtime_ns == stamp
    assert sorted(path.name for path in out.iterdir()) == [LOCK, "failed.jsonl", "phoenix", "sign", "text.npz"]
    # What is no longer among the sources is not forgotten either.
    assert set(failures(out)) == {"sign/cut", "empty"}


def test_nothing_to_do_is_success_and_no_clip_is_misuse(tmp_path, capsys):
    waving.write_video(tmp_path / "in" / "a.mp4", 2, person=False)
    sources = [str(tmp_path / "in")]
    assert run(Options(sources, tmp_path / "out", workers=1)) == 0
    capsys.readouterr()
    assert run(Options(sources, tmp_path / "out")) == 0
    told = capsys.readouterr()
    assert "clips      1 done\nframes     2\n" in told.out
    assert "0 to extract" in told.err
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").touch()
    with pytest.raises(InputError, match=r"no clip in .*empty; needed videos or folders of frames .*1 .txt"):
        run(Options([str(tmp_path / "empty")], tmp_path / "out"))
    with pytest.raises(InputError, match="--workers 0: needed at least 1"):
        run(Options(sources, tmp_path / "out", workers=0))
    with pytest.raises(InputError, match="--shard 2/2: no clip for it"):
        run(Options(sources, tmp_path / "out", shard="2/2"))

    with locked(tmp_path / "out"), pytest.raises(InputError, match="another process writes here"):
        run(Options(sources, tmp_path / "out"))

    # Made with other options: refused, until asked to replace.
    with pytest.raises(InputError, match=r"1 clip of 1 extracted with other options \(a: crop None there, 0,0,.*--ov"):
        run(Options(sources, tmp_path / "out", crop="0,0,100,100"))
    assert run(Options(sources, tmp_path / "out", crop="0,0,100,100", overwrite=True, workers=1)) == 0
    assert Landmarks.load(tmp_path / "out" / "a.npz").image_size == (100, 100)


def outputs(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.npz")}


def wait_until(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended early: {process.communicate()}"
        assert time.monotonic() < end
        time.sleep(0.02)


def children_of(pid):
    """The worker processes (they run multiprocessing's spawn_main), not the resource tracker."""
    found = []
    for entry in PROC.glob("[0-9]*"):
        try:
            parent = int(status_of(entry)[1])
            if parent == pid and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def status_of(entry):
    """State, parent, ... of a process: what follows its name in `stat`."""
    return (entry / "stat").read_text().rpartition(")")[2].split()


def alive(pid):
    try:
        return status_of(PROC / str(pid))[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


needs_proc = pytest.mark.skipif(not (PROC / "self").is_dir(), reason="finds the worker processes through /proc")


@needs_proc
def test_kill_9_loses_at_most_the_clips_in_flight(tmp_path):
    for number in range(6):
        waving.write_video(tmp_path / "in" / f"{number}.mp4", 5 + number, person=False)
    out = tmp_path / "out"
    arguments = [*COMMAND, str(tmp_path / "in"), "--output", str(out), "--workers", "2"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: len(outputs(out)) >= 2, process)
    workers = children_of(process.pid)
    assert len(workers) == 2
    process.kill()
    process.communicate()
    end = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, workers))
    before = outputs(out)
    assert 2 <= len(before) < 6
    for path in out.glob("*.npz"):
        assert len(Landmarks.load(path)) == 5 + int(path.stem)
    # What a kill in the middle of writing would have left.
    unfinished = dead_temporary(out / "5.npz")
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"{len(before)} already done" in result.stderr
    assert not unfinished.exists()
    assert sorted(path.name for path in out.iterdir()) == [LOCK, *(f"{number}.npz" for number in range(6))]
    after = outputs(out)
    assert {name: after[name] for name in before} == before
    # Which process did a clip, and what it did before, makes no difference: the bytes are the same.
    single = extract(tmp_path / "in", "--output", tmp_path / "single", "--workers", 1)
    assert single.returncode == 0
    assert outputs(tmp_path / "single") == after


@needs_proc
def test_a_worker_that_dies_costs_its_clip_only(tmp_path):
    waving.write_video(tmp_path / "in" / "0-long.mp4", 150, person=False)
    for number in range(1, 4):
        waving.write_video(tmp_path / "in" / f"{number}.mp4", 4, person=False)
    out = tmp_path / "out"
    arguments = [*COMMAND, str(tmp_path / "in"), "--output", str(out), "--workers", "1"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: children_of(process.pid), process)
    os.kill(children_of(process.pid)[0], signal.SIGKILL)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert set(outputs(out)) == {"1.npz", "2.npz", "3.npz"}
    assert set(failures(out)) == {"0-long"}
    assert "the worker process died on this clip" in failures(out)["0-long"]
    assert "Traceback" not in stderr


@needs_proc
def test_an_interrupt_stops_at_once_and_says_so(tmp_path):
    waving.write_video(tmp_path / "in" / "long.mp4", 400, person=False)
    arguments = [*COMMAND, str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--workers", "1"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: children_of(process.pid), process)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "interrupted" in stderr
    assert outputs(tmp_path / "out") == {}


@pytest.fixture
def in_process(monkeypatch):
    """Workers' state, so that what a worker runs can be run here."""
    monkeypatch.setattr(parallel, "_shared", [0, 0, 0])
    monkeypatch.setattr(parallel, "_worker", None)
    monkeypatch.setattr(clip_worker, "HolisticTracker", FakeTracker)


class FakeTracker:
    def restart(self):
        pass

    def __call__(self, frame):
        return np.full((543, 3), 0.5, np.float32), np.full(33, 0.5, np.float32)


def one_clip(tmp_path):
    return Clip(waving.write_video(tmp_path / "a.mp4", 2, person=False), "a")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_cannot_be_written_stops_the_run(in_process, monkeypatch, tmp_path, number):
    def save(self, path):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Landmarks, "save", save)
    outcome = parallel._extract(one_clip(tmp_path), tmp_path / "out", Settings())
    assert outcome.status == "stop"
    with pytest.raises(OSError, match=os.strerror(number)) as raised:
        parallel._raise_if_hopeless(outcome, 0)
    assert raised.value.errno == number
    assert raised.value.filename == str(tmp_path / "out" / "a.npz")


def test_a_name_too_long_or_a_crash_in_the_graph_concerns_its_clip_only(in_process, monkeypatch, tmp_path):
    clip = one_clip(tmp_path)
    outcome = parallel._extract(Clip(clip.path, "x" * 300), tmp_path / "out", Settings())
    assert (outcome.status, outcome.message.endswith("the file name is too long; rename the clip")) == ("failed", True)
    monkeypatch.setattr(FakeTracker, "__call__", lambda self, frame: 1 / 0)
    outcome = parallel._extract(clip, tmp_path / "out", Settings())
    assert (outcome.status, outcome.message) == ("failed", f"{clip.path}: ZeroDivisionError: division by zero")


def test_a_missing_package_stops_the_run(monkeypatch, tmp_path):
    def missing():
        raise SignloomError("install it")

    monkeypatch.setattr(parallel, "_worker", None)
    monkeypatch.setattr(clip_worker, "HolisticTracker", missing)
    outcome = parallel._extract(Clip(tmp_path, "a"), tmp_path, Settings())
    with pytest.raises(SignloomError, match="install it"):
        parallel._raise_if_hopeless(outcome, 0)


def test_without_mediapipe_the_command_says_so_before_it_starts(monkeypatch, tmp_path):
    def unknown(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", unknown)
    with pytest.raises(MissingExtraError, match=r"pip install -e .*\[extract\]"):
        run(Options([str(one_clip(tmp_path).path)], tmp_path / "out"))
    assert outputs(tmp_path) == {}


def test_workers_that_die_one_after_the_other_stop_the_run(tmp_path):
    outcome = clip_worker.ClipResult(Clip(tmp_path / "a.mp4", "a"), "failed")
    parallel._raise_if_hopeless(outcome, 9)
    with pytest.raises(SignloomError, match="10 worker processes died one after the other"):
        parallel._raise_if_hopeless(outcome, 10)


def test_a_done_clip_is_one_that_can_be_read_and_whose_source_is_the_same(in_process, tmp_path):
    clip, out, settings = one_clip(tmp_path), tmp_path / "out", Settings()
    assert parallel._extract(clip, out, settings).status == "done"
    path = clip.output(out)
    assert list(survey([clip], out, settings).done) == [clip]
    assert survey([clip], out, Settings(pixel_aspect=0.5)).differing == {clip: "pixel_aspect None there, 0.5 now"}
    # The rate of this video is its own: an assumed one would not change it.
    assert list(survey([clip], out, Settings(fps=30)).done) == [clip]
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"PK"):
        path.write_bytes(damaged)
        assert survey([clip], out, settings).missing == [clip]
        assert read_header(path) is None
    path.write_bytes(whole)
    waving.write_video(clip.path, 9, person=False)
    assert survey([clip], out, settings).missing == [clip]


def test_another_source_of_the_same_name_and_size_is_extracted_anew(in_process, tmp_path):
    clip, out, settings = one_clip(tmp_path), tmp_path / "out", Settings()
    whole = clip.path.read_bytes()
    assert parallel._extract(clip, out, settings).status == "done"
    assert list(survey([clip], out, settings).done) == [clip]
    for other in (bytes([whole[0] ^ 1]) + whole[1:], whole[:-1] + bytes([whole[-1] ^ 1])):
        clip.path.write_bytes(other)
        assert survey([clip], out, settings).missing == [clip]
    # A landmark file of an earlier version has no hash of the ends: the size alone decides.
    old = Landmarks.load(clip.output(out))
    del old.source["ends_sha256"]
    old.save(clip.output(out))
    assert list(survey([clip], out, settings).done) == [clip]
    clip.path.unlink()
    assert survey([clip], out, settings).missing == [clip]


def test_another_frame_folder_of_as_many_images_is_extracted_anew(in_process, tmp_path):
    (tmp_path / "in").mkdir()
    for number, frame in enumerate(waving.frames(3, person=False)):
        cv2.imwrite(str(tmp_path / "in" / f"{number}.png"), frame)
    (clip,) = find_clips([tmp_path / "in"]).clips
    assert parallel._extract(clip, tmp_path / "out", Settings()).status == "done"
    assert list(survey([clip], tmp_path / "out", Settings()).done) == [clip]
    with (tmp_path / "in" / "2.png").open("ab") as file:
        file.write(b"x")
    assert survey([clip], tmp_path / "out", Settings()).missing == [clip]


def test_an_assumed_rate_that_changed_is_a_difference(in_process, tmp_path):
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "0.png"), next(iter(waving.frames(1, person=False))))
    (clip,) = find_clips([tmp_path / "in"]).clips
    parallel._extract(clip, tmp_path / "out", Settings())
    assert survey([clip], tmp_path / "out", Settings(fps=30)).differing == {clip: "fps 25.0 there, 30 now"}


def test_a_run_excludes_all_others_and_a_shard_its_own_and_whole_runs(tmp_path):
    with locked_output(tmp_path, "1/2"), locked_output(tmp_path, "2/2"):
        for shard in ("1/2", None):
            with pytest.raises(LockedError, match="another process writes here"), locked_output(tmp_path, shard):
                pass
    with locked_output(tmp_path, None):
        for shard in ("1/2", None):
            with pytest.raises(LockedError, match="another process writes here"), locked_output(tmp_path, shard):
                pass
    with locked_output(tmp_path, "1/2"):
        pass


def test_a_shard_touches_only_what_is_its_own(tmp_path):
    mine, other = Clip(tmp_path / "a.mp4", "s/a"), Clip(tmp_path / "b.mp4", "s/b")
    FailureLog(tmp_path, [mine], "1/2").add(mine, "first")
    FailureLog(tmp_path, [other], "2/2").add(other, "zweitens: größer")
    assert failures(tmp_path, "failed.1-of-2.jsonl") == {"s/a": "first"}
    assert failures(tmp_path, "failed.2-of-2.jsonl") == {"s/b": "zweitens: größer"}
    # A run over everything takes the shards' lists in: what it tries again goes, the rest stays.
    FailureLog(tmp_path, [mine], None)
    assert failures(tmp_path) == {"s/b": "zweitens: größer"}
    assert [path.name for path in tmp_path.glob("failed*")] == ["failed.jsonl"]


def test_the_default_is_a_worker_for_each_usable_cpu():
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)


def test_frames_that_are_missing_in_a_folder_are_told_and_no_difference(in_process, tmp_path, capsys):
    for number in (0, 1, 2, 3, 5):
        path = tmp_path / "in" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), next(iter(waving.frames(1, person=False))))
    (clip,) = find_clips([tmp_path / "in"]).clips
    parallel._extract(clip, tmp_path / "out", Settings(fps=50))
    state = survey([clip], tmp_path / "out", Settings(fps=50))
    # The rate of the file is the mean rate; the one that was assumed is the same.
    assert list(state.done) == [clip]
    assert Landmarks.load(clip.output(tmp_path / "out")).seconds.tolist() == [0, 0.02, 0.04, 0.06, 0.1]
    command._notes(state.done, [], FailureLog(tmp_path / "out", [clip], None))
    told = capsys.readouterr().err
    assert "1 clip with frames that cannot be read" in told
    assert "in: 5 of 6 frames could be read" in told
    assert "assumed 50 (--fps" in told
