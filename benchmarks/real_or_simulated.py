"""Can real tracking be told from simulated tracking, and by what? A classifier on short windows.

python benchmarks/real_or_simulated.py --source traduttore_asl.npz signwish_asl.npz [--preset phoenix]

Windows of 16 frames, one or more a clip, of the 258-value layout (pose and hands): upper body relative to the middle of
the shoulders, in shoulder widths of the window; hands relative to their own wrists, in hand lengths. Both sides are
taken as 25 frames/s (the real rate is not recorded). Summary statistics of a window in five families go into a small
network; `values` are the window's coordinates and missing flags themselves. Each group of real recordings is left out
in turn, with a part of the simulated signers that no other turn leaves out; the network sees the other groups and
signers. 50 % accuracy and an AUC of 0.5 mean that they cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import common
import numpy as np

from signloom import layout

WINDOW = 16
UPPER = layout.subset("compact")[layout.subset_groups("compact")["pose"]]
HANDS = slice(layout.GROUPS["left_hand"].start, layout.GROUPS["right_hand"].stop)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--source", type=Path, nargs="+", required=True, help="packings of Holistic arrays")
    parser.add_argument("--preset", default="phoenix", help="what to tell them from")
    parser.add_argument("--windows", type=int, default=600, help="at most, of each group and as many simulated ones")
    parser.add_argument("--epochs", type=int, default=150)
    options = parser.parse_args()
    real = real_windows(options.source, options.windows)
    made = simulated_windows(options.preset, len(real), options.windows)
    rng = np.random.default_rng(0)
    results: dict[str, Any] = {}
    for family in (*families(real[next(iter(real))][:1]), "all families", "values"):
        rows = []
        for turn, group in enumerate(real):
            held = (real[group], made[turn])
            seen = (
                np.concatenate([windows for name, windows in real.items() if name != group]),
                np.concatenate([windows for number, windows in enumerate(made) if number != turn]),
            )
            rows.append(tell_apart(seen, held, family, options.epochs, rng))
        results[family] = dict(zip(real, rows, strict=True))
        results[family]["mean"] = np.mean(rows, axis=0).tolist()
    print("Accuracy / AUC on a group of real recordings and simulated signers that were not seen.\n")
    shown = [[name, *(f"{a:.1%} / {auc:.3f}" for a, auc in row.values())] for name, row in results.items()]
    print(common.table(["by", *real, "mean"], shown))
    print("\nwindows:", ", ".join(f"{name} {len(windows)}" for name, windows in real.items()))
    common.finish(options, results)


def windows_of(clip: Any) -> np.ndarray:
    """Whole windows of a clip, (N, 16, 53, 3): 11 points of the pose, 21 of each hand; NaN where missing."""
    pose = clip.points[:, layout.GROUPS["pose"]]
    good = np.isfinite(pose).all(axis=(1, 2))
    points = np.concatenate([pose[:, UPPER], clip.points[:, HANDS]], axis=1).astype(np.float32)
    starts = range(0, len(points) - WINDOW + 1, WINDOW)
    found = [normalised(points[at : at + WINDOW]) for at in starts if good[at : at + WINDOW].all()]
    return np.stack(found) if found else np.empty((0, WINDOW, 53, 3), dtype=np.float32)


def normalised(window: np.ndarray) -> np.ndarray:
    shoulders = window[:, 5:7]
    width = np.median(np.linalg.norm(shoulders[:, 0, :2] - shoulders[:, 1, :2], axis=1))
    body = (window[:, :11] - shoulders.mean(axis=(0, 1))) / width
    hands = []
    for start in (11, 32):
        hand = window[:, start : start + 21]
        around = hand - hand[:, :1]
        sizes = np.linalg.norm(around[:, 9, :2], axis=1)
        size = 2 * np.median(sizes[np.isfinite(sizes)]) if np.isfinite(sizes).any() else 1.0
        hands.append(around / max(size, 1e-3))
    return np.concatenate([body, *hands], axis=1)


def real_windows(sources: Iterable[Path], count: int) -> dict[str, np.ndarray]:
    """Windows of each group; a group that is not named is its source."""
    from signloom.importers.holistic import read_clips

    groups: dict[str, list[np.ndarray]] = {}
    for source in sources:
        for item, clip in read_clips(source):
            name = item.signer if item.signer and item.signer != "single" else source.stem.split("_")[0]
            groups.setdefault(name, []).append(windows_of(clip))
    return {name: some(np.concatenate(windows), count) for name, windows in groups.items()}


def simulated_windows(preset: str, num_turns: int, count: int) -> list[np.ndarray]:
    """For each turn windows of two signers of its own."""
    from signloom.synth.corpus import make_clip
    from signloom.synth.options import SynthOptions
    from signloom.synth.plans import make_plans

    signers = 2 * num_turns
    recipe = SynthOptions(
        preset=preset,
        num_signs=60,
        num_signers=signers,
        num_test_signers=0,
        num_train=max(30, count * num_turns // 5),
        num_dev=0,
        num_test=0,
    )
    found: list[list[np.ndarray]] = [[] for _ in range(num_turns)]
    for plan in make_plans(recipe):
        found[plan.signer // 2].append(windows_of(make_clip(recipe, plan).landmarks))
    return [some(np.concatenate(windows), count) for windows in found]


def some(windows: np.ndarray, count: int) -> np.ndarray:
    return windows[np.unique(np.linspace(0, len(windows) - 1, count).round().astype(int))]


def families(windows: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics of windows (N, 16, 53, 3) by family, each (N, F); 0 where a hand is missing throughout."""
    body, hands = windows[:, :, :11], windows[:, :, 11:].reshape(len(windows), WINDOW, 2, 21, 3)
    there = np.isfinite(hands[..., 0, 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        shape = mean(hands, 1)
        body_rough = np.sqrt((fourth(body) ** 2).mean(axis=1))
        hand_rough = np.sqrt(mean(fourth(hands) ** 2, 1).mean(axis=3))
        speed = np.linalg.norm(np.diff(body[..., :2], axis=1), axis=3)
        opened = np.linalg.norm(np.diff(hands[..., layout.FINGER_TIPS, :2], axis=1), axis=4)
    change = (there[:, 1:] != there[:, :-1]).sum(axis=1)
    made = {
        "jitter": np.concatenate([flat(np.log(body_rough + 1e-5)), flat(np.log(hand_rough + 1e-5))], axis=1),
        "speeds": np.concatenate(
            [speed.mean(axis=1), speed.max(axis=1), np.median(speed, axis=1), flat(mean(opened, 1))], axis=1
        ),
        "hand shapes": np.concatenate([flat(shape[..., :2]), flat(shape[..., 2])], axis=1),
        "places": np.concatenate([flat(body.mean(axis=1)[..., :2]), flat(np.ptp(body, axis=1)[..., :2])], axis=1),
        "depth of the pose": flat(body.mean(axis=1)[..., 2]),
        "missing hands": np.concatenate([there.mean(axis=1), change], axis=1),
    }
    return {name: np.nan_to_num(values, nan=0.0).astype(np.float32) for name, values in made.items()}


def fourth(values: np.ndarray) -> np.ndarray:
    """Fourth differences along the frames."""
    return np.diff(values, n=4, axis=1)


def mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Over what is there, NaN where nothing is."""
    there = np.isfinite(values)
    return np.where(there, values, 0).sum(axis=axis) / there.sum(axis=axis)


def flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


def features(windows: np.ndarray, family: str) -> np.ndarray:
    if family == "values":
        missing = ~np.isfinite(windows[:, :, (11, 32), 0])
        return np.concatenate([flat(np.nan_to_num(windows)), flat(missing)], axis=1).astype(np.float32)
    made = families(windows)
    return np.concatenate(list(made.values()), axis=1) if family == "all families" else made[family]


def tell_apart(
    seen: tuple[np.ndarray, np.ndarray],
    held: tuple[np.ndarray, np.ndarray],
    family: str,
    epochs: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Accuracy (both sides weighing the same) and area under the curve on what was held out."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    x = np.concatenate([features(windows, family) for windows in seen])
    y = np.repeat([1.0, 0.0], [len(windows) for windows in seen]).astype(np.float32)
    weight = np.where(y == 1, 0.5 / y.mean(), 0.5 / (1 - y.mean())).astype(np.float32)
    centre, spread = x.mean(axis=0), x.std(axis=0) + 1e-4
    model = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], 64), torch.nn.ReLU(), torch.nn.Dropout(0.3), torch.nn.Linear(64, 1)
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    inputs = torch.from_numpy(np.clip((x - centre) / spread, -5, 5))
    for epoch in range(epochs):
        for rows in np.array_split(rng.permutation(len(x)), max(1, len(x) // 512)):
            at = torch.from_numpy(rows)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                model(inputs[at])[:, 0], torch.from_numpy(y[rows]), weight=torch.from_numpy(weight[rows])
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        # Thousands of coordinates are learnt by heart in fewer.
        if family == "values" and epoch >= epochs // 5:
            break
    model.eval()
    with torch.no_grad():
        real, made = (
            model(torch.from_numpy(np.clip((features(windows, family) - centre) / spread, -5, 5)))[:, 0].numpy()
            for windows in held
        )
    ranks = np.argsort(np.argsort(np.concatenate([real, made])))
    auc = (ranks[: len(real)].sum() - len(real) * (len(real) - 1) / 2) / (len(real) * len(made))
    return float(((real > 0).mean() + (made <= 0).mean()) / 2), float(auc)


if __name__ == "__main__":
    main()
