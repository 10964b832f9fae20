"""When signs begin and end, and what confidences are worth, on simulated signing, whose boundaries are known.

python benchmarks/boundaries.py --run RUN CORPUS [--run RUN CORPUS ...]

RUN is the folder of a model trained on CORPUS, which is simulated or composed of isolated clips. Boundaries: the
distance of starts and ends of spans to the true ones, in frames at 25 a second, over the glosses of the test split that
greedy decoding gets right (as sclite aligns them); bias is the median of span minus truth, below 0 too early. Compared:

runs      the output frames on which the gloss is the most probable word, as greedy decoders commonly report them
default   spans of a model of which nothing is known (`Timing()`)
fitted    spans by the timing fitted on train (`fit_spans`), which is told no boundary
aligned   the same for the whole reference, as `signloom align` finds it, whatever greedy decoding makes of the clip

Confidences: expected calibration error on test over 10 bins of equally many glosses, of the mean probability of a gloss
in its run and of ours, each as it is and with slope and offset fitted on dev. By chance: what perfectly calibrated
confidences of these values would score, for so few glosses are never right exactly as often as they should be.

Sentences doubted: of the clips' own sentences, and of the sentences of other clips aligned with them, those whose mean
confidence is below 0.3, of which `signloom align` warns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np

sys.path.insert(0, str(common.ROOT / "tests"))

FPS = 25.0
# As `signloom align` has it: sentences whose mean confidence is below are doubted.
DOUBT = 0.3


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--run", nargs=2, type=Path, action="append", required=True, metavar=("RUN", "CORPUS"))
    options = parser.parse_args()
    results = {str(run): measure(run, corpus) for run, corpus in options.run}
    show(results)
    common.finish(options, results)


def measure(run: Path, root: Path) -> dict[str, Any]:
    import torch

    from reliability import calibration_error
    from signloom.corpus import Corpus
    from signloom.ctc.collapse import collapse_batch, frames_needed
    from signloom.ctc.confidence import Calibration, confidences
    from signloom.ctc.spans import emission_seconds, spans
    from signloom.ctc.timing import Timing
    from signloom.ctc.viterbi import ForcedAlignment, forced_alignment
    from signloom.inference.calibrate import correct_glosses, fit_spans
    from signloom.inference.model import load
    from signloom.score.alignment import CORRECT, DELETION, INSERTION, align

    torch.set_num_threads(1)
    model, corpus = load(run), Corpus.open(root)
    settings = fit_spans(model, corpus)
    emissions = {
        split: [(item, model.emission(corpus.load(item))) for item in corpus.split(split)] for split in ("dev", "test")
    }

    def greedy(emission: Any) -> tuple[list[int], Any]:
        (ids,) = collapse_batch(emission.log_probs.argmax(axis=1)[None])
        return ids, forced_alignment(emission.log_probs, ids)

    def errors(
        place: Callable[[Any, list[int], ForcedAlignment], np.ndarray], *, known: bool = False
    ) -> dict[str, Any]:
        """Span minus truth of starts and ends, in frames."""
        found: list[np.ndarray] = []
        for item, emission in emissions["test"]:
            truth = np.array(item.truth["boundaries"]) / item.fps
            if known:
                ids = model.vocabulary.encode(item.glosses)
                found.append(place(emission, ids, forced_alignment(emission.log_probs, ids)) - truth)
                continue
            ids, alignment = greedy(emission)
            kinds = align(reference=item.glosses, hypothesis=model.vocabulary.decode(ids)).kinds
            right = [kind == CORRECT for kind in kinds if kind != DELETION]
            recognised = [kind == CORRECT for kind in kinds if kind != INSERTION]
            found.append(place(emission, ids, alignment)[right] - truth[recognised])
        frames = np.concatenate(found) * FPS
        both = np.abs(frames).ravel()
        return {
            "glosses": len(frames),
            "start_bias": float(np.median(frames[:, 0])),
            "end_bias": float(np.median(frames[:, 1])),
            "median": float(np.median(both)),
            "p90": float(np.quantile(both, 0.9)),
        }

    def by(timing: Timing) -> Callable[[Any, list[int], ForcedAlignment], np.ndarray]:
        return lambda emission, ids, alignment: spans(
            emission_seconds(emission, ids, alignment), emission.duration_seconds, timing
        )

    boundaries = {
        "runs": errors(lambda emission, ids, alignment: alignment.runs * emission.step_seconds),
        "default": errors(by(Timing())),
        "fitted": errors(by(settings.timing)),
        "aligned": errors(by(settings.timing), known=True),
    }

    def mean_probability(log_probs: np.ndarray, ids: list[int], alignment: ForcedAlignment) -> np.ndarray:
        runs = zip(ids, alignment.runs.tolist(), strict=True)
        return np.array([min(1.0, float(np.exp(log_probs[first:last, word]).mean())) for word, (first, last) in runs])

    def outcomes(split: str, sure: Callable[..., np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        values, right = [], []
        for item, emission in emissions[split]:
            ids, alignment = greedy(emission)
            values.append(sure(emission.log_probs, ids, alignment))
            right += correct_glosses(reference=item.glosses, hypothesis=model.vocabulary.decode(ids))
        return np.concatenate(values), np.array(right)

    rng = np.random.default_rng(0)
    calibration: dict[str, Any] = {}
    for name, sure in (("mean of run", mean_probability), ("ours", confidences)):
        dev, test = outcomes("dev", sure), outcomes("test", sure)
        fitted = Calibration.fit(*dev)
        calibrated = np.array([fitted.apply(value) for value in test[0]])
        chance = [calibration_error(calibrated, rng.random(len(calibrated)) < calibrated) for _ in range(200)]
        calibration[name] = {
            "glosses": len(test[0]),
            "right_dev": float(dev[1].mean()),
            "right_test": float(test[1].mean()),
            **fitted.to_json(),
            "before": calibration_error(*test),
            "after": calibration_error(calibrated, test[1]),
            "chance": float(np.mean(chance)),
            "auc": auc(*test),
        }
    sentences: dict[str, list[float]] = {"own": [], "other": []}
    test = emissions["test"]
    for at, (item, emission) in enumerate(test):
        # Far enough on that neighbouring utterances of one recording do not make it easy or hard.
        for kind, glosses in (("own", item.glosses), ("other", test[(at + len(test) // 2) % len(test)][0].glosses)):
            ids = model.vocabulary.encode(glosses)
            if frames_needed(ids) <= len(emission.log_probs):
                alignment = forced_alignment(emission.log_probs, ids)
                sentences[kind].append(float(confidences(emission.log_probs, ids, alignment).mean()))
    doubted = {kind: float((np.array(found) < DOUBT).mean()) for kind, found in sentences.items()}
    return {
        "corpus": str(root),
        "timing": settings.timing.to_json(),
        "boundaries": boundaries,
        "confidence": calibration,
        "doubted": doubted,
    }


def auc(values: np.ndarray, right: np.ndarray) -> float:
    """The probability that a right gloss has a higher confidence than a wrong one."""
    if right.all() or not right.any():
        return float("nan")
    wrong = values[~right][:, None]
    return float(((values[right] > wrong) + 0.5 * (values[right] == wrong)).mean())


def show(results: dict[str, Any]) -> None:
    rows = [
        [
            *(run, name, row["glosses"]),
            *(f"{row[key]:+.1f}" for key in ("start_bias", "end_bias")),
            *(f"{row[key]:.1f}" for key in ("median", "p90")),
        ]
        for run, found in results.items()
        for name, row in found["boundaries"].items()
    ]
    print(common.table(["run", "spans", "glosses", "start, bias", "end, bias", "median error", "90 %"], rows))
    rows = [
        [
            *(run, name, row["glosses"]),
            *(f"{row[key]:.1%}" for key in ("right_dev", "right_test")),
            *(f"{row[key]:.3f}" for key in ("before", "after", "chance", "auc")),
        ]
        for run, found in results.items()
        for name, row in found["confidence"].items()
    ]
    head = ["run", "confidence", "glosses", "right on dev", "on test", "ECE as it is", "calibrated", "by chance", "AUC"]
    print("\n" + common.table(head, rows))
    for run, found in results.items():
        own, other = found["doubted"]["own"], found["doubted"]["other"]
        print(
            f"\n{run}: {found['timing']}; sentences doubted: {own:.1%} of the clips' own, {other:.1%} of other clips'"
        )


if __name__ == "__main__":
    main()
