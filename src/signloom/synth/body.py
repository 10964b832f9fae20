"""The signing body: from joint angles and hand places to all 543 points in metres, with bones of constant length.

Shapes: T frames. Metres; origin at the middle of the shoulders; x to the signer's left (the image's right), y down, z
away from the camera. Every arm is computed as a right arm on its own side (x negative); a left arm is its mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signloom import layout
from signloom.anatomy.hand_model import hand_points
from signloom.synth import face, skin
from signloom.synth.contact import Contact, ContactCorrection
from signloom.synth.proportions import Proportions
from signloom.synth.reach import before_ribs, reach, smooth, smooth_maximum
from signloom.synth.rotations import cross, head_rotation, matrix

# Joints of the hand near points of the pose model: knuckle and next joint of two fingers.
_INDEX, _PINKY = layout.hand_joints("index_mcp", "index_pip"), layout.hand_joints("pinky_mcp", "pinky_pip")
# The thumb's knuckle, also near a point of the pose model.
_THUMB = layout.hand_joints("thumb_mcp")[0]

# Points of the hips and legs, which sit still.
_LEGS = np.arange(layout.index("pose.left_hip"), layout.index("pose.right_foot_index") + 1)

# Angle between hand and forearm up to which the wrist bends freely, degrees.
WRIST_FREE = 45.0
# Angle between hand and forearm that the wrist never exceeds, degrees.
WRIST_LIMIT = 78.0
# Iterations that move a hand to what it touches.
_TOUCHES = 4
# Further iterations that move a hand out of what it would pass through.
_EVASIONS = 5
# The same for an arm with contacts, which `_touch` then refines.
_FIRST_EVASIONS = 2
# A move below this ends the iterations, metres.
_CLOSE_ENOUGH = 0.0015
# Iterations of `_touch` that move or turn a hand to the skin and evade.
_CONTACT_STEPS = 14
# Iterations of `_touch` after them that only evade.
_CONTACT_EVASIONS = 1
# Distance from the skin at which a contact counts as made, metres.
_NEAR_ENOUGH = 0.007
# Depth inside the body that `_touch` accepts, metres.
_OUT_ENOUGH = 0.007
# How far the skin yields to fingers at a contact, metres.
_SKIN_YIELDS = 0.008
# How far the trunk yields to a forearm at a contact, metres.
_TRUNK_YIELDS = 0.02
# How far the other forearm yields to a forearm at a contact, metres.
_FOREARM_YIELDS = 0.01
# Direction in which a touching arm makes way for the other: towards the camera and to its own side.
_ASIDE = np.array((-0.8, 0.0, -0.6))


@dataclass(frozen=True)
class Arm:
    """The motion of one arm, on its own side.

    place: (T, 3) where the touching point of the hand is.
    touching: (T,) which point that is, as a share of the hand's length from the wrist.
    rotation: (T, 4) unit quaternions (w, x, y, z) of the hand's axes.
    angles: (T, 16) joint angles, degrees.
    skin, other_arm: (T,) in 0..1, how firmly the hand touches the head or trunk, and the other arm.
    contacts: the spans in which the hand touches; it reaches the skin in at least one frame of each.
    """

    place: np.ndarray
    touching: np.ndarray
    rotation: np.ndarray
    angles: np.ndarray
    skin: np.ndarray
    other_arm: np.ndarray
    contacts: tuple[Contact, ...] = ()


@dataclass(frozen=True)
class Motion:
    """The motion of the body.

    right, left: both arms; the right hand acts on the left arm.
    expression: (T, 5) blend weights of the face.
    head: (T, 3) turn, nod and tilt of the head, degrees.
    sway: (T, 3) metres.
    lean: (3,) turn, nod and tilt of the trunk, degrees.
    fps: frames per second.
    """

    right: Arm
    left: Arm
    expression: np.ndarray
    head: np.ndarray
    sway: np.ndarray
    lean: np.ndarray
    fps: float = 25.0

    def __len__(self) -> int:
        return len(self.sway)


def pose_body(motion: Motion, body: Proportions) -> np.ndarray:
    """Returns all points of the body in every frame, (T, 543, 3) metres."""
    points = np.zeros((len(motion), layout.NUM_POINTS, 3), dtype=np.float32)
    head = head_rotation(motion.head)
    neck_turn = (body.head * head).astype(np.float32)
    points[:, layout.GROUPS["face"]] = _face(motion, neck_turn, body)
    strong, weak, _ = pose_arms(motion.right, motion.left, body, head, fps=motion.fps)
    for side, (elbow, hand), sign in (("right", strong, 1.0), ("left", weak, -1.0)):
        mirror = np.array((sign, 1.0, 1.0))
        points[:, layout.GROUPS[f"{side}_hand"]] = hand * mirror
        joints = {
            "shoulder": np.array((-body.shoulder_half_width, 0.0, 0.0)),
            "elbow": elbow,
            "wrist": hand[:, 0],
            # The pose model marks the knuckles roughly here; the hand model is more exact.
            "pinky": hand[:, _PINKY[0]] + 0.15 * (hand[:, _PINKY[1]] - hand[:, _PINKY[0]]),
            "index": hand[:, _INDEX[0]] + 0.3 * (hand[:, _INDEX[1]] - hand[:, _INDEX[0]]),
            "thumb": hand[:, _THUMB],
            "hip": np.array((-body.hip_half_width, body.trunk, 0.02)),
            "knee": np.array((-body.hip_half_width, body.trunk + 0.5 * body.leg, 0.0)),
            "ankle": np.array((-body.hip_half_width, body.trunk + body.leg, 0.05)),
            "heel": np.array((-body.hip_half_width, body.trunk + 1.05 * body.leg, 0.08)),
            "foot_index": np.array((-body.hip_half_width - 0.03, body.trunk + 1.07 * body.leg, -0.1)),
        }
        for name, place in joints.items():
            points[:, layout.index(f"pose.{side}_{name}")] = place * mirror
    _pose_head(points, neck_turn, body)
    seated = points[:, _LEGS]
    if motion.lean.any():
        seat = np.array((0.0, body.trunk, 0.02), dtype=np.float32)
        turn = head_rotation(motion.lean[None])[0].T.astype(np.float32)
        points = (points.reshape(-1, 3) @ turn).reshape(points.shape) + (seat - seat @ turn)
    points += motion.sway[:, None].astype(np.float32)
    points[:, _LEGS] = seated
    return points


# Elbow (T, 3) and hand (T, 21, 3) of one arm.
PosedArm = tuple[np.ndarray, np.ndarray]


def pose_arms(
    strong: Arm, weak: Arm, body: Proportions, head: np.ndarray | None = None, *, fps: float = 25.0
) -> tuple[PosedArm, PosedArm, skin.Limb]:
    """Returns elbow (T, 3) and hand (T, 21, 3) of the strong and the weak arm, each on its own side, and the weak arm
    as a limb on the side of the strong one.

    head: (T, 3, 3) rotation of the head.
    """
    flip = np.array((-1.0, 1.0, 1.0))
    elbow, hand = pose_arm(weak, body, head=None if head is None else flip[:, None] * head * flip, fps=fps)
    limb = skin.Limb.of(np.array((body.shoulder_half_width, 0.0, 0.0)), elbow * flip, hand * flip)
    return pose_arm(strong, body, head=head, other=limb, fps=fps), (elbow, hand), limb


def pose_arm(
    arm: Arm,
    body: Proportions,
    *,
    head: np.ndarray | None = None,
    other: skin.Limb | None = None,
    fps: float = 25.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns elbow (T, 3) and hand (T, 21, 3) of one arm on its own side, within the limits of joints, head and trunk.

    head: (T, 3, 3) rotation of the head.  other: the other arm, already posed, seen from this arm's side.
    """
    shape = hand_points(arm.angles) * body.hand
    axes = matrix(arm.rotation)
    # The blur lasts equally long at every frame rate: passes of a blur add up as squares.
    passes = int(np.clip(round((fps / 25) ** 2), 1, 25))
    around = max(2, round(2 * fps / 25))
    moved = np.zeros_like(arm.place)
    moved[:, 2] = -before_ribs(_wrist(arm, axes, body), body, around)
    for _ in range(2):
        # Corrections by limits are smoothed over time, so that no joint jumps when it reaches a limit.
        wanted = _wrist(arm, axes, body) + moved
        elbow, wrist = reach(wanted, body, passes)
        wrist = wanted + smooth(wrist - wanted, passes)
        axes = _orthonormal(smooth(_limit_wrist(axes, wrist - elbow), passes))
    moved[:, 2] -= before_ribs(_wrist(arm, axes, body) + moved, body, around)
    asked = axes
    turns = _TOUCHES + (_FIRST_EVASIONS if arm.contacts else _EVASIONS)
    for turn in range(turns + 1):
        elbow, wrist = reach(_wrist(arm, axes, body) + moved, body, passes)
        # Start from the requested axes in every iteration: a limit applied twice would bend the hand further each time.
        axes = _limit_wrist(asked, wrist - elbow)
        hand = wrist[:, None] + shape @ axes.transpose(0, 2, 1)
        if turn == turns:
            break
        depth = skin.depth(hand, body, head)
        move = np.zeros_like(wrist)
        evasion = np.maximum(depth, skin.forearm_depth(elbow, wrist, body.shoulder_half_width)).clip(0, None)
        if other is not None:
            towards, aside = other.pull(hand, elbow, arm.other_arm)
            evasion += aside
            if turn < _TOUCHES:
                move += smooth(towards, passes)
        if turn < _TOUCHES:
            move[:, 2] += smooth(skin.firm(depth, arm.skin), passes)
        move[:, 2] -= smooth_maximum(evasion, around)
        if np.abs(move).max() < _CLOSE_ENOUGH:
            break
        moved += move
    if arm.contacts:
        firmness = np.maximum(arm.skin, arm.other_arm)
        touching = ContactCorrection(arm.contacts, firmness, body, head, other, hand, fps)
        return _touch(touching, arm, body, shape, asked, moved, hand, passes, around)
    return elbow, hand


