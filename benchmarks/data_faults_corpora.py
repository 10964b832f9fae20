"""The healthy corpora of `data_faults.py`: simulated, composed of real clips, and real clips as they are."""

from __future__ import annotations

import contextlib
import io
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

# Makes a corpus in a folder.
Maker = Callable[[Path], None]
# Size of the camera of the recordings of `people`, where it is not 640x480.
WIDE = {"p6": "1280x720"}
PEOPLE = tuple(f"p{number}" for number in range(1, 8))
GROUPS = ("dmohazab", "TheCamNelson", "Alex")
# Clips of each person and gloss, so that no corpus is large.
CLIPS_PER_GLOSS = {"p5": 4, "p4": 15}


@contextmanager
def quiet() -> Iterator[None]:
    """Progress and messages of the block go nowhere."""
    with (
        Path(os.devnull).open("w") as nothing,
        contextlib.redirect_stderr(nothing),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        yield


def healthy(data: Path, work: Path) -> dict[str, Maker]:
    """Returns the makers of 62 healthy corpora by name.

    data: the folder with `asl_words` and `people`.  work: where the imported clips are kept.
    """
    makers: dict[str, Maker] = {}
    for preset in ("clean", "easy", "phoenix", "hard"):
        for seed in range(6):
            makers[f"simulated-{preset}-{seed}"] = _simulated(preset, seed)
    for held_out in ("", *GROUPS):
        for seed in range(3):
            makers[f"composed-{held_out or 'all'}-{seed}"] = _composed(data, work, held_out, seed)
    for seed in range(3):
        makers[f"composed-signwish-{seed}"] = _composed(data, work, "", seed, source="signwish_asl")
    for group in GROUPS:
        for half in range(2):
            makers[f"isolated-{group}-{half}"] = _isolated(data, work, group, half)
    for person in PEOPLE:
        makers[f"people-{person}"] = _of_people(data, work, {person: "train"})
        others = {other: "dev" if other == person else "train" for other in PEOPLE}
        makers[f"people-without-{person}"] = _of_people(data, work, others)
    for seed in range(3):
        makers[f"people-composed-{seed}"] = _composed_people(data, work, seed)
    return makers


def made(work: Path, name: str, make: Maker) -> Path:
    """Returns the folder of a corpus, made if it is not there."""
    root = work / "corpora" / name
    if not (root / "corpus.json").exists():
        with quiet():
            make(root)
    return root


def _simulated(preset: str, seed: int) -> Maker:
    from signloom.synth.corpus import synthesise
    from signloom.synth.options import SynthOptions

    options = SynthOptions(
        preset=preset,  # type: ignore[arg-type]
        num_signs=12,
        num_signers=5,
        num_test_signers=1,
        num_train=40,
        num_dev=10,
        num_test=10,
        fps=(25.0, 30.0)[seed % 2],
        image_size=("640x480", "1280x720", "210x260")[seed % 3],
        seed=seed,
    )
    return lambda root: _done(synthesise(options, root))


def _signs(data: Path, work: Path, source: str) -> Path:
    from signloom.importers import holistic

    root = work / "corpora" / source
    if not (root / "corpus.json").exists():
        with quiet():
            holistic.run(holistic.Options(sources=[data / "asl_words" / f"{source}.npz"], output=root))
    return root


def _composed(data: Path, work: Path, held_out: str, seed: int, source: str = "traduttore_asl") -> Maker:
    from signloom.compose import ComposeOptions, compose
    from signloom.corpus import Corpus

    def make(root: Path) -> None:
        options = ComposeOptions(
            held_out=[held_out] if held_out else [], num_train=40, num_dev=12, num_test=12, seed=seed
        )
        compose(Corpus.open(_signs(data, work, source)), root, options)

    return make


def _isolated(data: Path, work: Path, group: str, half: int) -> Maker:
    """Every sixth clip of a group, in three splits."""

    def make(root: Path) -> None:
        from signloom.corpus import Corpus

        items = [item for item in Corpus.open(_signs(data, work, "traduttore_asl")) if item.signer == group]
        splits = ("train", "train", "train", "dev", "test")
        _selected(
            _signs(data, work, "traduttore_asl"),
            {item.id: splits[number % 5] for number, item in enumerate(items[half::6])},
            root,
        )

    return make


def _people(data: Path, work: Path) -> Path:
    """The clips of all people as one corpus, each at the size of its own camera."""
    from signloom.corpus import Corpus, CorpusWriter
    from signloom.importers.convert_landmarks import CameraInfo
    from signloom.importers.holistic import read_clips

    root = work / "corpora" / "people"
    if (root / "corpus.json").exists():
        return root
    sizes = {"narrow": (640, 480), "wide": (1280, 720)}
    with quiet(), CorpusWriter(root, {"name": "people"}, overwrite=True) as writer:
        for kind, size in sizes.items():
            for clip, landmarks in read_clips(data / "people" / "people.npz", CameraInfo(None, size, None)):
                if (clip.signer in WIDE) == (kind == "wide"):
                    writer.add(clip.id, split="train", signer=clip.signer, glosses=(clip.gloss,), landmarks=landmarks)
    return Corpus.open(root).root


def _of_people(data: Path, work: Path, splits: Mapping[str, str]) -> Maker:
    def make(root: Path) -> None:
        from signloom.corpus import Corpus

        source = _people(data, work)
        counts: dict[tuple[str, str], int] = defaultdict(int)
        chosen = {}
        for item in Corpus.open(source):
            signer, gloss = str(item.signer), item.glosses[0]
            counts[signer, gloss] += 1
            limit = CLIPS_PER_GLOSS.get(signer, 20) // (1 if len(splits) == 1 else 2)
            if signer in splits and counts[signer, gloss] <= limit:
                chosen[item.id] = splits[signer]
        _selected(source, chosen, root)

    return make


def _composed_people(data: Path, work: Path, seed: int) -> Maker:
    from signloom.compose import ComposeOptions, compose
    from signloom.corpus import Corpus

    # Of known signers, as when the thresholds were chosen.
    options = ComposeOptions(
        held_out=[PEOPLE[2 + seed]],
        dev_signers=["known"],
        num_train=40,
        num_dev=12,
        num_test=12,
        min_glosses=2,
        max_glosses=5,
        seed=seed,
    )
    return lambda root: _done(compose(Corpus.open(_people(data, work)), root, options))


def _selected(source: Path, splits: Mapping[str, str], root: Path) -> None:
    """Writes the clips that `splits` names, in these splits."""
    from signloom.corpus import Corpus, CorpusWriter

    corpus = Corpus.open(source)
    with CorpusWriter(root, {"name": root.name}) as writer:
        for item in corpus:
            if item.id in splits:
                path = corpus.root / item.landmarks
                writer.add(item.id, split=splits[item.id], signer=item.signer, glosses=item.glosses, landmarks=path)


def _done(result: object) -> None:
    """Makes an expression with a result a maker."""
