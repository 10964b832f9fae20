"""The front end as a graph: points `(B, T, P, 3)` to the normalised features of each modality; see `model.frontend`.

Shapes: B clips, T frames, N = B * T, P points, D dimensions of a point (2 in the compact view), F features.

Time is the last axis here: ONNX Runtime broadcasts fast along long axes, and slowly over two or three coordinates.
"""

from __future__ import annotations

import numpy as np

from signloom.model.frontend import CLAMP, MIN_SCALE, FrontEnd
from signloom.model.onnx_graph.builder import Graph

# Further away than any frame of a clip.
_FAR = 1e7


def features(graph: Graph, frontend: FrontEnd, points: str, valid: str) -> dict[str, str]:
    """Returns normalised features `(N, F)` by modality. Those of padded frames mean nothing.

    valid: `(B, T)` bool, which frames are no padding.
    """
    rows = graph.op("Transpose", graph.reshape(points, 0, 0, 3 * frontend.num_points), perm=[0, 2, 1])
    points = graph.reshape(rows, 0, frontend.num_points, 3, -1)
    if frontend.view == "compact":
        points = graph.sliced(points, 2, 0, 2)
    inside = graph.op("Unsqueeze", valid, graph.ints(1, 2))
    points = graph.op("Where", inside, points, graph.constant(np.nan))
    groups, anchors = _groups(graph, frontend, points)
    raw = _compact(graph, frontend, groups, anchors) if frontend.view == "compact" else _full(graph, frontend, groups)
    mean, std = (values.detach().cpu().float().numpy() for values in (frontend.mean, frontend.std))
    return {
        name: _normalised(graph, raw[name], mean[part], std[part]) for name, part in frontend.modality_slices().items()
    }


def _normalised(graph: Graph, x: str, mean: np.ndarray, std: np.ndarray) -> str:
    """Returns `(B, F, T)` as normalised frames `(N, F)`, 0 where unknown."""
    z = graph.op("Mul", graph.op("Sub", x, graph.constant(mean[:, None])), graph.constant(1 / std[:, None]))
    # Before the limits: what the operator Clip makes of NaN is not defined.
    limited = graph.op("Clip", _or_zero(graph, z), graph.constant(-CLAMP), graph.constant(CLAMP))
    return graph.reshape(graph.op("Transpose", limited, perm=[0, 2, 1]), -1, len(mean))


def _or_zero(graph: Graph, x: str) -> str:
    """Returns `x` with 0 for NaN."""
    return graph.op("Where", graph.op("IsNaN", x), graph.constant(0.0), x)


def _nanmean(graph: Graph, x: str, *axes: int) -> str:
    """Returns the mean of the known values over the axes, which are kept; NaN where there are none, by 0 / 0."""
    missing = graph.op("IsNaN", x)
    total = graph.op("Where", missing, graph.constant(0.0), x)
    count = graph.op("Cast", graph.op("Not", missing), to=1)
    # Several axes one after another: apart from each other, they are slow to reduce in one step.
    for axis in axes:
        total, count = (graph.op("ReduceSum", sums, graph.ints(axis), keepdims=1) for sums in (total, count))
    return graph.op("Div", total, count)


def _length(graph: Graph, x: str) -> str:
    """Returns the length of vectors `(B, P, D, T)` without their depth, `(B, P, 1, T)`."""
    return graph.op("Sqrt", graph.op("ReduceSumSquare", graph.sliced(x, 2, 0, 2), axes=[2], keepdims=1))


def _body_frame(graph: Graph, frontend: FrontEnd, points: str) -> tuple[str, str]:
    """Returns root `(B, 1, D, 1)` and scale `(B, 1, 1, 1)` of each clip; see `FrontEnd.body_frame`."""
    left, right = (
        graph.sliced(points, 1, index, index + 1) for index in (frontend._left_shoulder, frontend._right_shoulder)
    )
    centre = graph.op("Mul", graph.op("Add", left, right), graph.constant(0.5))
    shoulders_root = _nanmean(graph, centre, 3)
    shoulders_scale = _nanmean(graph, _length(graph, graph.op("Sub", left, right)), 3)
    cloud_root = _nanmean(graph, points, 3, 1)
    spread = _nanmean(graph, _length(graph, graph.op("Sub", points, cloud_root)), 3, 1)
    cloud_scale = graph.op("Mul", spread, graph.constant(2.0))
    unseen = graph.op("IsNaN", shoulders_scale)
    root = _or_zero(graph, graph.op("Where", unseen, cloud_root, shoulders_root))
    scale = graph.op("Where", unseen, cloud_scale, shoulders_scale)
    # False for NaN as well.
    usable = graph.op("Greater", scale, graph.constant(MIN_SCALE))
    return root, graph.op("Where", usable, scale, graph.constant(1.0))


