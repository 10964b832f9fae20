"""What a tracker does to its points, measured on landmarks alone: jitter, spectra, lost hands, depth, visibility.

Every function takes clips and works on recorded and simulated ones alike. Lengths are in image heights unless a name
says otherwise. Shapes: T frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from signloom import layout
from signloom.landmarks import Landmarks
from signloom.synth.jitter import HANDS

# Pose points that are seen in any framing of a signer; the others are guesses more often than not.
HEAD = layout.indices("pose.nose", "pose.left_eye", "pose.right_eye", "pose.left_ear", "pose.right_ear")
SHOULDERS = layout.indices("pose.left_shoulder", "pose.right_shoulder")
WRISTS = layout.indices("pose.left_wrist", "pose.right_wrist")
ELBOWS = layout.indices("pose.left_elbow", "pose.right_elbow")
# Edges of the bins of a hand's speed, image heights a second.
SPEED_BINS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, np.inf)
# Frames of the windows of spectra.
WINDOW = 16
# A hand is in view when its pose wrist is this far inside the picture, and half as far again above its lower edge:
# fingers reach about 0.1 beyond a wrist.
MARGIN = 0.06
# Weights of the second difference that keep the variance of noise that is new in each frame.
_SECOND = np.array([-0.5, 1.0, -0.5]) / np.sqrt(1.5)
# The same of the fourth difference: it keeps less of a movement, and less of noise that is correlated in time.
_FOURTH = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / np.sqrt(70.0)


@dataclass(frozen=True)
class Hand:
    """One hand of one clip.

    points: (T, 21, 3), NaN where missing.  wrist, elbow: of the pose, (T, 2).  nose, other: pose nose and other pose
    wrist, (T, 2).  width: of the image.  shoulders: their distance, the median of the clip.  fps.
    """

    points: np.ndarray
    wrist: np.ndarray
    other: np.ndarray
    nose: np.ndarray
    width: float
    shoulders: float
    fps: float

    @property
    def present(self) -> np.ndarray:
        return np.isfinite(self.points[:, 0, 0])

    @property
    def length(self) -> float:
        """From the wrist to the knuckle of the middle finger and on to its tip, median over frames."""
        knuckle = np.linalg.norm(self.points[:, layout.KNUCKLES[1], :2] - self.points[:, 0, :2], axis=1)
        return float(2 * np.nanmedian(knuckle)) if self.present.any() else float("nan")

    def inside(self) -> np.ndarray:
        """How far the pose wrist is from the nearest edge of the picture, (T,); below 0 outside."""
        x, y = self.wrist[:, 0], self.wrist[:, 1]
        return np.minimum(np.minimum(x, self.width - x), np.minimum(y, 1 - y))

    def in_view(self) -> np.ndarray:
        """Whether the hand ought to be seen, (T,) bool."""
        return (self.inside() > MARGIN) & (self.wrist[:, 1] < 1 - 1.5 * MARGIN)

    def speed(self) -> np.ndarray:
        """Of the pose wrist, image heights a second, (T,)."""
        return np.linalg.norm(np.gradient(self.wrist, axis=0), axis=1) * self.fps


def hands_of(clips: Iterable[Landmarks]) -> Iterator[Hand]:
    """The hands of clips of at least five frames in which the pose is never missing."""
    for clip in clips:
        pose = clip.points[:, layout.GROUPS["pose"]].astype(np.float64)
        if len(clip) < 5 or not np.isfinite(pose).all():
            continue
        width, height = clip.image_size or (1, 1)
        shoulders = np.median(np.linalg.norm(pose[:, SHOULDERS[0], :2] - pose[:, SHOULDERS[1], :2], axis=1))
        for side, hand in enumerate(HANDS):
            yield Hand(
                points=clip.points[:, layout.GROUPS[hand]].astype(np.float64),
                wrist=pose[:, WRISTS[side], :2],
                other=pose[:, WRISTS[1 - side], :2],
                nose=pose[:, 0, :2],
                width=width / height * clip.pixel_aspect,
                shoulders=float(shoulders),
                fps=clip.fps,
            )


def residual(values: np.ndarray, weights: np.ndarray = _SECOND) -> np.ndarray:
    """What a difference of neighbours leaves of `values` (T, ...), (T - order, ...)."""
    count = len(values) - len(weights) + 1
    return np.sum([weight * values[at : at + count] for at, weight in enumerate(weights)], axis=0)


def jitter_at_rest(clips: Sequence[Landmarks]) -> dict[str, float]:
    """Root mean square of the jitter of each part where it moves least, by second and by fourth differences.

    Of windows of 7 frames the calmest fifth of each part. `_shared` is what the part's points have in common,
    `_similarity` what a turn or change of size adds, `_own` the rest. Hands, face and their z in lengths of the hand
    (or 1/2 shoulder width for the face and the pose): the tracker looks at a crop, its errors grow with its size.
    `correlation`: of second differences with those of the next frame; -0.67 for noise new in every frame.
    """
    found: dict[str, float] = {}
    for part, windows in _calm_windows(clips).items():
        flat = np.concatenate([residual(window)[None] for window in windows])
        found[f"{part}_2nd"] = _rms(flat[..., :2])
        found[f"{part}_4th"] = _rms(np.concatenate([residual(window, _FOURTH)[None] for window in windows])[..., :2])
        found[f"{part}_z_2nd"] = _rms(flat[..., 2])
        ahead, now = flat[:, 1:, :, :2], flat[:, :-1, :, :2]
        found[f"{part}_correlation"] = float((ahead * now).sum() / np.sqrt((ahead**2).sum() * (now**2).sum()))
        if part in ("hand", "face"):
            places = np.concatenate([window[None, 1:-1, :, :2] for window in windows])
            shared, similarity, own = _shares(flat[..., :2], places)
            found.update({f"{part}_shared": shared, f"{part}_similarity": similarity, f"{part}_own": own})
    return found


def _calm_windows(clips: Sequence[Landmarks]) -> dict[str, list[np.ndarray]]:
    """For each part windows (7, P, 3) in which it rests, in units of its size."""
    size = 7
    windows: dict[str, list[tuple[float, np.ndarray]]] = {}

    def collect(part: str, points: np.ndarray, scale: float) -> None:
        if not scale > 0:
            return
        for start in range(0, len(points) - size + 1, 3):
            window = points[start : start + size] / scale
            if np.isfinite(window).all():
                middle = window[..., :2].mean(axis=1)
                # Movement, not jitter: means of the ends of the window.
                move = float(np.linalg.norm(middle[-3:].mean(axis=0) - middle[:3].mean(axis=0)) + np.ptp(middle) / 4)
                windows.setdefault(part, []).append((move, window))

    for hand in hands_of(clips):
        seen = np.where(hand.in_view()[:, None, None], hand.points, np.nan)
        collect("hand", seen, hand.length)
    for clip in clips:
        points = clip.points.astype(np.float64)
        half = 0.5 * np.nanmedian(np.linalg.norm(points[:, SHOULDERS[0], :2] - points[:, SHOULDERS[1], :2], axis=1))
        collect("face", points[:, layout.GROUPS["face"]], half)
        collect("head", points[:, HEAD], half)
        collect("shoulders", points[:, SHOULDERS], half)
        height = points[:, WRISTS, 1]
        for side in range(2):
            seen = (height[:, side] < 1 - MARGIN)[:, None, None]
            collect("wrist", np.where(seen, points[:, WRISTS[side], None], np.nan), half)
            below = (points[:, ELBOWS[side], 1] < 1)[:, None, None]
            collect("elbow", np.where(below, points[:, ELBOWS[side], None], np.nan), half)
    calm = {}
    for part, found in windows.items():
        limit = np.quantile([move for move, _ in found], 0.2)
        calm[part] = [window for move, window in found if move <= limit]
    return calm


def _shares(errors: np.ndarray, places: np.ndarray) -> tuple[float, float, float]:
    """Root mean squares of the parts of errors (N, T, P, 2) at places (N, T, P, 2): shared, similarity, own."""
    shared = errors.mean(axis=-2, keepdims=True)
    around = places - places.mean(axis=-2, keepdims=True)
    turned = np.stack([-around[..., 1], around[..., 0]], axis=-1)
    norm = (around**2).sum(axis=(-1, -2), keepdims=True)
    left = errors - shared
    by_size = (left * around).sum(axis=(-1, -2), keepdims=True) / norm * around
    by_turn = (left * turned).sum(axis=(-1, -2), keepdims=True) / norm * turned
    return _rms(shared), _rms(by_size + by_turn), _rms(left - by_size - by_turn)


def jitter_by_speed(clips: Sequence[Landmarks]) -> dict[str, list[float]]:
    """For each bin of a hand's speed, in hand lengths, from fourth differences.

    Root mean square for its points about their middle (`shape`), its middle (`middle`) and the pose wrist (`wrist`);
    `shape_median`: with the median over frames in place of the mean; `share`: of the frames in view.
    """
    sums: dict[str, list[list[float]]] = {name: [[] for _ in SPEED_BINS[1:]] for name in ("shape", "middle", "wrist")}
    frames = np.zeros(len(SPEED_BINS) - 1)
    for hand in hands_of(clips):
        seen = hand.in_view()
        speed = np.convolve(hand.speed(), np.ones(3) / 3, mode="same")
        frames += np.histogram(speed[seen], SPEED_BINS)[0]
        points = np.where(seen[:, None, None], hand.points, np.nan)[..., :2] / hand.length
        middle = points.mean(axis=1)
        around = points - middle[:, None]
        at = np.clip(np.searchsorted(SPEED_BINS, speed[2:-2], side="right") - 1, 0, len(SPEED_BINS) - 2)
        wrist = np.where(seen[:, None], hand.wrist, np.nan) / hand.length
        for name, values in (("shape", around), ("middle", middle), ("wrist", wrist)):
            square = residual(values, _FOURTH) ** 2
            square = square.reshape(len(square), -1).mean(axis=1)
            for place, value in zip(at, square, strict=True):
                if np.isfinite(value):
                    sums[name][place].append(value)
    result = {name: [float(np.sqrt(np.mean(v))) if v else float("nan") for v in rows] for name, rows in sums.items()}
    result["shape_median"] = [float(np.sqrt(np.median(v))) if v else float("nan") for v in sums["shape"]]
    result["share"] = (frames / frames.sum()).tolist()
    return result


def speeds(clips: Sequence[Landmarks]) -> np.ndarray:
    """Speeds of hands in view, by their pose wrists, in shoulder widths a second."""
    return np.concatenate([(hand.speed() / hand.shoulders)[hand.in_view()] for hand in hands_of(clips)])


def spectrum(clips: Sequence[Landmarks], part: str) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in shares of the frame rate, and the mean power of x and y of windows of 16 frames, in squared
    shoulder widths; part: `hand` (its points about their middle), `middle` (of a hand), `wrist` (of the pose),
    `head` (of the pose), `face` (about its middle), `depth` (z of a hand), `pose_depth`."""
    taper = np.hanning(WINDOW + 2)[1:-1]
    powers = []
    for values in _tracks(clips, part):
        for start in range(0, len(values) - WINDOW + 1, WINDOW // 2):
            window = values[start : start + WINDOW].reshape(WINDOW, -1)
            if not np.isfinite(window).all():
                continue
            line = window[0] + np.linspace(0, 1, WINDOW)[:, None] * (window[-1] - window[0])
            power = np.abs(np.fft.rfft((window - line) * taper[:, None], axis=0)) ** 2 / (taper**2).sum()
            powers.append(power.mean(axis=1))
    return np.fft.rfftfreq(WINDOW), np.mean(powers, axis=0) if powers else np.full(WINDOW // 2 + 1, np.nan)


def _tracks(clips: Sequence[Landmarks], part: str) -> Iterator[np.ndarray]:
    if part in ("hand", "middle", "wrist", "depth"):
        for hand in hands_of(clips):
            seen = hand.in_view()
            points = np.where(seen[:, None, None], hand.points, np.nan) / hand.shoulders
            middle = points[..., :2].mean(axis=1)
            if part == "hand":
                yield points[..., :2] - middle[:, None]
            elif part == "middle":
                yield middle
            elif part == "depth":
                yield points[:, 1:, 2]
            else:
                yield np.where(seen[:, None], hand.wrist, np.nan) / hand.shoulders
        return
    for clip in clips:
        points = clip.points.astype(np.float64)
        points /= np.nanmedian(np.linalg.norm(points[:, SHOULDERS[0], :2] - points[:, SHOULDERS[1], :2], axis=1))
        if part == "head":
            yield points[:, HEAD, :2]
        elif part == "pose_depth":
            yield points[:, np.concatenate([HEAD, SHOULDERS]), 2]
        else:
            face = points[:, layout.GROUPS["face"], :2]
            yield face - face.mean(axis=1, keepdims=True)


def depth(clips: Sequence[Landmarks]) -> dict[str, float]:
    """How deep things are by their z: medians, in shoulder widths or as the name says."""
    rows: dict[str, list[float]] = {}
    for clip in clips:
        points = clip.points.astype(np.float64)
        points /= np.nanmedian(np.linalg.norm(points[:, SHOULDERS[0], :2] - points[:, SHOULDERS[1], :2], axis=1))
        rows.setdefault("nose over shoulders", []).append(
            float(np.nanmedian(points[:, 0, 2] - points[:, SHOULDERS, 2].mean(axis=1)))
        )
        rows.setdefault("shoulders over hips", []).append(float(np.nanmedian(points[:, SHOULDERS, 2])))
        rows.setdefault("wrists over shoulders", []).append(
            float(np.nanmedian(points[:, WRISTS, 2] - points[:, SHOULDERS, 2]))
        )
        face = points[:, layout.GROUPS["face"]]
        if np.isfinite(face).any():
            kept = face[np.isfinite(face[:, 0, 0])]
            rows.setdefault("face, range of z over range of x", []).append(
                float(np.median(np.ptp(kept[..., 2], axis=1) / np.ptp(kept[..., 0], axis=1)))
            )
    for hand in hands_of(clips):
        if hand.present.any():
            rows.setdefault("hand, spread of z over spread of x, y", []).append(
                float(
                    np.nanmedian(hand.points[..., 2].std(axis=1))
                    / np.nanmedian(hand.points[..., :2].std(axis=1).mean(axis=1))
                )
            )
            rows.setdefault("hand, middle z", []).append(
                float(np.nanmedian(hand.points[..., 2].mean(axis=1)) / hand.length)
            )
    return {name: float(np.nanmedian(values)) for name, values in rows.items()}


def visibility(clips: Sequence[Landmarks]) -> dict[str, list[float]]:
    """5 %, 50 % and 95 % quantiles of visibility: of shoulders, of wrists and elbows well inside and below."""
    rows: dict[str, list[np.ndarray]] = {}
    for clip in clips:
        seen, height = clip.visibility, clip.points[:, :33, 1]
        if not np.isfinite(seen).any():
            continue
        rows.setdefault("shoulders", []).append(seen[:, SHOULDERS].ravel())
        for name, points in (("wrists", WRISTS), ("elbows", ELBOWS)):
            y, v = height[:, points].ravel(), seen[:, points].ravel()
            rows.setdefault(f"{name} in view", []).append(v[y < 0.9])
            rows.setdefault(f"{name} at the edge", []).append(v[(y >= 0.9) & (y < 1.1)])
            rows.setdefault(f"{name} out of view", []).append(v[y >= 1.1])
    joined = {name: np.concatenate(values) for name, values in rows.items()}
    return {name: np.nanquantile(v, (0.05, 0.5, 0.95)).tolist() for name, v in joined.items() if len(v)}


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