def _touch(
    touching: ContactCorrection,
    arm: Arm,
    body: Proportions,
    shape: np.ndarray,
    asked: np.ndarray,
    moved: np.ndarray,
    hand: np.ndarray,
    passes: int,
    around: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns elbow (T, 3) and hand (T, 21, 3) of an arm whose hand is brought to the skin at its contacts.

    shape: (T, 21, 3) the hand's joints along its axes.  asked: (T, 3, 3) these axes before limits.
    moved: (T, 3) the move of the hand so far.  hand: (T, 21, 3) the hand after this move.
    passes, around: amounts of smoothing.
    """
    turned = asked
    for turn in range(_CONTACT_STEPS + _CONTACT_EVASIONS + 1):
        there = turn > _CONTACT_STEPS
        if turn < _CONTACT_STEPS:
            ways, joints = touching.gaps(hand)
            there = bool(np.abs(ways).max() < _NEAR_ENOUGH)
            if not there and turn % 2 == 0:
                moved = moved + touching.spread_over_time(ways)
            elif not there:
                turned = matrix(touching.turns(hand, ways, joints)) @ asked
        elbow, wrist = reach(_wrist(arm, asked, body) + moved, body, passes)
        axes = _limit_wrist(turned, wrist - elbow)
        hand = wrist[:, None] + shape @ axes.transpose(0, 2, 1)
        if turn == _CONTACT_STEPS + _CONTACT_EVASIONS:
            break
        depth = skin.depth(hand, body, touching.head)
        forearm = skin.forearm_depth(elbow, wrist, body.shoulder_half_width) - _TRUNK_YIELDS * touching.near
        evasion = np.maximum(depth - _SKIN_YIELDS * touching.near, forearm).clip(0, None)
        aside = np.zeros(len(hand))
        if touching.other is not None:
            _, aside = touching.other.pull(hand, elbow, arm.other_arm, _FOREARM_YIELDS * touching.near)
        if there and max(evasion.max(), aside.max()) < _OUT_ENOUGH:
            break
        moved = moved + smooth_maximum(aside, around)[:, None] * _ASIDE
        moved[:, 2] -= smooth_maximum(evasion, around)
    return elbow, hand


def arm_part(arm: Arm, body: Proportions, part: str) -> np.ndarray:
    """Returns the middle of a part of an arm in its first frame, (3,) on its own side.

    part: `hand`, `wrist`, `forearm`, `elbow` or `upper_arm`.
    """
    elbows, hand = pose_arm(arm, body)
    shoulder, elbow, wrist = np.array((-body.shoulder_half_width, 0.0, 0.0)), elbows[0], hand[0, 0]
    first, last = {
        "hand": (wrist, hand[0, layout.KNUCKLES[1]]),
        "wrist": (wrist, wrist),
        "forearm": (elbow, wrist),
        "elbow": (elbow, elbow),
        "upper_arm": (shoulder, elbow),
    }[part]
    return 0.5 * (first + last)


def wrist_bend(arm: Arm, body: Proportions) -> np.ndarray:
    """Returns the angle between hand and forearm that an arm requests before any limit, (T,) degrees."""
    axes = matrix(arm.rotation)
    elbow, wrist = reach(_wrist(arm, axes, body), body)
    return _bend(axes, wrist - elbow)


def _wrist(arm: Arm, axes: np.ndarray, body: Proportions) -> np.ndarray:
    """Returns the position of the wrist when the touching point is in its place, (T, 3)."""
    return arm.place - axes[:, :, 0] * (arm.touching * body.hand)[:, None]


def _limit_wrist(axes: np.ndarray, forearm: np.ndarray) -> np.ndarray:
    """Returns the hand's axes (T, 3, 3), turned back towards the forearm (T, 3) where the wrist would bend too far."""
    angle = _bend(axes, forearm)
    room = WRIST_LIMIT - WRIST_FREE
    limited = np.where(angle > WRIST_FREE, WRIST_FREE + room * np.tanh((angle - WRIST_FREE) / room), angle)
    axis = cross(axes[:, :, 0], forearm)
    axis /= np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-6)
    half = np.radians(angle - limited)[:, None] / 2
    turn = matrix(np.concatenate([np.cos(half), np.sin(half) * axis], axis=1))
    return turn @ axes


