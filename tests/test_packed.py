"""Packed corpora: the same corpus as before, in a few large files that other tools can read."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from conftest import TINY_SIGNS, random_landmarks
from signloom.cli import dispatch
from signloom.corpus import Corpus, CorpusWriter, landmark_file
from signloom.corpus.packing import pack, plan_shards, unpack
from signloom.corpus.shards import INDEX, ROW, SHARDS
from signloom.errors import InputError
from signloom.files.locks import locked
from signloom.files.tar import archive_bytes, blocks, header_of
from signloom.landmarks import Landmarks

# A clip of `random_landmarks` takes about 70 kB: several shards per split.
SMALL = 300_000


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder but for locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".signloom" not in str(path))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """12 utterances, with ids that no archive member could have."""
    root = tmp_path_factory.mktemp("packed") / "corpus"
    with CorpusWriter(root, {"name": "plain"}) as writer:
        for number, split in enumerate(["train"] * 8 + ["dev"] * 2 + ["test"] * 2):
            writer.add(
                f"clip.{number}/ä",
                split=split,
                signer="A",
                glosses=list(TINY_SIGNS)[: 1 + number % 3],
                landmarks=random_landmarks(18 + number, seed=number),
            )
        writer.leave_out([{"id": "gone", "reason": "damaged"}])
    return root


@pytest.fixture
def shards(corpus, tmp_path) -> Path:
    return packed(corpus, tmp_path / "shards")


def packed(corpus: Path, output: Path, *, seed: int = 0, shard_bytes: int = SMALL, **options) -> Path:
    opened = Corpus.open(corpus)
    pack(opened, output, plan_shards(opened, shard_bytes=shard_bytes, seed=seed), **options)
    return output


def test_a_packed_corpus_is_the_same_corpus(corpus, shards):
    plain, opened = Corpus.open(corpus), Corpus.open(shards)
    assert (opened.info, list(opened)) == (plain.info, list(plain))
    for item in plain:
        before, after = plain.load(item), opened.load(item)
        assert (before.points.tobytes(), before.fps, before.source) == (after.points.tobytes(), after.fps, after.source)
        views = plain.load_view(item, "compact"), opened.load_view(item, "compact")
        assert views[0].points.tobytes() == views[1].points.tobytes()


def test_unpacking_gives_back_what_was_packed(corpus, shards, tmp_path):
    unpack(Corpus.open(shards), tmp_path / "again")
    assert contents(tmp_path / "again") == contents(corpus)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_order(corpus, shards, tmp_path):
    assert contents(packed(corpus, tmp_path / "same")) == contents(shards)
    # Packing what is packed gives it again: nothing is lost on the way.
    assert contents(packed(shards, tmp_path / "repacked")) == contents(shards)
    other = packed(corpus, tmp_path / "other", seed=1)
    assert contents(other)[INDEX] != contents(shards)[INDEX]
    assert list(Corpus.open(other)) == list(Corpus.open(corpus))


def test_shards_are_tar_archives_of_one_split_each_and_no_larger_than_asked(corpus, shards):
    seen = []
    for path in sorted(shards.glob("*.tar")):
        split = path.name.partition("-")[0]
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            for record, landmarks in zip(members[::2], members[1::2], strict=True):
                key = record.name.removesuffix(".json")
                assert landmarks.name == f"{key}.npz"
                assert not set("./") & set(key)
                entry = json.loads(archive.extractfile(record).read())
                assert entry["split"] == split
                assert archive.extractfile(landmarks).read() == (corpus / entry["landmarks"]).read_bytes()
                assert (record.mtime, record.uid, record.gname, landmarks.mode & 0o777) == (0, 0, "", 0o644)
                seen.append(entry["id"])
        assert path.stat().st_size <= SMALL
    assert sorted(seen) == sorted(item.id for item in Corpus.open(corpus))
    # Neighbours in the manifest, which are often of one recording, are not neighbours in the shards.
    assert seen[:8] != sorted(seen)[:8]


def test_shards_have_the_bytes_that_tarfile_would_write(shards):
    """Known answer: Python's own writer, given the same members."""
    for path in shards.glob("*.tar"):
        buffer = io.BytesIO()
        with (
            tarfile.open(path) as archive,
            tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as again,
        ):
            for member in archive:
                plain = tarfile.TarInfo(member.name)
                plain.size = member.size
                again.addfile(plain, archive.extractfile(member))
        assert buffer.getvalue() == path.read_bytes()


