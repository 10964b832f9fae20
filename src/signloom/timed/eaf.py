"""Reads and writes ELAN files (.eaf), tiers of timed annotations, with pympi.

Times are whole milliseconds, as in the files. Files may come from untrusted sources: a file with a document type
declaration, which can contain entities, is refused before anything is expanded. A file that is too large is refused
too.
"""

from __future__ import annotations

import mimetypes
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.parsers import expat

from signloom.errors import InputError, MissingExtraError, needs_extra
from signloom.files.reading import Kind, open_file
from signloom.timed.annotations import Medium, TimedAnnotation, TimedDocument

SUFFIX = ".eaf"
GLOSS_TIER, CONFIDENCE_TIER = "gloss", "confidence"
# Enough for hours of dense annotation on twenty tiers. In memory, a file takes about ten times its size.
_EAF = Kind(f"an ELAN file ({SUFFIX})", 50_000_000)
# Milliseconds of a unit of time. Source: EAFv3.0.xsd, TIME_UNITS of HEADER; NTSC has 30,000 frames in 1,001 s.
_UNIT_MS = {"milliseconds": 1.0, "PAL-frames": 40.0, "PAL-50-frames": 20.0, "NTSC-frames": 1001 / 30}
# ELAN nests tiers a few levels deep; a longer chain of references is circular.
_MAX_PARENTS = 50


def read_eaf(path: Path) -> TimedDocument:
    """Returns the tiers of an ELAN file.

    An annotation that refers to another one has its times; several that refer to the same one share its time evenly.
    Time slots without a time are spread evenly between their neighbours.

    Raises InputError for an invalid ELAN file, or one that is too large.
    """
    path = Path(path)
    _check_xml(path)
    try:
        eaf = _pympi().Eaf(str(path), suppress_version_warning=True)
    except MissingExtraError:
        raise
    except Exception as error:
        # pympi raises a bare Exception, KeyError, IndexError or ValueError, whatever is wrong with a file.
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise InputError(f"{path}: not an ELAN file ({what}); open it in ELAN and save it again") from None
    unit = eaf.header.get("TIME_UNITS") or "milliseconds"
    if unit not in _UNIT_MS:
        raise InputError(f"{path}: TIME_UNITS is {unit!r}; needed one of {', '.join(_UNIT_MS)}")
    try:
        times = {name: round(value * _UNIT_MS[unit]) for name, value in _times(eaf.timeslots).items()}
        tiers = {name: tuple(_intervals(eaf, name, times)) for name in eaf.tiers}
    except OverflowError:
        raise InputError(f"{path}: a time that no clock can show; open it in ELAN and save it again") from None
    except (KeyError, RecursionError) as error:
        raise InputError(f"{path}: an annotation refers to {error}, which the file does not have") from None
    participants = {name: str(tier[2]["PARTICIPANT"]) for name, tier in eaf.tiers.items() if tier[2].get("PARTICIPANT")}
    media = [_medium(path, item) for item in eaf.media_descriptors]
    return TimedDocument(tiers, participants, tuple(medium for medium in media if medium is not None))


def _medium(path: Path, descriptor: Mapping[str, str]) -> Medium | None:
    """Returns a linked media file. Raises InputError for a TIME_ORIGIN that is no number."""
    origin = descriptor.get("TIME_ORIGIN") or "0"
    try:
        origin_ms = int(origin)
        float(origin_ms)
    except (ValueError, OverflowError):
        raise InputError(f"{path}: TIME_ORIGIN is {origin!r}; needed whole milliseconds") from None
    absolute = Medium.linked(descriptor.get("MEDIA_URL") or "", origin_ms)
    return Medium.linked(descriptor.get("RELATIVE_MEDIA_URL") or "", origin_ms) or absolute