def _bend(axes: np.ndarray, forearm: np.ndarray) -> np.ndarray:
    """Returns the angle between a hand's fingers and its forearm, (T,) degrees."""
    cosine = np.einsum("ti,ti->t", forearm, axes[:, :, 0]) / np.linalg.norm(forearm, axis=1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _orthonormal(axes: np.ndarray) -> np.ndarray:
    """Returns the hand's axes (T, 3, 3) made orthonormal: the fingers' direction is kept, then the palm's."""
    fingers = axes[:, :, 0] / np.maximum(np.linalg.norm(axes[:, :, 0], axis=1, keepdims=True), 1e-6)
    palm = axes[:, :, 1] - np.einsum("ti,ti->t", axes[:, :, 1], fingers)[:, None] * fingers
    palm /= np.maximum(np.linalg.norm(palm, axis=1, keepdims=True), 1e-6)
    return np.stack([fingers, palm, cross(fingers, palm)], axis=2)


def _face(motion: Motion, rotation: np.ndarray, body: Proportions) -> np.ndarray:
    """Returns the face points (T, 468, 3) of a head that is turned and scaled by (T, 3, 3)."""
    # Single precision errs by a thousandth of a pixel here, and the face is most of the work.
    points = face.deform(motion.expression.astype(np.float32)) @ rotation.transpose(0, 2, 1)
    points += body.head_centre.astype(np.float32)
    return points


def _pose_head(points: np.ndarray, rotation: np.ndarray, body: Proportions) -> None:
    """Fills in the pose model's points of the head: the nearby points of the face mesh, and the ears."""
    from_mesh = {
        "nose": (4,),
        "left_eye_inner": (362,),
        "left_eye": (386, 374),
        "left_eye_outer": (263,),
        "right_eye_inner": (133,),
        "right_eye": (159, 145),
        "right_eye_outer": (33,),
        "mouth_left": (291,),
        "mouth_right": (61,),
    }
    for name, numbers in from_mesh.items():
        mesh = layout.indices(*(f"face.{number}" for number in numbers))
        points[:, layout.index(f"pose.{name}")] = points[:, mesh].mean(axis=1)
    for name, sign in (("left_ear", 1.0), ("right_ear", -1.0)):
        ear = np.array((sign * 0.068, -0.008, 0.0), dtype=np.float32)
        points[:, layout.index(f"pose.{name}")] = rotation @ ear + body.head_centre
