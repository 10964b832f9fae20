"""What each technique gives the student: one change from plain CTC at a time, on few real and on simulated clips.

python benchmarks/ablation.py --source traduttore_asl.npz

Corpora, each made anew for every seed:
- asl_dmohazab, asl_TheCamNelson: --num_train utterances of 3 to 8 signs composed from 4 clips a sign of that one group
  (see composed_asl.py for the source), scored on utterances of Alex, whom training never has. The default follows this
  table, so it is made of other data than the published figures: those are of dmohazab and TheCamNelson unseen, none is
  of Alex. (Alex has 6 of the 16 words: the figures say which setting is better, not how good it is.)
- simulated: `signloom synth` with the preset phoenix, 60 signs and as many training utterances, scored on its two
  unseen signers. Seeds from 100 on: lexicon, signers and sentences are not those of a published figure.

Difference: the WER of the setting minus that of the base, in points, below 0 where the setting is better; both have
the same data and seed. The base is the default without its two views and its auxiliary head. The interval: 95 %
percentile bootstrap in which the seeds are drawn, and within each the utterances, both sides' together; over all
corpora it is of the mean of the corpora's differences. Twenty settings are compared: one of them is expected outside of
its interval by chance alone, and a few seeds make a rough interval.

A run that is done is not done again: it lies in --work, which several processes may share once the corpora are made
(--settings plain). --show makes the table of what is there.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import common
import numpy as np
from composed_asl import signs_corpus

UNSEEN = "Alex"
FEW_CLIPS = 4
SIMULATED_SEED = 100
CORPORA = ("asl_dmohazab", "asl_TheCamNelson", "simulated")
# Enough that the default errs little on signers it has seen, in about a minute: signs made anew each time take longer
# to learn than a few clips.
EPOCHS = {"asl_dmohazab": 10, "asl_TheCamNelson": 10, "simulated": 24}
RESAMPLES = 2000


@dataclass(frozen=True)
class Setting:
    """One change from the base.

    recipe, augmentation: options of training.  motion: False takes the differences between frames out of the features.
    mirror: `test` shows clips in which the left hand leads to the base's model in a mirror, `all` to training too.
    """

    text: str
    recipe: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, float] = field(default_factory=dict)
    motion: bool = True
    mirror: str = ""


BASE = "plain"
SETTINGS = {
    BASE: Setting("one view, plain CTC"),
    "no_augmentation": Setting("no augmentation", {"augment": False}),
    "no_tempo": Setting("tempo as it is", augmentation={"retime": 0, "warp": 0}),
    "more_tempo": Setting("tempo 0.5 to 1.5", augmentation={"retime": 0.5}),
    "no_drop_frames": Setting("no frames left out", augmentation={"drop_frames": 0}),
    "more_drop_frames": Setting("up to 25 % of frames left out", augmentation={"drop_frames": 0.25}),
    "no_camera": Setting(
        "no other camera (rotation, yaw, stretch)", augmentation={"rotate_degrees": 0, "yaw_degrees": 0, "stretch": 0}
    ),
    "no_proportions": Setting("proportions as they are", augmentation={"proportions": 0}),
    "no_place": Setting("hands sign where they do", augmentation={"place": 0}),
    "no_hand_rotate": Setting("hands turned as they are", augmentation={"hand_rotate_degrees": 0}),
    "no_jitter": Setting("no jitter", augmentation={"jitter": 0}),
    "no_drop_hand": Setting("no hand lost", augmentation={"drop_hand": 0}),
    "no_drop_face": Setting("no face lost", augmentation={"drop_face": 0}),
    "mirror": Setting("half of the clips mirrored", augmentation={"mirror": 0.5}),
    "auxiliary_head": Setting("auxiliary head", {"auxiliary_head": True}),
    "cosine": Setting("cosine classifier", {"classifier": "cosine"}),
    "auxiliary_cosine": Setting(
        "auxiliary head and cosine classifier", {"auxiliary_head": True, "classifier": "cosine"}
    ),
    "consistency": Setting("consistency of two views", {"consistency": 2.0}),
    "auxiliary_consistency": Setting(
        "auxiliary head and two views (the default)", {"auxiliary_head": True, "consistency": 2.0}
    ),
    "share_hands": Setting("one encoder for both hands", {"share_hands": True}),
    "no_motion": Setting("no motion features", motion=False),
    "mirrored_test": Setting("in test, mirrored where the left hand leads", mirror="test"),
    "mirrored_all": Setting("in training and test, mirrored where the left hand leads", mirror="all"),
    "full_view": Setting("full view (all 543 points)", {"preset": "student_full"}),
    "teacher_compact": Setting("teacher on the student's points", {"preset": "teacher_compact"}),
    "teacher": Setting("teacher on all 543 points", {"preset": "teacher"}),
    "teacher_original": Setting("teacher of stride 16, all points", {"preset": "teacher_original"}),
}
# Several times as slow as the rest, and asked for by name.
SLOW = ("full_view", "teacher_compact", "teacher", "teacher_original")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--source", type=Path, help="the .npz packing; not needed for the simulated corpus")
    parser.add_argument("--work", type=Path, default=Path("runs/ablation"), help="corpora and results")
    quick = [name for name in SETTINGS if name not in SLOW]
    parser.add_argument(
        "--settings", nargs="+", default=quick, choices=SETTINGS, metavar="NAME", help=", ".join(SETTINGS)
    )
    parser.add_argument("--corpora", nargs="+", default=list(CORPORA), choices=CORPORA)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of data and training")
    parser.add_argument("--epochs", type=int, help="10 on composed, 24 on simulated signing when not given")
    parser.add_argument("--num_train", type=int, default=600, help="training utterances")
    parser.add_argument("--num_dev", type=int, default=100, help="of the signers in training: they choose the epoch")
    parser.add_argument("--num_test", type=int, default=150, help="of unseen signers: what is scored")
    parser.add_argument("--show", action="store_true", help="train nothing, make the table of the runs that are there")
    options = parser.parse_args()
    if options.source is None and not options.show and any(name != "simulated" for name in options.corpora):
        parser.error("--source is needed for the corpora of ASL; give it, or --corpora simulated")
    names = [BASE, *(name for name in options.settings if name != BASE)]
    runs: dict[tuple[str, str, int], dict[str, Any]] = {}
    for seed in options.seeds:
        for name in names:
            for corpus in options.corpora:
                run = run_once(options, name, corpus, seed)
                if run is not None:
                    runs[name, corpus, seed] = run
                    print(
                        f"{name}, {corpus}, seed {seed}: {run['wer']:.1%}, {run['training_seconds']:.0f} s", flush=True
                    )
    rows = [row for name in names if (row := compared(options, name, runs))]
    show(options, rows)
    common.finish(options, {"table": rows, "runs": [{**run, "errors": None} for run in runs.values()]})


def run_once(options: Any, name: str, corpus_name: str, seed: int) -> dict[str, Any] | None:
    """The scores of one training run, taken from the work folder if they are there; None where only to be shown."""
    setting = SETTINGS[name]
    if setting.mirror == "test":
        run = run_once(options, BASE, corpus_name, seed)
        return run and {**run, **run["mirrored"]}
    settings = {
        "setting": json.loads(json.dumps(asdict(setting))),
        "corpus": corpus_name,
        "seed": seed,
        "epochs": options.epochs or EPOCHS[corpus_name],
        **{key: getattr(options, key) for key in ("num_train", "num_dev", "num_test")},
    }
    folder = options.work / "runs" / f"{name}-{corpus_name}-{seed}"
    path = folder / "result.json"
    if options.show and not path.exists():
        return None

    def make() -> dict[str, Any]:
        from signloom.train.augmentation import AugmentationConfig
        from signloom.train.fit import fit
        from signloom.train.recipe import Recipe

        corpus = corpus_of(options, corpus_name, seed)
        mirrored = right_leads(corpus)
        training = corpus if setting.mirror == "" else mirrored
        recipe = Recipe(
            data_dir=corpus.root,
            output=folder / "run",
            seed=seed,
            epochs=settings["epochs"],
            overwrite=True,
            augmentation=replace(AugmentationConfig(), **setting.augmentation),
            **{"consistency": 0.0, "auxiliary_head": False, **setting.recipe},
        )
        with contextlib.nullcontext() if setting.motion else without_motion():
            trained = fit(recipe, corpus=training)
        result = {
            **scored(trained.model, training),
            "dev_wer": trained.history.best.dev_wer if trained.history.best else None,
            "training_seconds": trained.seconds,
            "parameters": trained.model.engine.recognizer.num_parameters,
        }
        if name == BASE:
            result["mirrored"] = scored(trained.model, mirrored)
        shutil.rmtree(folder / "run")
        return result

    return common.once(path, settings, make)


def scored(model: Any, corpus: Any) -> dict[str, Any]:
    from signloom.ctc.decoding import Decoding
    from signloom.inference.evaluate import evaluate

    score = evaluate(model, corpus, "test", decoding=Decoding(decoder="greedy"))
    return {
        "wer": score.wer,
        "protocol": score.protocol,
        "errors": {item.id: [item.errors, item.reference_words] for item in score.utterances},
    }


def corpus_of(options: Any, name: str, seed: int) -> Any:
    """A corpus of one seed, made if it is not there."""
    from signloom.compose import ComposeOptions, compose
    from signloom.corpus import Corpus
    from signloom.synth.corpus import synthesise
    from signloom.synth.options import SynthOptions

    sizes = {key: getattr(options, key) for key in ("num_train", "num_dev", "num_test")}
    output = options.work / "corpora" / "-".join(map(str, (name, seed, *sizes.values())))
    if (output / "corpus.json").exists():
        return Corpus.open(output)
    if name == "simulated":
        return synthesise(SynthOptions(preset="phoenix", num_signs=60, seed=SIMULATED_SEED + seed, **sizes), output)
    signs = signs_corpus(options)
    groups = (name.removeprefix("asl_"), UNSEEN)
    chosen = Corpus(signs.root, signs.info, tuple(clip for clip in signs if clip.signer in groups))
    return compose(chosen, output, ComposeOptions(held_out=[UNSEEN], clips_per_gloss=FEW_CLIPS, seed=seed, **sizes))


def right_leads(corpus: Any) -> Any:
    """The corpus with every clip mirrored in which the left hand leads."""
    return _right_leads_class()(corpus.root, corpus.info, corpus.utterances)


@cache
def _right_leads_class() -> type:
    from signloom.corpus import Corpus, Utterance
    from signloom.landmarks import Landmarks, leading_hand

    class RightLeads(Corpus):
        def load(self, utterance: Utterance) -> Landmarks:
            landmarks = super().load(utterance)
            return landmarks.mirrored() if leading_hand(landmarks) == "left" else landmarks

    return RightLeads


@contextlib.contextmanager
def without_motion() -> Iterator[None]:
    """Models whose normalisation is fitted meanwhile have 0 for every difference between frames."""
    from signloom.model.frontend import FrontEnd

    fit = FrontEnd.fit

    def fit_without(front: Any, batches: Any) -> None:
        fit(front, batches)
        for part in front.modality_slices().values():
            # Positions, forward and backward differences, as many of each; and whether the part was detected.
            count = (part.stop - part.start) // 3
            front.std[part.start + count : part.start + 3 * count] = 1e30

    FrontEnd.fit = fit_without  # type: ignore[method-assign]
    try:
        yield
    finally:
        FrontEnd.fit = fit  # type: ignore[method-assign]


def compared(options: Any, name: str, runs: dict[tuple[str, str, int], dict[str, Any]]) -> dict[str, Any] | None:
    """A row of the table: on each corpus and over all of them the WER and the difference to the base."""
    row: dict[str, Any] = {"setting": name, "text": SETTINGS[name].text, "corpora": {}, "seconds": []}
    resampled = []
    for corpus in options.corpora:
        seeds = [seed for seed in options.seeds if (name, corpus, seed) in runs and (BASE, corpus, seed) in runs]
        if not seeds:
            continue
        sides = [[runs[side, corpus, seed] for seed in seeds] for side in (name, BASE)]
        pairs = [gains(setting["errors"], base["errors"]) for setting, base in zip(*sides, strict=True)]
        drawn = bootstrap(pairs)
        resampled.append(drawn)
        row["corpora"][corpus] = {
            "wer": float(np.mean([run["wer"] for run in sides[0]])),
            "by_seed": [run["wer"] for run in sides[0]],
            "difference": float(sum(gain.sum() for gain, _ in pairs) / sum(words.sum() for _, words in pairs)),
            "interval": interval(drawn),
        }
        row["seconds"] += [run["training_seconds"] for run in sides[0]]
    if not resampled:
        return None
    row["difference"] = float(np.mean([part["difference"] for part in row["corpora"].values()]))
    row["interval"] = interval(np.mean(resampled, axis=0))
    return row


def gains(setting: dict[str, list[int]], base: dict[str, list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Errors more than the base's, and words, of each utterance."""
    return (
        np.array([setting[name][0] - base[name][0] for name in base]),
        np.array([base[name][1] for name in base]),
    )


