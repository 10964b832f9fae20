"""Corpora in object storage: the same as in a folder, whole at every moment, read through local copies."""

import json
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import buckets
from conftest import TINY_SIGNS, random_landmarks
from signloom.cli import dispatch
from signloom.corpus import Corpus, CorpusWriter, NoCorpusError
from signloom.corpus.packing import pack, plan_shards, unpack
from signloom.errors import InputError
from signloom.files import cache, copies, scratch, storage
from signloom.files.leases import held
from signloom.files.locks import LockedError
from signloom.files.urls import Url

pytestmark = [buckets.needs_s3]


def write(root, *, seed=0, count=6, **options):
    """Writes a corpus whose clips depend on `seed`."""
    with CorpusWriter(root, {"name": f"number {seed}"}, **options) as writer:
        for number in range(count):
            writer.add(
                f"clip.{number}/ä",
                split=("train", "dev", "test")[number % 3],
                signer="A",
                glosses=list(TINY_SIGNS)[: 1 + number % 3],
                landmarks=random_landmarks(5 + number, seed=100 * seed + number),
            )
        writer.leave_out([{"id": "gone", "reason": "damaged"}])
    return root


def told(corpus: Corpus) -> dict:
    """All that a corpus says, with the points of its clips."""
    return {
        "info": {name: value for name, value in corpus.info.items() if name != "content"},
        "utterances": [utterance.to_json() for utterance in corpus],
        "points": [corpus.load(utterance).points.tobytes() for utterance in corpus],
    }


