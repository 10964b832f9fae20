"""Importers of other data: one module per source. Register a new importer in `KINDS`; `signloom import KIND` runs it.

Two kinds make a corpus: from annotations and landmark files, or from isolated clips. The other kinds convert another
landmark format into landmark files, which can then be joined with annotations.
"""

from __future__ import annotations

KINDS: dict[str, str] = {
    "auto": "recognises what a folder holds, names the importer and runs it",
    "phoenix2014": "RWTH-PHOENIX-Weather 2014, multisigner or SI5, + landmark files -> a corpus",
    "phoenix2014t": "RWTH-PHOENIX-Weather 2014 T + landmark files -> a corpus",
    "isharah": "tables of id|gloss (Isharah and others) + landmark files -> a corpus",
    "csl_daily": "CSL-Daily's annotations + landmark files -> a corpus",
    "elan": "a tier of ELAN files (.eaf) + landmark files -> a corpus",
    "glosl": "GloSL's annotations.csv beside .pose files (PHOENIX-2014-T, GSL and others) -> a corpus",
    "textgrid": "a tier of Praat files (.TextGrid) + landmark files -> a corpus",
    "subtitles": "cues of subtitle files (.srt, .vtt) + landmark files -> a corpus",
    "webdataset": "tar shards of poses in WebDataset's layout -> a corpus",
    "merge": "several corpora, or tiers and signers imported apart -> one corpus",
    "clips": "folders of isolated clips, one folder per sign -> a corpus to compose from",
    "holistic": "MP_Data/<sign>/<n>/<frame>.npy arrays of MediaPipe Holistic values -> a corpus of clips",
    "asl_signs": "Kaggle's asl-signs: train.csv and parquet files of landmarks -> a corpus of clips",
    "spoter": "csv tables of SPOTER: one row per clip, named columns -> a corpus of clips",
    "pose": ".pose files with MediaPipe points -> landmark files",
    "coco_wholebody": "133 COCO-WholeBody points of rtmlib, Uni-Sign, MSKA, HRNet (.npy, .npz, .pkl) -> landmark files",
    "isharah86": "pose pickles of Isharah and MSLR (86 points) -> landmark files",
    "openpose": "OpenPose's JSON files, one per frame -> landmark files",
    "openhands": "pose pickles of OpenHands (75 points) -> landmark files",
    "mediapipe_tasks": "JSON of MediaPipe Tasks' landmarkers (hands, pose, face, holistic) -> landmark files",
    "features6516": "feature files of 6,516 values per frame -> landmark files",
}


def module_of(kind: str) -> str:
    """Returns the dotted name of the module that imports `kind`."""
    return f"signloom.importers.{kind}"