def _filled(graph: Graph, frontend: FrontEnd, points: str) -> str:
    """Returns points `(B, P, D, T)` with short gaps of the parts filled; see `model.filling`."""
    gap, parts = frontend.fill_frames, list(frontend.groups.values())
    unknown = graph.op("Cast", graph.op("IsNaN", graph.sliced(points, 2, 0, 1)), to=1)
    unknown_of = (graph.sliced(unknown, 1, part.start, part.stop) for part in parts)
    missing = [graph.op("ReduceMin", x, axes=[1], keepdims=0) for x in unknown_of]
    # One row for each part, (B, G, T), from here on.
    lost = graph.op("Cast", graph.op("Concat", *missing, axis=1), to=9)
    zero, far = graph.constant(0.0), graph.constant(_FAR)
    frames = graph.op("Cast", graph.numbers(graph.op("Shape", points, start=3, end=4)), to=1)
    before = graph.op("Where", lost, graph.op("Neg", far), frames)
    before = graph.op("MaxPool", before, kernel_shape=[gap + 1], pads=[gap, 0])
    after = graph.op("Where", lost, graph.op("Neg", far), graph.op("Neg", frames))
    after = graph.op("Neg", graph.op("MaxPool", after, kernel_shape=[gap + 1], pads=[0, gap]))
    length = graph.op("Sub", after, before)
    filled = graph.op("And", lost, graph.op("Less", length, graph.constant(gap + 1.5)))
    share = graph.op("Where", filled, graph.op("Div", graph.op("Sub", frames, before), length), zero)
    part_of = graph.constant(np.repeat(np.arange(len(parts)), [part.stop - part.start for part in parts]), np.int64)

    def by_point(x: str) -> str:
        """Returns `(B, G, T)` as `(B, P, 1, T)`."""
        return graph.op("Unsqueeze", graph.op("Gather", x, part_of, axis=1), graph.ints(2))

    def at(frame: str) -> str:
        """Returns the points `(B, P, D, T)` at the frame that each part has for every frame."""
        index = by_point(graph.op("Cast", graph.op("Where", filled, frame, zero), to=7))
        return graph.op("GatherElements", points, graph.op("Expand", index, graph.op("Shape", points)), axis=3)

    first = at(before)
    between = graph.op("Add", first, graph.op("Mul", by_point(share), graph.op("Sub", at(after), first)))
    return graph.op("Where", by_point(filled), between, points)


def _groups(graph: Graph, frontend: FrontEnd, points: str) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the points `(B, P, D, T)` and the anchors `(B, 1, D, T)` of the groups; see `FrontEnd._groups`."""
    root, scale = _body_frame(graph, frontend, points)
    points = _filled(graph, frontend, points) if frontend.fill_frames else points
    body = graph.op("Mul", graph.op("Sub", points, root), graph.op("Reciprocal", scale))
    normalised, anchors = {}, {}
    for name, part in frontend.groups.items():
        group = graph.sliced(body, 1, part.start, part.stop)
        if name != "pose":
            anchors[name] = _nanmean(graph, group, 1) if name == "face" else graph.sliced(group, 1, 0, 1)
            group = graph.op("Sub", group, anchors[name])
        normalised[name] = group
    return normalised, anchors


def _rows(graph: Graph, points: str, num_features: int) -> str:
    """Returns `(B, P, D, T)` as `(B, F, T)`."""
    return graph.reshape(points, 0, num_features, -1)


def _change(graph: Graph, x: str) -> str:
    """Returns the difference of each frame to the one before, one frame less than `x` has."""
    return graph.op("Sub", graph.sliced(x, 2, 1), graph.sliced(x, 2, 0, -1))


def _padded(graph: Graph, x: str, before: int, after: int) -> str:
    """Returns `(B, F, T)` with so many more frames of NaN."""
    return graph.op("Pad", x, graph.ints(0, 0, before, 0, 0, after), graph.constant(np.nan))


def _compact(graph: Graph, frontend: FrontEnd, groups: dict[str, str], anchors: dict[str, str]) -> dict[str, str]:
    features = {}
    for name, points in groups.items():
        num_points = frontend.groups[name].stop - frontend.groups[name].start
        position = _rows(graph, points, 2 * num_points)
        if name in anchors:
            position = graph.op("Concat", position, _rows(graph, anchors[name], 2), axis=1)
        step = _change(graph, position)
        known = graph.op("Cast", graph.op("Not", graph.op("IsNaN", graph.sliced(points, 2, 0, 1))), to=1)
        detected = graph.op("Squeeze", graph.op("ReduceMax", known, axes=[1], keepdims=1), graph.ints(2))
        features[name] = graph.op(
            "Concat", position, _padded(graph, step, 0, 1), _padded(graph, step, 1, 0), detected, axis=1
        )
    return features


def _full(graph: Graph, frontend: FrontEnd, groups: dict[str, str]) -> dict[str, str]:
    sizes = frontend.modalities
    num_values = 3 * frontend.num_points
    points = graph.op("Concat", *groups.values(), axis=1)
    position = _rows(graph, points, num_values)
    velocity = _padded(graph, _change(graph, position), 1, 0)
    acceleration = _padded(graph, _change(graph, velocity), 1, 0)
    x, y, z = (graph.sliced(points, 2, axis, axis + 1) for axis in range(3))
    distance = graph.op("Sqrt", graph.op("Add", graph.op("Mul", x, x), graph.op("Mul", y, y)))
    radius = graph.op("Sqrt", graph.op("Add", graph.op("Mul", distance, distance), graph.op("Mul", z, z)))
    polar = graph.op("Concat", radius, _atan2(graph, y, x), _atan2(graph, z, distance), axis=2)
    hands = graph.op("Concat", groups["left_hand"], groups["right_hand"], axis=1)
    return {
        "pose": _rows(graph, groups["pose"], sizes["pose"]),
        "hands": _rows(graph, hands, sizes["hands"]),
        "face": _rows(graph, groups["face"], sizes["face"]),
        "temporal": graph.op("Concat", velocity, acceleration, _rows(graph, polar, num_values), axis=1),
    }


def _atan2(graph: Graph, y: str, x: str) -> str:
    """Returns atan2, which ONNX lacks: 0 where both are 0, NaN where either is."""
    zero = graph.constant(0.0)
    half = graph.op("Atan", graph.op("Div", y, x))
    turn = graph.op("Where", graph.op("Less", y, zero), graph.constant(-np.pi), graph.constant(np.pi))
    angle = graph.op("Where", graph.op("Less", x, zero), graph.op("Add", half, turn), half)
    neither = graph.op("And", graph.op("Equal", x, zero), graph.op("Equal", y, zero))
    return graph.op("Where", neither, zero, angle)