def upload(folder, url):
    for path in folder.rglob("*"):
        if path.is_file() and ".signloom" not in str(path):
            storage.upload(path, url / path.relative_to(folder).as_posix())


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Called, it stands for another machine: nothing is copied there yet."""
    machines = iter(range(100))

    def move():
        monkeypatch.setenv(scratch.VARIABLE, str(tmp_path / f"machine-{next(machines)}"))

    return move


@pytest.fixture
def local(tmp_path):
    return write(tmp_path / "local")


def test_a_corpus_by_url_is_the_same_as_in_a_folder(bucket, local, elsewhere):
    url = write(bucket / "corpus")
    there = told(Corpus.open(local))
    assert told(Corpus.open(url)) == there
    elsewhere()
    corpus = Corpus.open(str(url))
    assert told(corpus) == there
    assert (str(corpus.root), corpus.name) == (f"{bucket}/corpus", "number 0")
    # In a worker process as well.
    assert told(pickle.loads(pickle.dumps(corpus))) == there
    assert corpus.file(corpus.utterances[0]).place.startswith(f"{bucket}/corpus/version-")
    assert (corpus.folder / "left_out.jsonl").is_file()


def test_what_was_read_once_is_read_from_the_local_copy(bucket, elsewhere):
    url = write(bucket / "corpus")
    elsewhere()
    corpus = Corpus.open(url)
    first = told(corpus)
    storage.remove([url / name for name in storage.listing(url) if name.endswith(".npz")])
    assert told(corpus) == first
    assert told(Corpus.open(url)) == first
    elsewhere()
    with pytest.raises(InputError, match=r"landmarks/.*no such object or bucket; if it was there, it was replaced"):
        told(Corpus.open(url))


def test_copies_that_are_removed_are_fetched_again(bucket, monkeypatch, elsewhere):
    url = write(bucket / "corpus")
    elsewhere()
    corpus = Corpus.open(url)
    first = told(corpus)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_GRACE_SECONDS", -1)
        patch.setenv(cache.VARIABLE, "1e-6")
        cache.trim()
    assert not list(cache.copies_folder().rglob("*.npz"))
    assert told(corpus) == first

    monkeypatch.setattr(copies.Copied, "path", lambda self, name: self.folder / "gone")
    with pytest.raises(InputError, match="copies are removed before they are read; raise SIGNLOOM_CACHE_GB"):
        corpus.load(corpus.utterances[0])


def test_a_folder_that_other_tools_uploaded_is_a_corpus(bucket, local, elsewhere):
    url = bucket / "copied"
    upload(local, url)
    assert told(Corpus.open(url)) == told(Corpus.open(local))
    # A landmark file that changes is noticed without another manifest.
    names = sorted(name for name in storage.listing(url) if name.endswith(".npz"))
    random_landmarks(5, seed=77).save(url / names[0])
    assert told(Corpus.open(url))["points"] != told(Corpus.open(local))["points"]
    storage.remove([url / names[1]])
    with pytest.raises(InputError, match=rf"{url}/manifest.jsonl: 1 fault\n  landmark file {names[1]} is missing"):
        Corpus.open(url)


def test_a_downloaded_copy_is_a_corpus(bucket, tmp_path):
    url = write(bucket / "corpus")
    for name in storage.listing(url):
        target = tmp_path / "down" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        storage.fetch(url / name, target)
    assert told(Corpus.open(tmp_path / "down")) == told(Corpus.open(url))


def test_places_without_a_corpus(bucket):
    for place in (bucket / "nothing", Url("s3://no-such-bucket/corpus")):
        with pytest.raises(NoCorpusError, match=f"{place}: no such bucket, or no finished corpus there"):
            Corpus.open(place)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("../other", "content is '../other'; needed version- and 32"),
        ([1], "content is '[1]'; needed version- and 32"),
        ("version-" + "0" * 32, "its header names a corpus that is not there"),
    ],
)
def test_headers_that_name_no_corpus(bucket, content, message):
    storage.write(bucket / "c" / "corpus.json", json.dumps({"content": content}).encode())
    with pytest.raises(InputError, match=re.escape(message)):
        Corpus.open(bucket / "c")


def test_a_corpus_is_replaced_only_on_request(bucket):
    url = write(bucket / "corpus")
    with pytest.raises(InputError, match=f"{url}: already has a corpus; choose another URL or pass --overwrite"):
        write(url, seed=1)
    write(url, seed=1, overwrite=True)
    assert Corpus.open(url).name == "number 1"
    # Of the old one nothing is left.
    assert len({name.split("/")[0] for name in storage.listing(url)}) == 2


def test_one_process_writes_a_corpus(bucket):
    with held(bucket / "corpus"), pytest.raises(LockedError, match="another process writes here"):
        write(bucket / "corpus")


def test_a_reader_sees_the_old_corpus_until_the_new_is_whole(bucket, monkeypatch, elsewhere):
    url = write(bucket / "corpus")
    elsewhere()
    old = told(Corpus.open(url))
    real, uploads = storage.upload, []

    def failing(path, target):
        uploads.append(target)
        if len(uploads) > fails_after:
            raise InputError("the storage cannot be reached")
        real(path, target)

    monkeypatch.setattr(storage, "upload", failing)
    monkeypatch.setattr(storage, "AT_A_TIME", 1)
    fails_after = 5
    with pytest.raises(InputError, match="cannot be reached"):
        write(url, seed=1, overwrite=True)
    assert told(Corpus.open(url)) == old
    uploads.clear()
    fails_after = 100
    write(url, seed=1, overwrite=True)
    # Nine files; five of them are there.
    assert len(uploads) == 4
    elsewhere()
    assert Corpus.open(url).name == "number 1"
    assert len(told(Corpus.open(url))["points"]) == 6


WRITING = """
import sys
sys.path.insert(0, sys.argv[2])
from test_corpus_stored import write
from signloom.files.urls import Url
print("begin", flush=True)
write(Url(sys.argv[1]), seed=1, count=60, overwrite=True)
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_the_old_corpus(bucket, tmp_path):
    url = write(bucket / "corpus")
    old = told(Corpus.open(url))
    killed = 0
    for number in range(8):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", WRITING, str(url), Path(__file__).parent],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        process.stdout.readline()
        start = time.monotonic()
        # While it uploads: from its first object on, at moments that differ.
        while process.poll() is None and time.monotonic() < start + 60:
            there = [name for name in storage.listing(url) if name.endswith(".npz")]
            if len(there) > 6 + 6 * number:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        name = Corpus.open(url).name
        assert name in ("number 0", "number 1")
        if name == "number 1":
            break
        killed += 1
        assert told(Corpus.open(url)) == old
    assert killed >= 1
    write(url, seed=1, count=60, overwrite=True)
    new = told(Corpus.open(url))
    assert new == told(Corpus.open(write(tmp_path / "same", seed=1, count=60)))
    assert sum(name.endswith(".npz") for name in storage.listing(url)) == 60