def bootstrap(pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Differences in WER, (RESAMPLES,): seeds drawn with replacement, within each of them utterances."""
    rng = np.random.default_rng(0)
    found = np.empty(RESAMPLES)
    for at in range(RESAMPLES):
        sums = np.zeros(2)
        for chosen in rng.integers(len(pairs), size=len(pairs)):
            gain, words = pairs[chosen]
            drawn = rng.integers(len(words), size=len(words))
            sums += gain[drawn].sum(), words[drawn].sum()
        found[at] = sums[0] / sums[1]
    return found


def interval(drawn: np.ndarray) -> list[float]:
    return [float(value) for value in np.quantile(drawn, [0.025, 0.975])]


def show(options: Any, rows: list[dict[str, Any]]) -> None:
    cells = []
    for row in rows:
        line = [row["text"]]
        for corpus in options.corpora:
            part = row["corpora"].get(corpus)
            line.append("-" if part is None else f"{part['wer']:.1%} ({100 * part['difference']:+.1f})")
        low, high = (100 * value for value in row["interval"])
        line += [f"**{100 * row['difference']:+.1f}**", f"{low:+.1f} to {high:+.1f}", f"{np.mean(row['seconds']):.0f}"]
        if row["setting"] == BASE:
            line[-3:-1] = ["", ""]
        cells.append(line)
    head = ["setting", *(corpus.replace("_", " ") for corpus in options.corpora)]
    print("\n" + common.table([*head, "difference, points", "95 % interval", "seconds"], cells))
    print(
        "\nWER by the plain rule, greedy decoding, on unseen signers, mean over seeds; in brackets the difference to "
        "the base in points.\nSeconds: of training, mean over runs."
    )


def add_full_view() -> None:
    """The student on the full view: a preset of this benchmark alone."""
    from signloom.model.presets import PRESETS

    widths = {"pose": 32, "hands": 128, "face": 32, "temporal": 64}
    PRESETS["student_full"] = replace(PRESETS["student"], view="full", encoder_widths=widths)  # type: ignore[call-arg]


if __name__ == "__main__":
    add_full_view()
    main()
