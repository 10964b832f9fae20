"""What the page needs of a model beside its graph, as JSON. `web/src/recognizer/model.ts` has its counterpart."""

from __future__ import annotations

import base64
import math
from dataclasses import asdict
from typing import Any

import numpy as np

from signloom import layout
from signloom.ctc.ngram import NGram
from signloom.ctc.spans import SpanSettings
from signloom.inference.model import Model
from signloom.inference.stream_options import StreamOptions, stream_limits

_TABLE = {"ids": "<i4", "log_probs": "<f4", "backoffs": "<f4"}


def model_record(model: Model, stream: StreamOptions | None = None) -> dict[str, Any]:
    """Returns vocabulary, decoder, language model, spans and frame rate of a model, and which points it takes."""
    config = model.engine.config
    return {
        "words": list(model.vocabulary.words),
        "decoding": model.decoding.to_json(),
        "language_model": _language_model(model.language_model) if model.decoding.uses_language_model else None,
        "limits": stream_limits(model.decoding)._asdict(),
        "spans": SpanSettings.of(model.info).to_json(),
        "fps": config.fps,
        "stride": config.stride,
        "grid": math.prod(config.body_strides),
        "points": layout.subset(model.view).tolist(),
        "rest": _rest_points(model.view),
        "stream": asdict(stream or StreamOptions()),
    }


def _rest_points(view: str) -> dict[str, Any]:
    """Returns where the points that tell of rest are among those of a view; left before right."""
    groups = layout.subset_groups(view)
    sides = ("left", "right")
    return {
        "shoulders": [layout.subset_index(view, f"pose.{side}_shoulder") for side in sides],
        "wrists": [layout.subset_index(view, f"pose.{side}_wrist") for side in sides],
        "hands": [[groups[f"{side}_hand"].start, groups[f"{side}_hand"].stop] for side in sides],
        "tips": list(layout.FINGER_TIPS),
    }


def _language_model(model: NGram | None) -> dict[str, Any] | None:
    if model is None:
        return None
    tables = [{name: _base64(getattr(table, name), dtype) for name, dtype in _TABLE.items()} for table in model.tables]
    return {"words": list(model.words), "tables": tables}


def _base64(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")
