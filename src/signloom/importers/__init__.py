"""Other people's data -> ours: one module a source, listed here for `signloom import KIND`.

Two kinds make a corpus: annotations joined with landmark files, and collections of isolated clips. The others turn
another format of landmarks into landmark files, for annotations to be joined with.
"""

from __future__ import annotations

from signloom.commands import Command

KINDS: dict[str, Command] = {
    "phoenix2014": Command(
        "signloom.importers.phoenix2014", "RWTH-PHOENIX-Weather 2014, multisigner or SI5, + landmark files -> a corpus"
    ),
    "phoenix2014t": Command(
        "signloom.importers.phoenix2014t", "RWTH-PHOENIX-Weather 2014 T + landmark files -> a corpus"
    ),
    "isharah": Command(
        "signloom.importers.isharah", "tables of id|gloss (Isharah and others) + landmark files -> a corpus"
    ),
    "csl_daily": Command("signloom.importers.csl_daily", "CSL-Daily's annotations + landmark files -> a corpus"),
    "elan": Command("signloom.importers.elan", "a tier of ELAN files (.eaf) + landmark files -> a corpus"),
    "clips": Command(
        "signloom.importers.clips", "folders of isolated clips, one folder a sign -> a corpus to compose from"
    ),
    "holistic": Command(
        "signloom.importers.holistic",
        "MP_Data/<sign>/<n>/<frame>.npy arrays of 258 or 1,662 values -> a corpus of clips",
    ),
    "pose": Command("signloom.importers.pose", ".pose files with MediaPipe points -> landmark files"),
    "coco_wholebody": Command(
        "signloom.importers.coco_wholebody", "arrays of the 133 COCO-WholeBody points -> landmark files"
    ),
    "features6516": Command(
        "signloom.importers.features6516", "feature files of 6,516 values a frame -> landmark files"
    ),
}