def test_the_index_says_where_both_members_of_every_utterance_are(corpus, shards):
    rows = np.load(shards / INDEX, allow_pickle=False)
    names = [shard["name"] for shard in json.loads((shards / SHARDS).read_text())["shards"]]
    for item, row in zip(Corpus.open(corpus), rows, strict=True):
        data = (shards / names[row["shard"]]).read_bytes()
        record = data[row["record_offset"] :][: row["record_size"]]
        landmarks = data[row["landmarks_offset"] :][: row["landmarks_size"]]
        assert json.loads(record) == item.to_json()
        assert landmarks == (corpus / item.landmarks).read_bytes()


@pytest.mark.slow
def test_the_webdataset_library_reads_the_shards(corpus, shards):
    pytest.importorskip("webdataset")
    # In a process of its own: the library leaves files open.
    code = (
        "import hashlib, json, sys, webdataset\n"
        "for sample in webdataset.WebDataset(sys.argv[1:], shardshuffle=False, empty_check=False):\n"
        "    print(json.dumps([json.loads(sample['json']), hashlib.sha256(sample['npz']).hexdigest()]))"
    )
    urls = [str(path) for path in sorted(shards.glob("train-*.tar"))]
    result = subprocess.run([sys.executable, "-c", code, *urls], capture_output=True, text=True, check=True)
    read = {record["id"]: (record, digest) for record, digest in map(json.loads, result.stdout.splitlines())}
    assert read == {
        item.id: (item.to_json(), hashlib.sha256((corpus / item.landmarks).read_bytes()).hexdigest())
        for item in Corpus.open(corpus).split("train")
    }


def test_a_dry_run_tells_the_sizes_that_packing_makes(corpus, tmp_path, capsys):
    words = ["pack", str(corpus), "--output", str(tmp_path / "s"), "--shard_megabytes", "1"]
    assert dispatch([*words, "--dry_run"]) == 0
    planned = capsys.readouterr().out
    assert "nothing was written" in planned
    assert not (tmp_path / "s").exists()
    assert dispatch(words) == 0
    made = capsys.readouterr().out
    assert planned.splitlines()[1:5] == made.splitlines()[1:5]
    sizes = [path.stat().st_size for path in (tmp_path / "s").glob("*.tar")]
    plan = plan_shards(Corpus.open(corpus), shard_bytes=1_000_000, seed=0)
    assert sorted(sizes) == sorted(shard.bytes for shard in plan.shards)
    assert f"next: signloom train --data_dir {tmp_path / 's'}" in made
    assert dispatch(["unpack", str(tmp_path / "s"), "--output", str(tmp_path / "u")]) == 0
    assert contents(tmp_path / "u") == contents(corpus)


def test_what_is_larger_than_a_shard_gets_one_of_its_own(corpus, tmp_path):
    plan = plan_shards(Corpus.open(corpus), shard_bytes=1, seed=0)
    assert [len(shard.rows) for shard in plan.shards] == [1] * 12


@pytest.mark.parametrize(("option", "value"), [("shard_megabytes", "0"), ("seed", "-1")])
def test_options_that_cannot_be(corpus, tmp_path, option, value):
    with pytest.raises(InputError, match=f"--{option} is {value}"):
        dispatch(["pack", str(corpus), "--output", str(tmp_path / "s"), f"--{option}", value])


def test_a_landmark_file_keeps_its_path(corpus, shards, tmp_path):
    item = Corpus.open(corpus).utterances[5]
    file = landmark_file(shards / item.landmarks)
    assert file.content == (corpus / item.landmarks).read_bytes()
    assert landmark_file(corpus / item.landmarks) == corpus / item.landmarks
    with pytest.raises(InputError, match="no landmark file of this name in the packed corpus"):
        landmark_file(shards / "landmarks" / "other.npz")
    pytest.importorskip("PIL")
    assert dispatch(["show", str(shards / item.landmarks), "--output", str(tmp_path / "sheet.png")]) == 0
    assert (tmp_path / "sheet.png").is_file()


