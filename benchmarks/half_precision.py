"""What storing landmarks in half precision costs, against the tracker's own jitter.

python benchmarks/half_precision.py [--source traduttore_asl.npz CORPUS ...]

Sources: packings or folders of Holistic arrays (as `signloom import holistic` reads them), corpora of signloom, and
always a simulated one. Measured on the x and y of the hands' points, in units of image height:

- rounding: root mean square of what half precision changes. Where the source holds more digits, the change itself;
  a corpus is rounded already, there it is what a value evenly spread over its rounding interval would lose (interval
  over the root of 12). Beside it, the same of the other format of that size: int16 at 1/16,384 of the image height.
- jitter: what the tracker does to a hand that rests. Of windows of 5 frames with the hand present, the tenth in which
  the wrist moves least is taken as resting; there x[t] - (x[t-1] + x[t+1]) / 2, which keeps none of a steady movement,
  has 1.5 times the variance of noise that is new in every frame. Trackers smooth, so that this is rather too low.
- hand: the length from the wrist to the tip of the middle finger, median over frames.

Each source is measured again with every clip shrunk about the middle of its image until its hands are 1/10 of the
image height: jitter shrinks with it, rounding hardly does. What counts is rounding / jitter: the noise in a point grows
by the factor sqrt(1 + ratio^2).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
import numpy as np

SMALL_HAND = 0.1
WINDOW = 5
RESTING_SHARE = 0.1
FIXED_POINT_STEP = 1 / 16384


@dataclass
class Clip:
    """hands: (2, T, 21, 2) x and y, NaN where missing.  middle: of the image, (2,).  rounded: to half precision."""

    hands: np.ndarray
    middle: np.ndarray
    rounded: bool


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--source", type=Path, nargs="*", default=[], help="packings, folders of arrays, corpora")
    parser.add_argument("--max_clips", type=int, default=400, help="of each source, evenly spread over it")
    parser.add_argument("--simulated", type=int, default=60, help="utterances of the simulated source")
    options = parser.parse_args()
    results = {}
    for name, clips in sources(options):
        if not clips:
            raise SystemExit(f"{name}: no hands in it; needed clips in which at least one was detected")
        results[name] = measure(clips)
        results[f"{name}, hands of 1/10"] = measure([shrunk(clip) for clip in clips])
    show(results)
    common.finish(options, results)


def sources(options: argparse.Namespace) -> Iterator[tuple[str, list[Clip]]]:
    from signloom.corpus import Corpus
    from signloom.errors import Faults
    from signloom.importers.holistic import find_clips

    for path in options.source:
        if (path / "corpus.json").is_file():
            corpus = Corpus.open(path)
            chosen = spread(list(corpus), options.max_clips)
            yield corpus.name, present([clip_of(corpus.load(item), rounded=True) for item in chosen])
        else:
            faults = Faults(str(path))
            found = find_clips([path], faults=faults)
            faults.raise_if_any()
            chosen = spread(found, options.max_clips)
            yield path.stem, present([clip_of(each.read(), rounded=False) for each in chosen])
    yield "simulated", present(list(simulated(options.simulated)))


def simulated(count: int) -> Iterator[Clip]:
    from signloom.synth.corpus import make_clip
    from signloom.synth.plans import SynthOptions, make_plans

    recipe = SynthOptions(num_train=count, num_signs=min(20, 3 * count), num_dev=0, num_test=0)
    for plan in make_plans(recipe):
        yield clip_of(make_clip(recipe, plan).landmarks, rounded=False)


def spread(items: list[Any], count: int) -> list[Any]:
    return [items[at] for at in np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))]


def clip_of(landmarks: Any, *, rounded: bool) -> Clip:
    from signloom import layout

    hands = np.stack([landmarks.points[:, layout.GROUPS[f"{side}_hand"], :2] for side in ("left", "right")])
    width, height = landmarks.image_size or (1, 1)
    middle = np.array([width / height * landmarks.pixel_aspect / 2, 0.5])
    return Clip(hands.astype(np.float64), middle, rounded)


def present(clips: list[Clip]) -> list[Clip]:
    return [clip for clip in clips if np.isfinite(clip.hands).any()]


def hand_length(clip: Clip) -> float:
    """From the wrist (point 0) to the tip of the middle finger (point 12), median over frames and hands."""
    return float(np.nanmedian(np.linalg.norm(clip.hands[:, :, 12] - clip.hands[:, :, 0], axis=-1)))


def shrunk(clip: Clip) -> Clip:
    """The clip about the middle of its image, its hands 1/10 of the image height long; with new digits to round."""
    scale = SMALL_HAND / hand_length(clip)
    return Clip(clip.middle + scale * (clip.hands - clip.middle), clip.middle, rounded=False)


def measure(clips: list[Clip]) -> dict[str, float]:
    values = [clip.hands[np.isfinite(clip.hands)] for clip in clips]
    half = np.concatenate([rounding(value, clip.rounded) for value, clip in zip(values, clips, strict=True)])
    everything = np.concatenate(values)
    hand = float(np.median([hand_length(clip) for clip in clips]))
    noise, num_windows = jitter(clips)
    rms = float(np.sqrt(np.mean(half**2)))
    return {
        "num_clips": len(clips),
        "num_values": len(everything),
        "hand": hand,
        "rounding_rms": rms,
        "rounding_largest": float(np.abs(half).max()),
        "rounding_share_of_hand": rms / hand,
        "int16_rms": FIXED_POINT_STEP / 12**0.5,
        "jitter_rms": noise,
        "num_resting_windows": num_windows,
        "ratio": rms / noise if noise else float("inf"),
    }


def rounding(values: np.ndarray, rounded: bool) -> np.ndarray:
    half = values.astype(np.float16)
    if rounded:
        return np.spacing(np.abs(half)).astype(np.float64) / np.sqrt(12)
    return values - half.astype(np.float64)


def jitter(clips: list[Clip]) -> tuple[float, int]:
    """Standard deviation of the noise of resting hands, and the number of windows it was measured on."""
    moves, residuals = [], []
    for clip in clips:
        length = hand_length(clip)
        for hand in clip.hands:
            if len(hand) < WINDOW:
                continue
            windows = np.lib.stride_tricks.sliding_window_view(hand, WINDOW, axis=0)
            windows = windows[np.isfinite(windows).all(axis=(1, 2, 3))]
            residual = windows[..., 1:-1] - (windows[..., :-2] + windows[..., 2:]) / 2
            moves.append(np.ptp(windows[:, 0], axis=-1).max(axis=-1) / length)
            residuals.append((residual**2).mean(axis=(1, 2, 3)))
    move, residual = np.concatenate(moves), np.concatenate(residuals)
    resting = move <= np.quantile(move, RESTING_SHARE)
    return float(np.sqrt(residual[resting].mean() / 1.5)), int(resting.sum())


def show(results: dict[str, dict[str, float]]) -> None:
    rows = [
        [
            name,
            f"{row['num_clips']:,}",
            f"{row['hand']:.3f}",
            f"{1e6 * row['rounding_rms']:,.0f}",
            f"{1e6 * row['rounding_largest']:,.0f}",
            f"{row['rounding_share_of_hand']:.2%}",
            f"{1e6 * row['int16_rms']:,.0f}",
            f"{1e6 * row['jitter_rms']:,.0f}",
            f"**{row['ratio']:.2f}**",
            f"{np.sqrt(1 + row['ratio'] ** 2) - 1:.1%}",
        ]
        for name, row in results.items()
    ]
    print("Lengths in millionths of the image height; the hand in image heights.\n")
    head = ["source", "clips", "hand", "rounding", "largest", "rounding / hand", "as int16", "jitter at rest"]
    print(common.table([*head, "rounding / jitter", "noise grows by"], rows))


if __name__ == "__main__":
    main()