def test_a_packed_corpus_by_url(bucket, local, tmp_path, elsewhere):
    corpus = Corpus.open(local)
    url = bucket / "shards"
    pack(corpus, url, plan_shards(corpus, shard_bytes=100_000, seed=0))
    elsewhere()
    packed = Corpus.open(url)
    assert not list(packed.folder.glob("*.tar"))
    assert told(packed) == told(corpus)
    assert len(list(packed.folder.glob("*.tar"))) == len(packed.shards.shards) == 3
    elsewhere()
    unpack(Corpus.open(url), tmp_path / "folder")
    assert told(Corpus.open(tmp_path / "folder")) == told(corpus)
    unpack(Corpus.open(url), bucket / "folder")
    assert told(Corpus.open(bucket / "folder")) == told(corpus)
    (shard, *_) = sorted(name for name in storage.listing(url) if name.endswith(".tar"))
    storage.write(url / shard, b"short")
    elsewhere()
    with pytest.raises(InputError, match=f"{url}/{shard}: 5 bytes, shards.json says .*: it is cut off"):
        Corpus.open(url)
    storage.remove([url / shard])
    with pytest.raises(InputError, match=f"{url}/{shard}: this shard is missing"):
        Corpus.open(url)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_presets")
def test_a_model_is_trained_and_evaluated_by_url(bucket, tiny_corpus, tmp_path, capsys, elsewhere):
    load_file = pytest.importorskip("safetensors.torch", reason="training needs the extra 'train'").load_file
    url = bucket / "tiny"
    upload(tiny_corpus, url)
    results = {}
    opened = Corpus.open(tiny_corpus)
    pack(opened, bucket / "shards", plan_shards(opened, shard_bytes=10**9, seed=0))
    for name, data_dir in (("url", url), ("packed", bucket / "shards"), ("folder", tiny_corpus)):
        elsewhere()
        out = tmp_path / name
        flags = ["--preset", "tiny", "--epochs", "2", "--batch_size", "8", "--seed", "3", "--output", str(out)]
        assert dispatch(["train", "--data_dir", str(data_dir), *flags]) == 0
        # The corpus is the one that the run recorded.
        assert dispatch(["evaluate", str(out)]) == 0
        weights = {key: tensor.tolist() for key, tensor in load_file(out / "model.safetensors").items()}
        results[name] = weights, json.loads((out / "evaluation-test.json").read_text())["wer"]
    assert results["url"] == results["packed"] == results["folder"]
    assert json.loads((tmp_path / "url" / "run.json").read_text())["corpus"]["path"] == str(url)
    assert f"corpus: {url}\n" in capsys.readouterr().err
    assert dispatch(["verify", "--data_dir", str(url), "--model", "tiny"]) in (0, 1)
    assert dispatch(["doctor", str(url), "--suite", "data"]) in (0, 1)
    assert f"corpus {url}: 26 utterances" in capsys.readouterr().out


@pytest.fixture
def run(run_command):
    """Runs a command that succeeds, or has the exit `status`, and returns what it said."""

    def run(*arguments, status=0) -> str:
        result = run_command(*arguments)
        assert result.status == status, result.err
        return result.out + result.err

    return run


