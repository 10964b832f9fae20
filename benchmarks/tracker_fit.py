"""Simulated tracking beside real tracking: jitter, spectra, lost hands, wrists, depth, visibility, speeds.

python benchmarks/tracker_fit.py --source traduttore_asl.npz signwish_asl.npz FOLDER [--plot tracker_fit.png]

Sources: packings or folders of Holistic arrays (as `signloom import holistic` reads them), corpora of signloom, folders
of landmark files (as `signloom extract` writes them). Each is measured by itself with the functions of
tracker_statistics.py and tracker_losses.py, and so are clips of each simulated preset. A hand counts as lost only where
its pose wrist is well inside the picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import common
import numpy as np

PARTS = ("hand", "middle", "wrist", "head", "face", "depth", "pose_depth")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--source", type=Path, nargs="*", default=[], help="packings, folders, corpora")
    parser.add_argument("--preset", nargs="*", default=["phoenix"], help="simulated presets to measure")
    parser.add_argument("--max_clips", type=int, default=700, help="of each source, evenly spread over it")
    parser.add_argument("--simulated", type=int, default=80, help="simulated utterances of each preset")
    parser.add_argument("--plot", type=Path, help="draw spectra, gaps and speeds into this PNG")
    options = parser.parse_args()
    results = {}
    for path in options.source:
        results[path.stem] = measure(real(path, options.max_clips))
    for preset in options.preset:
        results[f"simulated {preset}"] = measure(simulated(preset, options.simulated))
    show(results)
    if options.plot:
        draw(results, options.plot)
        print(f"\ndrawn: {options.plot}")
    common.finish(options, results)


def real(path: Path, max_clips: int) -> list[Any]:
    """The clips of a source, evenly spread. Raises SystemExit where it has none."""
    from signloom.corpus import Corpus
    from signloom.importers.holistic import read_clips
    from signloom.landmarks import Landmarks

    if (path / "corpus.json").is_file():
        corpus = Corpus.open(path)
        clips = [corpus.load(utterance) for utterance in spread(list(corpus), max_clips)]
    elif path.is_dir() and (files := sorted(path.rglob("*.npz"))):
        clips = [Landmarks.load(file) for file in spread(files, max_clips)]
    else:
        clips = [clip for _, clip in read_clips(path)]
    if not clips:
        raise SystemExit(f"{path}: no clips in it")
    return spread(clips, max_clips)


def simulated(preset: str, count: int) -> list[Any]:
    from signloom.synth.corpus import make_clip
    from signloom.synth.plans import SynthOptions, make_plans

    recipe = SynthOptions(preset=preset, num_train=count, num_signs=min(30, 3 * count), num_dev=0, num_test=0)
    return [make_clip(recipe, plan).landmarks for plan in make_plans(recipe)]


def spread(items: list[Any], count: int) -> list[Any]:
    return [items[at] for at in np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))]


def measure(clips: list[Any]) -> dict[str, Any]:
    import tracker_losses
    import tracker_statistics as statistics

    lost = tracker_losses.losses(clips)
    lengths = np.bincount(np.minimum(lost.lengths, 15), minlength=16)[1:]
    moving = statistics.speeds(clips)
    return {
        "num_clips": len(clips),
        "num_frames": sum(len(clip) for clip in clips),
        "rest": statistics.jitter_at_rest(clips),
        "by speed": statistics.jitter_by_speed(clips),
        "speeds": np.quantile(moving, (0.5, 0.75, 0.9, 0.95, 0.99)).tolist(),
        "speed histogram": np.histogram(moving, np.geomspace(0.02, 20, 31), density=True)[0].tolist(),
        "spectra": {part: statistics.spectrum(clips, part)[1].tolist() for part in PARTS},
        "lost share": lost.share,
        "losses per second": lost.begins,
        "mean gap seconds": lost.mean_seconds,
        "gap lengths": lengths.tolist(),
        "hazard": lost.hazard,
        "wrists": tracker_losses.wrists(clips),
        "confusions": tracker_losses.confusions(clips),
        "depth": statistics.depth(clips),
        "visibility": statistics.visibility(clips),
    }


def rows_of(result: dict[str, Any]) -> dict[str, str]:
    """What the table shows of one source, by the name of the row."""
    import tracker_losses
    import tracker_statistics as statistics

    rest, by_speed, lengths = result["rest"], result["by speed"], np.array(result["gap lengths"])
    rows = {"clips, frames": f"{result['num_clips']:,}, {result['num_frames']:,}"}

    def add(name: str, value: float | None, form: str = ".4f") -> None:
        rows[name] = "-" if value is None or not np.isfinite(value) else format(value, form)

    for name, key in (
        ("hand at rest: jitter", "hand_2nd"),
        ("hand at rest: shared", "hand_shared"),
        ("hand at rest: turn and size", "hand_similarity"),
        ("hand at rest: own", "hand_own"),
        ("hand at rest: z", "hand_z_2nd"),
        ("hand at rest: correlation", "hand_correlation"),
        ("face at rest: shared", "face_shared"),
        ("face at rest: turn and size", "face_similarity"),
        ("face at rest: own", "face_own"),
        ("head at rest", "head_2nd"),
        ("head at rest: z", "head_z_2nd"),
        ("head at rest: correlation", "head_correlation"),
        ("shoulders at rest", "shoulders_2nd"),
        ("shoulders at rest: z", "shoulders_z_2nd"),
        ("pose wrist at rest", "wrist_2nd"),
        ("pose wrist at rest: z", "wrist_z_2nd"),
    ):
        add(name, rest.get(key))
    edges = statistics.SPEED_BINS
    for at in range(len(edges) - 1):
        add(f"hand shape, jitter at {edges[at]:g} to {edges[at + 1]:g}/s", by_speed["shape"][at])
    add("hand shape, jitter: median / rms", by_speed["shape_median"][1] / by_speed["shape"][1], ".2f")
    for name, value in zip((50, 75, 90, 95, 99), result["speeds"], strict=True):
        add(f"speed of wrists, {name} %", value, ".2f")
    for part in PARTS:
        add(f"spectrum of {part}, highest quarter", 1e6 * float(np.mean(result["spectra"][part][-2:])), ",.0f")
    add("hands lost, share of frames in view", result["lost share"], ".1%")
    add("losses per second", result["losses per second"], ".2f")
    add("mean gap, s", result["mean gap seconds"], ".3f")
    add("gaps of one frame", lengths[0] / lengths.sum() if lengths.sum() else None, ".0%")
    add("gaps of 5 frames or more", lengths[4:].sum() / lengths.sum() if lengths.sum() else None, ".0%")
    for name, bins in tracker_losses.COVARIATES.items():
        for at, (rate, seconds) in enumerate(result["hazard"][name]):
            label = f"losses per second, {name} {bins[at]:g} to {bins[at + 1]:g}"
            rows[label] = f"{rate:.2f}" if seconds >= 5 else "-"
    for name, value in result["wrists"].items():
        add(f"pose wrist: {name}", value, ".3f")
    for name, value in result["confusions"].items():
        add(f"hands: {name}", value, ",.0f" if name.startswith("frames") else ".2%")
    for name, value in result["depth"].items():
        add(f"depth: {name}", value, ".2f")
    for name, values in result["visibility"].items():
        rows[f"visibility: {name}"] = " / ".join(f"{value:.2f}" for value in values)
    return rows


def show(results: dict[str, dict[str, Any]]) -> None:
    columns = {name: rows_of(result) for name, result in results.items()}
    names = list(dict.fromkeys(name for rows in columns.values() for name in rows))
    print(common.table(["", *columns], [[name, *(rows.get(name, "-") for rows in columns.values())] for name in names]))


def draw(results: dict[str, dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl
    import matplotlib.ticker

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(15, 7), layout="constrained")
    frequencies = np.fft.rfftfreq(16)[1:]
    titles = {
        "hand": "hand about its middle",
        "middle": "middle of the hand",
        "wrist": "wrist of the pose",
        "head": "head of the pose",
        "depth": "z of the hand",
        "pose_depth": "z of head and shoulders",
    }
    for number, (name, result) in enumerate(results.items()):
        mine = name.startswith("simulated")
        dashes = "--" if mine and "phoenix" not in name else "-"
        style: dict[str, Any] = {
            "linestyle": dashes,
            "color": "black" if mine else f"C{number}",
            "linewidth": 2.2 if mine else 1.1,
        }
        for axis, part in zip(axes.flat, titles, strict=False):
            axis.loglog(frequencies, result["spectra"][part][1:], label=name, **style)
        edges = np.geomspace(0.02, 20, 31)
        axes[1, 2].plot(np.sqrt(edges[1:] * edges[:-1]), np.array(result["speed histogram"]) * edges[1:], **style)
        lengths = np.array(result["gap lengths"], dtype=float)
        if lengths.sum() >= 10:
            left = 1 - np.concatenate([[0], np.cumsum(lengths / lengths.sum())[:-1]])
            axes[1, 3].step(np.arange(1, 16), left, where="post", label=name, **style)
    for axis, title in zip(axes.flat, titles.values(), strict=False):
        axis.set(title=f"spectrum: {title}", xlabel="frequency / frame rate", ylabel="power, shoulder widths²")
        axis.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axes[1, 2].set(title="speed of wrists", xscale="log", xlabel="shoulder widths a second", ylabel="density")
    axes[1, 3].set(title="gaps at least this long", yscale="log", xlabel="frames", ylabel="share of gaps")
    axes[0, 0].legend(fontsize=8)
    figure.savefig(path, dpi=52)
    plt.close(figure)


if __name__ == "__main__":
    main()