def write_eaf(
    glosses: Sequence[TimedAnnotation],
    confidences: Sequence[float],
    *,
    media: Path | None = None,
    folder: Path | None = None,
) -> str:
    """Returns the text of an ELAN file with a tier of glosses and a tier of their confidences (0 to 1).

    media: the video, linked by its path relative to `folder`, the future folder of the file (None: working folder).
    """
    eaf = _pympi().Eaf(author="signloom")
    eaf.add_linguistic_type(CONFIDENCE_TIER, constraints="Symbolic_Association", timealignable=False)
    eaf.remove_tier("default")
    eaf.header.update({"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    eaf.add_tier(GLOSS_TIER)
    eaf.add_tier(CONFIDENCE_TIER, ling=CONFIDENCE_TIER, parent=GLOSS_TIER)
    for start, end, gloss in glosses:
        eaf.add_annotation(GLOSS_TIER, start, max(end, start + 1), _xml_text(gloss))
    for gloss_id, confidence in zip(list(eaf.tiers[GLOSS_TIER][0]), confidences, strict=True):
        # Does the same as `add_ref_annotation`, which would look up every gloss by its time.
        own_id = eaf.generate_annotation_id()
        eaf.annotations[own_id] = CONFIDENCE_TIER
        eaf.tiers[CONFIDENCE_TIER][1][own_id] = (gloss_id, f"{confidence:.2f}", None, None)
    if media is not None:
        relative = Path(os.path.relpath(media, folder or Path())).as_posix()
        relative = relative if relative.startswith("../") else f"./{relative}"
        eaf.add_linked_file(relative, relative, mimetypes.guess_type(media.name)[0] or "video/unknown")
    from pympi.Elan import to_string

    return f'<?xml version="1.0" encoding="UTF-8"?>\n{to_string(eaf)}\n'


def _pympi() -> Any:
    with needs_extra("an ELAN file"):
        import pympi
    return pympi


def _check_xml(path: Path) -> None:
    """Raises InputError for XML that is not well-formed or has a document type declaration."""

    def refuse(name: str, *_: object) -> None:
        raise InputError(
            f"{path}: declares the document type {name!r}, which could hide entities; ELAN never writes one. "
            "Open the file in ELAN and save it again"
        )

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    try:
        with open_file(path, _EAF) as file:
            parser.ParseFile(file)
    except (expat.ExpatError, LookupError, ValueError) as error:
        # Python raises the other two for an encoding that it does not know.
        raise InputError(f"{path}: not well-formed XML ({error}); open it in ELAN and save it again") from None


def _xml_text(text: str) -> str:
    """Returns `text` without the control characters that XML cannot hold."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", text)


def _times(slots: Mapping[str, int | None]) -> dict[str, int]:
    """Returns the time of every slot; slots without one are spread evenly between their neighbours in the file."""
    order = list(slots)
    known = [number for number, name in enumerate(order) if slots[name] is not None]
    times = {order[number]: int(slots[order[number]] or 0) for number in known}
    for first, last in pairwise(known):
        start, end = times[order[first]], times[order[last]]
        for number in range(first + 1, last):
            times[order[number]] = round(start + (end - start) * (number - first) / (last - first))
    return times


def _intervals(eaf: Any, name: str, times: Mapping[str, int]) -> list[TimedAnnotation]:
    aligned, referring = eaf.tiers[name][:2]
    annotations = [TimedAnnotation(times[start], times[end], value) for start, end, value, _ in aligned.values()]
    sharing: defaultdict[str, list[str]] = defaultdict(list)
    for own_id, (parent_id, *_) in referring.items():
        sharing[parent_id].append(own_id)
    for parent_id, own_ids in sharing.items():
        start, end = _span(eaf, parent_id, times)
        ordered = _chained(own_ids, {own_id: referring[own_id][2] for own_id in own_ids})
        edges = [round(start + (end - start) * part / len(ordered)) for part in range(len(ordered) + 1)]
        annotations += [
            TimedAnnotation(left, right, referring[own_id][1])
            for own_id, (left, right) in zip(ordered, pairwise(edges), strict=True)
        ]
    return sorted(annotations, key=lambda item: (item.start_ms, item.end_ms))


def _span(eaf: Any, annotation_id: str, times: Mapping[str, int]) -> tuple[int, int]:
    """Returns start and end of an annotation, or of the one it refers to. Raises KeyError if there is none."""
    for _ in range(_MAX_PARENTS):
        aligned, referring = eaf.tiers[eaf.annotations[annotation_id]][:2]
        if annotation_id in aligned:
            start, end = aligned[annotation_id][:2]
            return times[start], times[end]
        annotation_id = referring[annotation_id][0]
    raise KeyError(annotation_id)


def _chained(ids: Sequence[str], previous: Mapping[str, str | None]) -> list[str]:
    """Returns `ids` so that each follows its previous one; ids outside valid chains keep the order of the file."""
    following = {before: own for own, before in previous.items() if before in previous}
    ordered: dict[str, None] = {}
    for first in [own for own in ids if previous[own] not in previous] + list(ids):
        current: str | None = first
        while current is not None and current not in ordered:
            ordered[current] = None
            current = following.get(current)
    return list(ordered)
