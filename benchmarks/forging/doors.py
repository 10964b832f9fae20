"""All bad inputs, door by door."""

from __future__ import annotations

from forging import configs, corpora, importers, landmark_files, models, options, surroundings, texts
from forging.cases import Case


def cases() -> list[Case]:
    """Returns every case. Raises ValueError for an id that occurs twice."""
    found: dict[str, Case] = {}
    for door in (landmark_files, corpora, models, configs, texts, importers, options, surroundings):
        for case in door.cases():
            if case.id in found:
                raise ValueError(f"two cases have the id {case.id}")
            found[case.id] = case
    return list(found.values())
