"""`--backend ray` on nodes of this machine: same bytes, deaths, nodes that are no use, and bad addresses."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ray_nodes
import waving
from signloom.files.locks import LOCK, locked

pytest.importorskip("mediapipe", reason="extraction needs the extra 'extract'", exc_type=ImportError)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(ray_nodes.why_not()), reason=ray_nodes.why_not()),
]
SYNTH = ["--preset", "phoenix", "--num_train", "70", "--num_dev", "2", "--num_test", "2", "--num_signs", "8"]
# What Python imports at its start, on a machine that lacks a system library.
NO_LIBGL = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name in ("cv2", "mediapipe.python"):
            raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")

sys.meta_path.insert(0, Without())
"""


def start(command, *arguments, cluster=None):
    words = [sys.executable, "-m", "signloom", command, *map(str, arguments)]
    environment = dict(os.environ)
    if cluster is not None:
        words += ["--backend", "ray", "--address", cluster.address]
        environment |= cluster.environment
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def run(command, *arguments, cluster=None):
    process = start(command, *arguments, cluster=cluster)
    out, err = process.communicate(timeout=500)
    assert "Traceback" not in err
    return process.returncode, out, err


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.npz")}


def wait_until(condition, process, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended early: {process.communicate()}"
        assert time.monotonic() < end
        time.sleep(0.05)


def films(folder, count, frames):
    for number in range(count):
        waving.write_video(folder / f"{number:02d}.mp4", frames, person=False)


@pytest.fixture(scope="module")
def three():
    """Three nodes with a CPU each."""
    with ray_nodes.cluster() as cluster:
        for _ in range(2):
            cluster.add()
        cluster.wait_for_all()
        yield cluster


def test_clips_survive_an_actor_and_a_node_and_have_the_bytes_of_this_machine(three, tmp_path):
    films(tmp_path / "in", 16, 40)
    (tmp_path / "in" / "text.mp4").write_text("no video\n")
    here, there = tmp_path / "here", tmp_path / "there"
    assert run("extract", tmp_path / "in", "--output", here, "--workers", 2)[0] == 1
    process = start("extract", tmp_path / "in", "--output", there, cluster=three)
    wait_until(lambda: len(list(there.glob("*.npz"))) >= 1, process)
    assert three.kill_actor(0)
    wait_until(lambda: len(list(there.glob("*.npz"))) >= 4, process)
    three.nodes.pop().kill()
    three.add()
    out, err = process.communicate(timeout=500)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    assert content(there) == content(here)
    assert len(content(there)) == 16
    # The same failure, for the same reason, and nothing else is left there.
    reasons = [json.loads((folder / "failed.jsonl").read_text()) for folder in (here, there)]
    assert reasons[0] == reasons[1]
    assert {path.name for path in there.iterdir()} == {path.name for path in here.iterdir()}
    assert "1 death" in err
    assert "raylet" not in out
    # What is done is not done again; another driver keeps out.
    assert "16 already done, 1 to extract" in run("extract", tmp_path / "in", "--output", there, cluster=three)[2]
    with locked(there):
        status, _, err = run("extract", tmp_path / "in", "--output", there, cluster=three)
    assert status == 2
    assert "another process writes here" in err


def test_a_simulated_corpus_has_the_bytes_of_this_machine(three, tmp_path):
    assert run("synth", "--output", tmp_path / "here" / "corpus", *SYNTH)[0] == 0
    status, _, err = run("synth", "--output", tmp_path / "there" / "corpus", *SYNTH, cluster=three)
    assert status == 0, err
    here, there = tmp_path / "here", tmp_path / "there"
    files = [path.relative_to(here) for path in sorted(here.rglob("*")) if path.is_file()]
    assert files == [path.relative_to(there) for path in sorted(there.rglob("*")) if path.is_file()]
    assert all((here / name).read_bytes() == (there / name).read_bytes() for name in files)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can show a node other files than this machine"
)
def test_nodes_that_cannot_do_the_work_are_named_once_and_the_others_do_it(tmp_path):
    films(tmp_path / "in" / "a", 3, 2)
    films(tmp_path / "in" / "b", 6, 2)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "sitecustomize.py").write_text(NO_LIBGL)
    out = tmp_path / "out"
    (out / "b").mkdir(parents=True)
    command = ("extract", tmp_path / "in", "--output", out)
    with ray_nodes.cluster(cpus=0) as cluster:
        for node in (
            {"environment": {"PYTHONPATH": f"{tmp_path / 'lib'}:{os.environ.get('PYTHONPATH', '')}"}},
            {"before": f"mount -t tmpfs none {tmp_path / 'in' / 'b'}"},
            {"before": f"mount -t tmpfs -o size=4k none {out / 'b'} && echo full > {out / 'b' / 'full'}"},
            {"before": f"mount -t tmpfs none {out}"},
        ):
            cluster.add(**node)
        cluster.wait_for_all()
        status, _, err = run(*command, cluster=cluster)
        assert status == 2
        advice, reasons = err.split("no node can do the work:")
        wanted = ("libGL", f"does not see {tmp_path / 'in' / 'b'}", "No space left", f"does not see {out}")
        assert [sum(reason in line for line in reasons.splitlines()) for reason in wanted] == [1, 1, 1, 1], err
        assert advice.count("gets no work: ") <= 4
        cluster.add()
        status, _, err = run(*command, cluster=cluster)
    assert status == 0, err
    assert len(content(out)) == 9
    assert not (out / "failed.jsonl").exists()


