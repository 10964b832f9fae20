"""Whether `signloom import holistic` recognises order and image of real people, and names planted faults of the body.

python benchmarks/body_faults.py people.npz [MORE.npz ...] [--clips 24]

The archives have the arrays frames (1,662 or 258 values per frame, in the usual order), start, length, label, group. A
group is a person. Of every person some clips are taken, evenly over theirs, and imported by themselves:

as they are     the estimated image; whether anything is refused
permuted        every order of the parts: how many are recognised
planted faults  one at a time in all clips: `named` if the cause is named, `refused` if another cause is, `passed`
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import common
import numpy as np

sys.path.insert(0, str(common.ROOT / "tests"))


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--clips", type=int, default=24, help="clips of each person")
    options = parser.parse_args()
    results = {}
    for name, clips in people(options.sources, options.clips):
        results[name] = examine(clips)
        print(name, results[name]["as they are"], results[name]["permuted"], file=sys.stderr)
    show(results)
    common.finish(options, results)


def people(sources: list[Path], count: int) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The name of each person, and the values of some of their clips."""
    for source in sources:
        with np.load(source) as arrays:
            frames, starts, lengths, groups = (arrays[name] for name in ("frames", "start", "length", "group"))
        for group in dict.fromkeys(map(str, groups)):
            own = np.flatnonzero(groups == group)
            chosen = own[np.unique(np.linspace(0, len(own) - 1, min(count, len(own))).round().astype(int))]
            name = group if group != "single" else source.stem.split("_")[0]
            yield name, [frames[starts[i] : starts[i] + lengths[i]].astype(np.float32) for i in chosen]


def examine(clips: list[np.ndarray]) -> dict[str, Any]:
    from body_faults import PLANTED
    from signloom.errors import InputError
    from signloom.importers.holistic_order import recognise, usual_order

    usual = usual_order(clips[0].shape[1])
    began = time.process_time()
    fault, image = attempt(clips)
    seconds = time.process_time() - began
    aspect = image.image_size[0] / image.image_size[1] if image and image.image_size else 16 / 9
    right = 0
    orders = list(itertools.permutations(usual.parts))
    for parts in orders:
        try:
            right += recognise([permuted(clip, usual, parts) for clip in clips])[0].parts == parts
        except InputError:
            continue
    planted = {}
    for name, (cause, change) in PLANTED.items():
        if "face" not in usual.parts and name.startswith("face"):
            continue
        changed = [with_fault(clip, usual, change, aspect) for clip in clips]
        if name == "swap":
            # To exchange the hands is to permute the order: the right answer is the other order.
            order, _ = recognise(changed)
            planted[name] = "named" if order.parts != usual.parts else "passed"
            continue
        planted[name] = verdict(cause, attempt(changed)[0])
    return {
        "as they are": f"{image.name if image else None}{' refused: ' + fault if fault else ''}",
        "permuted": f"{right} of {len(orders)}",
        "planted": planted,
        "seconds": seconds,
    }


def attempt(clips: list[np.ndarray]) -> tuple[str, Any]:
    """What an import says against some clips, empty for nothing, and the estimated image."""
    from signloom.errors import Faults
    from signloom.importers import holistic_survey
    from signloom.importers.convert_landmarks import CameraInfo
    from signloom.importers.holistic_files import RawClip

    raw = [
        RawClip(str(number), "sign", None, f"clip {number}", "", lambda clip=clip: clip)
        for number, clip in enumerate(clips)
    ]
    said: list[str] = []
    holistic_survey.say = said.append  # type: ignore[assignment]
    faults = Faults("benchmark")
    found = holistic_survey.survey(raw, "clips", CameraInfo(), given=None, faults=faults)
    notes = [line for line in said if line.startswith("note: ")]
    return "\n".join([*faults.messages, *notes]), found.images.get(None)


def verdict(cause: str, said: str) -> str:
    from signloom.anatomy import FAULTS

    if FAULTS[cause] in said:
        return "named"
    return "refused" if said else "passed"


def permuted(frames: np.ndarray, usual: Any, parts: tuple[str, ...]) -> np.ndarray:
    """Frames in the usual order with their parts in another."""
    ends = np.cumsum([usual.form.width(part) for part in usual.parts])[:-1]
    blocks = dict(zip(usual.parts, np.split(frames, ends, axis=1), strict=True))
    return np.concatenate([blocks[part] for part in parts], axis=1)


def with_fault(frames: np.ndarray, usual: Any, change: Any, aspect: float) -> np.ndarray:
    """Frames in the usual order with a fault planted into their points; missing parts stay zero."""
    from signloom import layout

    points, visibility = usual.points(frames)
    scale = np.array([aspect, 1, aspect], dtype=np.float32)
    points = np.asarray(change(points * scale, aspect), dtype=np.float32) / scale
    blocks = []
    for part in usual.parts:
        block = points[:, layout.GROUPS[part]]
        if part == "pose" and usual.form.pose_values == 4:
            block = np.concatenate([block, visibility[..., None]], axis=-1)
        blocks.append(block.reshape(len(frames), -1))
    return np.nan_to_num(np.concatenate(blocks, axis=1), nan=0.0)


def show(results: dict[str, Any]) -> None:
    names = list(results)
    rows = [
        ["image, as they are", *(results[name]["as they are"] for name in names)],
        ["orders recognised", *(results[name]["permuted"] for name in names)],
    ]
    for fault in results[names[0]]["planted"]:
        rows.append([fault, *(results[name]["planted"].get(fault, "") for name in names)])
    print(common.table(["", *names], rows))
    seconds = [results[name]["seconds"] for name in names]
    print(f"\nsurvey of one person's clips: {min(seconds):.2f} to {max(seconds):.2f} s of CPU")


if __name__ == "__main__":
    main()
