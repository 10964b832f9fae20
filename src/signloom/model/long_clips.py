"""Runs a recogniser on a clip that is too long to hold the values of all its layers: part by part, to the same result.

A part of the front end's and the body's output depends on a few more input frames on either side (their `reach`), so
these frames are computed twice. Only two things see the whole clip: the body's frame of reference, which is computed
first, and the BiLSTM, each of whose directions passes its state from one part to the next.

Shapes: T frames, P points of the view, D coordinates that it uses, T' output frames, C channels, V words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from signloom.landmarks import Frames
from signloom.model.blocks import BiLSTM, upsample
from signloom.model.frontend import BodyFrame, FrontEnd
from signloom.model.recognizer import Recognizer

# Frames of a part. The full view's features of so many frames take 50 MB, a handful of such arrays exists at once.
PART_FRAMES = 2048


@torch.inference_mode()
def long_log_probs(recognizer: Recognizer, points: Frames, *, part_frames: int = PART_FRAMES) -> np.ndarray:
    """Returns log-probabilities (T', V) float32 of one clip, those of `Recognizer.forward` but for rounding.

    The recogniser is in evaluation mode. Memory grows with T by its body's output, the BiLSTM's and the result.
    """
    body = recognizer.body
    if body.reach is None:
        # Squeeze-excite takes the mean of a layer over the whole clip.
        log_probs: np.ndarray = recognizer(_on_device(recognizer, points, slice(0, len(points))))[0][0].cpu().numpy()
        return log_probs
    features = _body_output(recognizer, points, part_frames)
    num_frames = len(points) if recognizer.config.frame_rate else features.shape[1]

    def read(frames: slice) -> Tensor:
        if not recognizer.config.frame_rate:
            return features[:, frames]
        return upsample(features, None, body.stride, frames.stop - frames.start, first=frames.start)

    x = _bilstm(recognizer.lstm, read, num_frames, part_frames)
    result = np.empty((num_frames, recognizer.num_words), dtype=np.float32)
    for frames in _parts(num_frames, part_frames):
        result[frames] = recognizer.log_probs_of(x[frames]).cpu().numpy()
    return result


def _on_device(recognizer: Recognizer, points: Frames, frames: slice) -> Tensor:
    """Returns the points of some frames on the recogniser's device, (1, T, P, 3)."""
    return torch.from_numpy(points[frames]).to(recognizer.frontend.mean.device)[None]


def _parts(num_frames: int, part_frames: int) -> list[slice]:
    return [slice(start, min(start + part_frames, num_frames)) for start in range(0, num_frames, part_frames)]


def _body_output(recognizer: Recognizer, points: Frames, part_frames: int) -> Tensor:
    """Returns the body's output for the whole clip, (1, T', C)."""
    frontend, body = recognizer.frontend, recognizer.body
    stride = body.stride
    # Whole output frames, so that the body's strides fall on the same frames in every part.
    halo = -(-((body.reach or 0) + frontend.reach) // stride) * stride
    part_frames = -(-part_frames // stride) * stride
    num_frames = len(points)

    def parts() -> Iterator[Tensor]:
        for frames in _parts(num_frames, part_frames):
            yield frontend.used(_on_device(recognizer, points, frames))

    body_frame = _body_frame(frontend, parts)
    output = frontend.mean.new_empty(1, -(-num_frames // stride), body.out_channels)
    for frames in _parts(num_frames, part_frames):
        first = max(0, frames.start - halo)
        some = _on_device(recognizer, points, slice(first, min(frames.stop + halo, num_frames)))
        some = body(frontend(some, None, body_frame), None)
        start, stop = frames.start // stride, -(-frames.stop // stride)
        output[:, start:stop] = some[:, start - first // stride : stop - first // stride]
    return output


def _body_frame(frontend: FrontEnd, parts: Callable[[], Iterator[Tensor]]) -> BodyFrame:
    """Returns the body's frame of reference of a clip given as parts (1, T, P, D), each time that `parts` is called."""

    def cloud() -> tuple[Tensor, Tensor]:
        """The same as `frontend.cloud_frame`, with sums in double precision."""
        total = count = distances = torch.zeros((), dtype=torch.float64)
        for part in parts():
            total = total + part.double().flatten(1, 2).nansum(1)
            count = count + torch.isfinite(part).flatten(1, 2).sum(1)
        root = (total / count).to(torch.get_default_dtype())
        known = torch.zeros((), dtype=torch.int64)
        for part in parts():
            spread = (part - root[:, None, None])[..., :2].square().sum(-1).sqrt()
            distances = distances + spread.double().nansum()
            known = known + torch.isfinite(spread).sum()
        return root, (2 * distances / known).to(root.dtype).reshape(1, 1)

    return frontend.body_frame(torch.cat([frontend.shoulders(part) for part in parts()], dim=1), cloud)


def _bilstm(lstm: BiLSTM, read: Callable[[slice], Tensor], num_frames: int, part_frames: int) -> Tensor:
    """Returns the BiLSTM's output (T', 2 hidden) for one clip; `read` returns some frames of its input, (1, T', C)."""
    parts = _parts(num_frames, part_frames)
    device = next(lstm.parameters()).device
    output = torch.empty(0)
    for number, (ahead, back) in enumerate(zip(lstm.forward_layers, lstm.backward_layers, strict=True)):
        x, output = output, torch.empty(num_frames, 2 * lstm.hidden, device=device)
        state = None
        for frames in parts:
            y, state = ahead(x[None, frames] if number else read(frames), state)
            output[frames, : lstm.hidden] = y[0]
        state = None
        for frames in reversed(parts):
            y, state = back((x[None, frames] if number else read(frames)).flip(1), state)
            output[frames, lstm.hidden :] = y[0].flip(0)
    return output
