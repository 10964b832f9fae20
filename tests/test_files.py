"""Locks, temporary files of dead processes, and folders whose content is replaced as one."""

import os
import shutil
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from conftest import dead_temporary
from signloom.errors import InputError
from signloom.files import locks, temporary
from signloom.files.locks import LOCK, LockedError, locked, locked_file
from signloom.files.staging import STAGE, Stage, settle
from signloom.files.temporary import new_temporary, remove_temporary
from signloom.files.writing import atomic_write, write_text

HOLD = (
    "import sys, time; from pathlib import Path; from signloom.files.locks import locked\n"
    "with locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
)


def count_up(folder, rounds):
    """Adds to a number in a file, which goes wrong if two do it at once; returns how often the lock was another's."""
    refused = 0
    while rounds:
        try:
            with locked(folder):
                number = int((folder / "number").read_text())
                time.sleep(0.001)
                (folder / "number").write_text(str(number + 1))
            rounds -= 1
        except LockedError:
            refused += 1
            time.sleep(0.001)
    return refused


class TestLocks:
    def test_the_lock_of_a_killed_process_is_free(self, tmp_path):
        with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout.readline() == "held\n"
            message = f"another process writes here \\(process {holder.pid} on .*, since .* UTC: -c {tmp_path}\\); wait"
            with pytest.raises(LockedError, match=message), locked(tmp_path):
                pass
            holder.kill()
        with locked(tmp_path), pytest.raises(LockedError, match=f"process {os.getpid()} on"), locked(tmp_path):
            pass

    @pytest.mark.slow
    def test_only_one_process_at_a_time_has_it(self, tmp_path):
        (tmp_path / "number").write_text("0")
        with get_context("spawn").Pool(3) as pool:
            assert sum(pool.starmap(count_up, [(tmp_path, 40)] * 3)) > 0
        assert (tmp_path / "number").read_text() == "120"
        assert {path.name for path in tmp_path.iterdir()} == {"number", LOCK}

    def test_locks_of_other_names_and_files_do_not_exclude_each_other(self, tmp_path):
        with locked(tmp_path), locked(tmp_path, "1-of-2"), locked_file(tmp_path / "a.arpa"):
            with pytest.raises(LockedError), locked(tmp_path, "1-of-2"):
                pass
            with locked(tmp_path, "2-of-2"), locked_file(tmp_path / "b.arpa"):
                pass

    @pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(30, "Read-only file system")])
    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path, monkeypatch, error):
        def refuse(lock):
            raise error

        monkeypatch.setattr("filelock.FileLock.acquire", refuse)
        with pytest.raises(InputError, match=f"cannot be written \\({error.strerror}\\); give another --output"):
            locked(tmp_path).__enter__()

    def test_a_file_system_without_locks_is_written_without(self, tmp_path, monkeypatch):
        def refuse(lock):
            raise OSError(locks.errno.ENOLCK, "No locks available")

        monkeypatch.setattr("filelock.FileLock.acquire", refuse)
        with locked(tmp_path):
            pass

    def test_a_file_in_the_way_is_named(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="a part of this path is a file"), locked(tmp_path / "file" / "folder"):
            pass