def test_commands_for_landmark_files_name_unpack(shards, tmp_path):
    with pytest.raises(InputError, match=f"run: signloom unpack {shards}"):
        dispatch(["import", "auto", str(shards), "--output", str(tmp_path / "p")])
    pytest.importorskip("pose_format")
    with pytest.raises(InputError, match=f"a packed corpus: signloom unpack {shards} --output CORPUS"):
        dispatch(["export_pose", str(shards), "--output", str(tmp_path / "p")])


# Damage


def test_a_shard_that_is_cut_off_or_missing_is_found_at_once(shards):
    shard = min(shards.glob("*.tar"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(InputError, match=f"{shard}: .* bytes, shards.json says {len(whole):,}: it is cut off"):
        Corpus.open(shards)
    shard.write_bytes(whole + b"more")
    with pytest.raises(InputError, match="it was changed"):
        Corpus.open(shards)
    shard.unlink()
    with pytest.raises(InputError, match=f"{shard}: this shard is missing"):
        Corpus.open(shards)


def test_a_shard_that_is_cut_off_while_it_is_read_is_found(shards):
    opened = Corpus.open(shards)
    for shard in shards.glob("*.tar"):
        os.truncate(shard, 2000)
    with pytest.raises(InputError, match="2,000 bytes; needed .* the file is cut off"):
        opened.load(opened.utterances[0])


def test_list_and_index_of_another_corpus_are_found(corpus, shards, tmp_path):
    other = packed(corpus, tmp_path / "other", seed=3)
    index = (shards / INDEX).read_bytes()
    (shards / INDEX).write_bytes((other / INDEX).read_bytes())
    with pytest.raises(InputError, match="another index than shards.json says, or damaged"):
        Corpus.open(shards)
    (shards / INDEX).write_bytes(index)
    lines = (shards / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    (shards / "manifest.jsonl").write_bytes(b"".join(lines[:-1]))
    with pytest.raises(InputError, match="the list of shards belongs to another manifest.jsonl"):
        Corpus.open(shards)


def forge(shards: Path, change) -> None:
    """Changes the index so that the list of shards believes it."""
    from signloom.files.reading import sha256_of

    rows = np.load(shards / INDEX, allow_pickle=False)
    changed = change(rows)
    np.save(shards / INDEX, rows if changed is None else changed, allow_pickle=False)
    head = json.loads((shards / SHARDS).read_text())
    head["index_sha256"] = sha256_of(shards / INDEX)
    (shards / SHARDS).write_text(json.dumps(head))


def test_a_forged_index_is_not_believed(shards, tmp_path, corpus):
    def set_to(name, value):
        def change(rows):
            rows[name][0] = value

        return change

    for change, fault in (
        (set_to("shard", 99), "shard 99; needed 0 to"),
        (set_to("landmarks_offset", 2**63), "entry 1 leaves its shard"),
        (set_to("landmarks_size", 2**64 - 1), "entry 1 leaves its shard"),
        (set_to("landmarks_offset", 0), "entry 1 leaves its shard"),
        (set_to("landmarks_offset", 513), "entry 1 leaves its shard"),
        (set_to("record_size", 2**32 - 1), "entry 1 leaves its shard"),
        (lambda rows: rows[:-1], r"of shape \(11,\); needed the places of 12 utterances"),
        (lambda rows: np.zeros(12), r"float64 of shape \(12,\); needed the places"),
        (lambda rows: np.array([{}] * 12, dtype=object), None),
    ):
        fresh = packed(corpus, tmp_path / "fresh", overwrite=True)
        if fault is None:
            with pytest.raises(ValueError, match="Object arrays cannot be saved"):
                forge(fresh, change)
            continue
        forge(fresh, change)
        with pytest.raises(InputError, match=fault):
            Corpus.open(fresh)


def test_a_member_that_is_another_one_or_has_another_size_is_found(shards):
    def swap(rows):
        rows[[0, 1]] = rows[[1, 0]]

    def shorten(rows):
        rows["landmarks_size"][2] -= 1

    def to_json(rows):
        rows["landmarks_offset"][3] = rows["record_offset"][3]

    def into_content(rows):
        rows["landmarks_offset"][4] += 1024

    for change in (shorten, to_json, into_content):
        forge(shards, change)
    opened = Corpus.open(shards)
    for number, fault in ((2, ", the index says"), (3, "is there"), (4, "no member of a tar archive")):
        with pytest.raises(InputError, match=f"clip_{number}.*{fault}.*the shard is damaged"):
            opened.load(opened.utterances[number])
    opened.load(opened.utterances[0])
    forge(shards, swap)
    opened = Corpus.open(shards)
    with pytest.raises(InputError, match="is there; the shard is damaged"):
        opened.load(opened.utterances[0])


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_a_member_that_is_no_file_is_refused(shards, kind):
    opened = Corpus.open(shards)
    row = opened.shards.rows[0]
    shard = shards / opened.shards.shards[row["shard"]].name
    at = int(row["landmarks_offset"]) - 512
    data = bytearray(shard.read_bytes())
    info = tarfile.TarInfo.frombuf(bytes(data[at : at + 512]), "utf-8", "surrogateescape")
    info.type, info.linkname = kind, "/etc/passwd"
    data[at : at + 512] = info.tobuf(format=tarfile.USTAR_FORMAT)
    shard.write_bytes(data)
    with pytest.raises(InputError, match="which is no regular file"):
        Corpus.open(shards).load(opened.utterances[0])


@pytest.mark.parametrize("name", ["../train-000000.tar", "/etc/passwd.tar", "a/b.tar", "corpus.json"])
def test_a_shard_outside_the_folder_is_refused(shards, name):
    head = json.loads((shards / SHARDS).read_text())
    head["shards"][0]["name"] = name
    (shards / SHARDS).write_text(json.dumps(head))
    with pytest.raises(InputError, match="needed the name of a .tar file beside it"):
        Corpus.open(shards)


def test_unpacking_finds_a_changed_byte_and_a_member_that_leaves_the_folder(corpus, shards, tmp_path):
    shard = shards / "train-000000.tar"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(InputError, match=f"{shard}: its SHA-256 is not the one in shards.json"):
        unpack(Corpus.open(shards), tmp_path / "u")
    assert not (tmp_path / "u" / "corpus.json").exists()
    text = (shards / "manifest.jsonl").read_text(encoding="utf-8")
    (shards / "manifest.jsonl").write_text(text.replace('"landmarks/', '"../../', 1), encoding="utf-8")
    with pytest.raises(InputError, match="leaves its folder"):
        Corpus.open(shards)


def test_a_folder_has_nothing_to_unpack(corpus, tmp_path):
    with pytest.raises(InputError, match="not a packed corpus"):
        unpack(Corpus.open(corpus), tmp_path / "u")


def test_a_landmark_file_that_changes_meanwhile_is_no_damaged_shard(corpus, tmp_path):
    copy = tmp_path / "copy"
    unpack(Corpus.open(packed(corpus, tmp_path / "s")), copy)
    opened = Corpus.open(copy)
    plan = plan_shards(opened, shard_bytes=SMALL, seed=0)
    random_landmarks(3).save(copy / opened.utterances[5].landmarks)
    with pytest.raises(InputError, match="it changes, pack it later"):
        pack(opened, tmp_path / "t", plan)
    assert not (tmp_path / "t" / "corpus.json").exists()


# Writers


def test_a_full_disk_leaves_no_half_shard_and_the_next_run_goes_on(corpus, shards, tmp_path, monkeypatch):
    from signloom.corpus import packing

    write, calls = packing._write_shard, []

    def full(*arguments):
        calls.append(arguments[1].name)
        if len(calls) == 3:
            raise OSError(28, os.strerror(28))
        return write(*arguments)

    monkeypatch.setattr(packing, "_write_shard", full)
    with pytest.raises(OSError, match="No space left"):
        packed(corpus, tmp_path / "s")
    with pytest.raises(InputError, match="not a finished corpus"):
        Corpus.open(tmp_path / "s")
    packed(corpus, tmp_path / "s")
    assert contents(tmp_path / "s") == contents(shards)
    # The two shards that were whole were not written again.
    assert len(set(calls)) == len(calls) - 1


def test_shards_of_a_stopped_run_with_other_options_are_not_used(corpus, tmp_path, monkeypatch):
    from signloom.corpus import packing

    with monkeypatch.context() as patch:
        patch.setattr(packing, "_copy_beside", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            packed(corpus, tmp_path / "s")
    packed(corpus, tmp_path / "s", seed=1)
    assert contents(tmp_path / "s") == contents(packed(corpus, tmp_path / "clean", seed=1))


def test_one_writer_at_a_time_and_no_corpus_is_replaced_unasked(corpus, shards, tmp_path):
    with pytest.raises(InputError, match="already has a corpus"):
        packed(corpus, shards)
    with locked(tmp_path / "t"), pytest.raises(InputError, match="another process writes here"):
        packed(corpus, tmp_path / "t")
    with pytest.raises(InputError, match="this folder holds the corpus"):
        packed(corpus, corpus, overwrite=True)
    (tmp_path / "u").mkdir()
    (tmp_path / "u" / "train-000000.tar").write_bytes(b"mine")
    with pytest.raises(InputError, match="is no file of an earlier corpus there and would be replaced"):
        packed(corpus, tmp_path / "u")
    assert (tmp_path / "u" / "train-000000.tar").read_bytes() == b"mine"


def test_one_kind_of_corpus_replaces_the_other_without_leftovers(corpus, shards, tmp_path):
    packed_files = contents(shards)
    with CorpusWriter(shards, {"name": "new"}, overwrite=True) as writer:
        writer.add("a", split="train", signer=None, glosses=["UP"], landmarks=random_landmarks(3))
    assert sorted(contents(shards)) == ["corpus.json", "landmarks/a.npz", "manifest.jsonl"]
    assert len(Corpus.open(shards)) == 1
    packed(corpus, shards, overwrite=True)
    assert contents(shards) == packed_files
    unpack(Corpus.open(packed(corpus, tmp_path / "s")), shards, overwrite=True)
    assert contents(shards) == contents(corpus)


@pytest.mark.slow
def test_killed_at_any_moment_it_is_whole_or_goes_on(corpus, shards, tmp_path):
    """Kills of `signloom pack --overwrite` over an older packed corpus, spread over its run."""
    expected, older = contents(shards), contents(packed(corpus, tmp_path / "s", seed=7))
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[3]); from test_packed import packed\n"
        "print('go', flush=True); packed(Path(sys.argv[1]), Path(sys.argv[2]), overwrite=True)"
    )
    command = [sys.executable, "-c", code, str(corpus), str(tmp_path / "s"), str(Path(__file__).parent)]
    rng = np.random.default_rng(0)
    for _ in range(8):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        Corpus.open(tmp_path / "s")
        assert contents(tmp_path / "s") in (older, expected)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert contents(tmp_path / "s") == expected


# Readers


def test_a_packed_corpus_can_be_moved_pickled_and_forked(shards, tmp_path):
    import pickle

    moved = shards.rename(tmp_path / "elsewhere")
    opened = Corpus.open(moved)
    first = opened.load(opened.utterances[0]).points
    # Workers that load data are forked, or get the corpus pickled.
    again = pickle.loads(pickle.dumps(opened))
    assert (again.load(again.utterances[0]).points == first).all()
    if not (child := os.fork()):
        os._exit(0 if (opened.load(opened.utterances[1]).points == first[:1]).any() else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (opened.load(opened.utterances[0]).points == first).all()


def num_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_more_shards_than_files_may_be_open(corpus, tmp_path, monkeypatch):
    from signloom.files import ranges

    monkeypatch.setattr(ranges, "_MOST_OPEN", 2)
    opened = Corpus.open(packed(corpus, tmp_path / "s", shard_bytes=1))
    before = num_open()
    for _ in range(2):
        for item in opened:
            opened.load(item)
    assert num_open() == before + 2
    opened.shards._reader.close()
    assert num_open() == before


def test_corpora_that_others_make_of_a_packed_one_hold_its_landmarks(shards, tmp_path):
    opened = Corpus.open(shards)
    with CorpusWriter(tmp_path / "c", {}) as writer:
        for item in opened:
            writer.add(item.id, split=item.split, signer=item.signer, glosses=item.glosses, landmarks=opened.file(item))
    made = Corpus.open(tmp_path / "c")
    for item in made:
        assert Landmarks.load(tmp_path / "c" / item.landmarks).points.tobytes() == opened.load(item).points.tobytes()


def test_sizes_of_members_are_padded_as_tar_does():
    assert [blocks(size) for size in (0, 1, 512, 513)] == [0, 512, 512, 1024]
    assert [archive_bytes(size) for size in (0, 9216, 9728)] == [10240, 10240, 20480]
    assert len(header_of("a.npz", 5)) == 512
    assert ROW.itemsize == 40