def test_a_cluster_of_another_python_is_refused(three, tmp_path):
    films(tmp_path / "in", 1, 2)
    code = (
        "import sys, json\n"
        "from ray._raylet import GcsClient\n"
        "client = GcsClient(address=sys.argv[1])\n"
        "old = client.internal_kv_get(b'CLUSTER_METADATA', b'cluster')\n"
        "new = json.dumps({**json.loads(old), 'python_version': '3.9.1'}).encode()\n"
        "value = new if len(sys.argv) < 3 else sys.argv[2].encode()\n"
        "client.internal_kv_put(b'CLUSTER_METADATA', value, True, b'cluster')\n"
        "print(old.decode())"
    )

    def put(*words):
        command = [sys.executable, "-c", code, three.address, *words]
        return subprocess.run(
            command, env={**os.environ, **three.environment}, capture_output=True, text=True, check=True
        ).stdout.strip()

    old = put()
    try:
        status, _, err = run("extract", tmp_path / "in", "--output", tmp_path / "out", cluster=three)
    finally:
        put(old)
    assert status == 2
    assert "the cluster has another Python or Ray than this machine" in err
    assert "3.9.1" in err


def test_a_ray_of_the_run_is_open_to_this_machine_alone_and_a_stop_leaves_nothing_unfinished(tmp_path):
    films(tmp_path / "in", 4, 60)
    out = tmp_path / "out"
    arguments = (tmp_path / "in", "--output", out, "--workers", 1, "--backend", "ray")
    process = start("extract", *arguments)
    wait_until(lambda: list(out.glob("*.npz")), process)
    # 127.0.0.1, also as an address of IPv6.
    open_to = ray_nodes.listening(ray_nodes.processes_of(process.pid))
    assert open_to
    assert open_to <= {"0100007F", "0000000000000000FFFF00000100007F"}
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    assert "signloom: terminated" in err
    assert "Traceback" not in err
    assert {path.suffix for path in out.iterdir() if path.name != LOCK} == {".npz"}
    assert not list(Path("/tmp").glob(f"signloom-ray-{process.pid}-*"))


def test_a_port_that_is_not_ray_is_refused(tmp_path):
    films(tmp_path / "in", 1, 2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ("extract", tmp_path / "in", "--output", tmp_path / "out", "--backend", "ray", "--address")
    status, _, err = run(*command, f"127.0.0.1:{port}")
    assert status == 2
    assert f"--address 127.0.0.1:{port}: no Ray cluster answers there" in err