class TestTemporaryFiles:
    def test_those_of_a_killed_process_are_removed_by_the_next_write(self, tmp_path):
        unfinished = dead_temporary(tmp_path / "model")
        assert unfinished.read_bytes() == b"half"
        write_text(tmp_path / "model", "whole")
        assert not unfinished.exists()
        assert (tmp_path / "model").read_text() == "whole"

    def test_those_of_living_processes_and_of_others_stay(self, tmp_path):
        (tmp_path / "below").mkdir()
        dead = dead_temporary(tmp_path / "below" / "a.npz")
        host, process = dead.name.split(".")[-2].split("-")[:2]
        _, living = new_temporary(tmp_path / "mine")
        similar = [
            ".notes.part",
            f"model.{host}-{process}-abcdefgh.part",
            f".model.{host}-{process}-abcdefgh.part.txt",
            f".model.{host}-{process}-abc.part",
            ".5.npz.abcdefgh.part",
            # Of another machine, where this number may be that of a living process.
            f".model.00000000-{process}-abcdefgh.part",
        ]
        for name in similar:
            (tmp_path / name).touch()
        folder = tmp_path / f".folder.{host}-{process}-abcdefgh.part"
        folder.mkdir()
        assert remove_temporary(tmp_path) == 1
        assert not dead.exists()
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {"below", Path(living).name, folder.name, *similar}

    def test_one_of_another_machine_is_removed_after_a_day(self, tmp_path):
        stale = tmp_path / ".model.00000000-1-abcdefgh.part"
        stale.touch()
        assert remove_temporary(tmp_path) == 0
        two_days_ago = time.time() - 2 * 24 * 3600
        os.utime(stale, (two_days_ago, two_days_ago))
        assert remove_temporary(tmp_path) == 1

    def test_a_long_name_of_any_script_has_one(self, tmp_path):
        for name in ("a" * 255, "手" * 85, "🤟" * 63):
            with atomic_write(tmp_path / name) as file:
                file.write(b"whole")
            assert (tmp_path / name).read_bytes() == b"whole"

    def test_every_process_looks_at_a_folder_once(self, tmp_path, monkeypatch):
        looked = []
        monkeypatch.setattr(temporary, "_remove_if_dead", looked.append)
        (tmp_path / ".x.part").touch()
        for number in range(3):
            write_text(tmp_path / str(number), "")
        assert len(looked) == 1


def old_and_new(folder):
    """A folder with old content, and new content of which nothing is in place."""
    write_text(folder / "kept", "old")
    write_text(folder / "data" / "a", "old a")
    write_text(folder / "data" / "b", "old b")
    write_text(folder / "cache" / "x", "old x")
    stage = Stage(folder)
    write_text(stage.path / "data" / "a", "new a")
    write_text(stage.path / "data" / "c", "new c")
    return stage


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LOCK
    }


OLD = {"kept": "old", "data/a": "old a", "data/b": "old b", "cache/x": "old x"}
NEW = {"kept": "old", "data/a": "new a", "data/c": "new c"}
PLAN = {"files": ["data/a", "data/c"], "remove": ["data/a", "data/b", "cache"]}


class TestStaging:
    def test_new_files_take_the_place_of_old_ones(self, tmp_path):
        old_and_new(tmp_path).commit(**PLAN)
        assert content(tmp_path) == NEW

    def test_at_every_step_a_kill_leaves_the_old_or_the_new(self, tmp_path, monkeypatch):
        """Stops before each change of the folder in turn; whoever opens it next sees one of the two, whole."""
        seen = []
        for kill_at in range(20):
            folder = tmp_path / str(kill_at)
            stage = old_and_new(folder)
            changes = iter(range(20))

            def stops(change, kill_at=kill_at, changes=changes):
                def instead(*args, **kwargs):
                    if next(changes) == kill_at:
                        raise KeyboardInterrupt
                    return change(*args, **kwargs)

                return instead

            with monkeypatch.context() as patch:
                for name in ("replace", "unlink"):
                    patch.setattr(f"pathlib.Path.{name}", stops(getattr(type(folder), name)))
                patch.setattr("shutil.rmtree", stops(shutil.rmtree))
                try:
                    stage.commit(**PLAN)
                    ended = True
                except KeyboardInterrupt:
                    ended = False
            stage.clear()
            settle(folder)
            seen.append(content(folder))
            if ended:
                break
        assert seen[0] == OLD
        assert seen[1:] == [NEW] * (len(seen) - 1)
        assert len(seen) > 5

    def test_a_plan_that_leads_out_of_the_folder_is_refused(self, tmp_path):
        (tmp_path / "victim").write_text("mine")
        stage = old_and_new(tmp_path / "folder")
        for plan in ({"files": [], "remove": ["../victim"]}, {"files": ["../victim"]}, {"files": [], "remove": ["/x"]}):
            with pytest.raises(InputError, match=f"not a plan that signloom writes .*remove .*{STAGE}"):
                stage.commit(**plan)
            with pytest.raises(InputError, match="not a plan that signloom writes"):
                settle(tmp_path / "folder")
        assert (tmp_path / "victim").read_text() == "mine"
