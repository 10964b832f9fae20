"""ELAN files and landmarks of their videos, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from conftest import random_landmarks

# The frames of a clip are numbered by the x of the nose, so that a cut shows where it comes from.
FRAMES = 200
# Half precision tells numbers below 4 apart that are this far from each other.
STEP = 1 / 250


def clip(path: Path, number: int, frames: int = FRAMES) -> None:
    landmarks = random_landmarks(frames, seed=number)
    landmarks.points[:, 0, 0] = np.arange(frames) * STEP + number
    landmarks.save(path)


def eaf(path: Path, tiers: dict, media=(), *, participants=None, units="milliseconds") -> Path:
    """An ELAN file; tiers as {name: [(start, end, value)]}, media as names or (name, TIME_ORIGIN)."""
    slots, body = [], []
    for name, intervals in tiers.items():
        rows = []
        for start, end, value in intervals:
            first = len(slots)
            slots += [start, end]
            rows.append(
                f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{first}" TIME_SLOT_REF1="ts{first}" '
                f'TIME_SLOT_REF2="ts{first + 1}"><ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>'
                "</ANNOTATION>"
            )
        person = f' PARTICIPANT="{participants[name]}"' if name in (participants or {}) else ""
        body.append(f'<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="x"{person}>{"".join(rows)}</TIER>')
    links = "".join(
        f'<MEDIA_DESCRIPTOR MEDIA_URL="file:///D:/{name}" RELATIVE_MEDIA_URL="./{name}" MIME_TYPE="video/mp4"{origin}/>'
        for name, origin in (
            (item, "") if isinstance(item, str) else (item[0], f' TIME_ORIGIN="{item[1]}"') for item in media
        )
    )
    times = "".join(f'<TIME_SLOT TIME_SLOT_ID="ts{number}" TIME_VALUE="{time}"/>' for number, time in enumerate(slots))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="x.xsd">'
        f'<HEADER MEDIA_FILE="" TIME_UNITS="{units}">{links}</HEADER><TIME_ORDER>{times}</TIME_ORDER>{"".join(body)}'
        "</ANNOTATION_DOCUMENT>",
        encoding="utf-8",
    )
    return path


DIALOGUE = {
    "Sign_A": [(0, 1000, "HOUSE")],
    "Sign_B": [(4000, 5000, "TREE")],
    "Text_A": [(0, 1000, "a house")],
    "Text_B": [(4000, 6000, "a tree")],
}