def test_commands_write_and_pack_corpora_by_url(bucket, tmp_path, run):
    url = bucket / "signing"
    options = [
        "--num_train",
        "6",
        "--num_dev",
        "2",
        "--num_test",
        "2",
        "--num_signs",
        "6",
        "--num_signers",
        "3",
        "--num_test_signers",
        "1",
    ]
    said = run("synth", "--output", url, *options)
    assert f"next: signloom train --data_dir {url}" in said
    assert re.search(rf"uploading 12 files, [0-9.]+ MB, to {url}", said)
    run("synth", "--output", tmp_path / "local", *options)
    assert told(Corpus.open(url)) | {"info": 0} == told(Corpus.open(tmp_path / "local")) | {"info": 0}
    said = run("pack", url, "--output", bucket / "shards")
    assert f"{bucket}/shards: 10 utterances" in said
    said = run("unpack", bucket / "shards", "--output", tmp_path / "unpacked")
    assert told(Corpus.open(tmp_path / "unpacked")) == told(Corpus.open(url))
    said = run("pack", url, "--output", url, "--overwrite", status=2)
    assert f"--output {url}: is an input of this command (corpus {url})" in said


def test_imports_from_object_storage(bucket, tmp_path, run):
    source = tmp_path / "source"
    (source / "landmarks").mkdir(parents=True)
    for split, ids in (("train", ("01_0001", "01_0002")), ("dev", ("02_0001",))):
        rows = [f"{id}|HELLO WORLD" for id in ids]
        (source / f"{split}.csv").write_text("\n".join(["id|gloss", *rows]) + "\n", encoding="utf-8")
        for number, id in enumerate(ids):
            random_landmarks(5, seed=number).save(source / "landmarks" / f"{id}.npz")
    (source / "landmarks" / "failed.jsonl").write_text("")
    upload(source, bucket / "source")

    def imported(place, output):
        annotations = ",".join(f"{place}/{split}.csv" for split in ("train", "dev"))
        return run(
            "import", "isharah", "--annotations", annotations, "--landmarks", f"{place}/landmarks", "--output", output
        )

    said = imported(bucket / "source", bucket / "corpus")
    assert f"{bucket}/corpus: 3 clips" in said or f"{bucket}/corpus: 3 utterances" in said
    imported(source, tmp_path / "corpus")
    assert told(Corpus.open(bucket / "corpus")) == told(Corpus.open(tmp_path / "corpus"))
    # What was fetched is gone.
    assert list((tmp_path / "cache" / "scratch").iterdir()) == []
    storage.remove([bucket / "source" / "landmarks" / "01_0002.npz"])
    places = ["--annotations", f"{bucket}/source/train.csv", "--landmarks", f"{bucket}/source/landmarks"]
    said = run("import", "isharah", *places, "--splits", "train", "--output", tmp_path / "other", status=2)
    assert f"no landmark file 01_0002.npz under {bucket}/source/landmarks" in said
    said = run(
        "import", "isharah", "--annotations", f"{bucket}/none.csv", "--landmarks", source, "--output", "x", status=2
    )
    assert f"{bucket}/none.csv: no such object or folder" in said
    assert not (tmp_path / "other").exists()


def test_corpora_are_merged_by_url(bucket, tmp_path, run):
    for number in (1, 2):
        write(bucket / f"corpus-{number}", seed=number)
    run("import", "merge", bucket / "corpus-1", bucket / "corpus-2", "--output", bucket / "both")
    assert len(told(Corpus.open(bucket / "both"))["points"]) == 12


@pytest.mark.parametrize("name", ["../../leaves", "/etc/leaves"])
def test_objects_that_leave_their_folder_are_refused(bucket, tmp_path, monkeypatch, name):
    monkeypatch.setattr(storage, "listing", lambda url: {name: storage.Stored(1, "")})
    with pytest.raises(InputError, match="leaves its folder"):
        dispatch(["import", "clips", f"{bucket}/x", "--output", str(tmp_path / "out")])


def test_what_the_disk_has_no_room_for_is_not_fetched(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "listing", lambda url: {"a.npz": storage.Stored(10**18, "")})
    with pytest.raises(InputError, match=r"1,000,000,000,000 MB, and .* has room for .* with SIGNLOOM_CACHE"):
        dispatch(["import", "clips", f"{bucket}/x", "--output", str(tmp_path / "out")])
