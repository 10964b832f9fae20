"""The body that signs: joint angles and places of the hands -> all 543 points in metres, bones of constant length.

Shapes: T frames. Metres; origin at the middle of the shoulders; x to the signer's left (the image's right), y down,
z away from the camera. An arm is computed as a right one on its own side (x negative); a left arm is its mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signloom import layout
from signloom.synth import face, skin
from signloom.synth.contact import Contact, ContactCorrection
from signloom.synth.proportions import Proportions
from signloom.synth.reach import before_ribs, reach, smooth, smooth_maximum
from signloom.synth.rotations import cross, head_rotation, matrix

# Hand, in units of its length from the wrist to the tip of the stretched middle finger; columns are along the fingers,
# out of the palm, towards the thumb. Proportions after common anthropometric tables (phalanges 2 : 1.25 : 1).
_THUMB_CMC = np.array((0.13, 0.04, 0.12))
_THUMB_BONES = (0.225, 0.165, 0.135)
_KNUCKLES = np.array([(0.475, 0, 0.125), (0.485, 0, 0.02), (0.455, 0, -0.075), (0.41, 0, -0.16)])
_PHALANGES = np.array([(0.235, 0.135, 0.105), (0.25, 0.155, 0.11), (0.235, 0.145, 0.105), (0.18, 0.105, 0.095)])
_DIP_PER_PIP = 0.65
# Joints of the hand near which the pose model has points of its own: knuckle and next joint, and the thumb's knuckle.
_INDEX, _PINKY = layout.hand_joints("index_mcp", "index_pip"), layout.hand_joints("pinky_mcp", "pinky_pip")
_THUMB = layout.hand_joints("thumb_mcp")[0]

# The angle a hand may make with its forearm, degrees: free up to the first, never beyond the second.
WRIST_FREE, WRIST_LIMIT = 45.0, 78.0
# How often a hand is brought to what it touches, how often then out of what it would pass through (less often where the
# last word follows), and when it is there.
_TOUCHES, _EVASIONS, _FIRST_EVASIONS, _CLOSE_ENOUGH = 4, 5, 2, 0.0015
# The last word: how often a hand is moved or turned to the skin while it evades, how often it then only evades, when it
# is there and when out of what it would pass through.
_LAST, _LAST_EVASIONS, _NEAR_ENOUGH, _OUT_ENOUGH = 14, 1, 0.007, 0.007
# How much gives way at a contact, metres: the skin to fingers, the trunk and the other forearm to a forearm.
_PRESSES, _GIVES, _GIVES_ON_ARM = 0.008, 0.02, 0.01
# Where a touching arm makes way for the other: not only before it, also back to its own side.
_ASIDE = np.array((-0.8, 0.0, -0.6))


@dataclass(frozen=True)
class Arm:
    """What one arm does, on its own side.

    place: (T, 3) where the touching point of the hand is.  touching: (T,) which point that is, as a share of the
    hand's length.  rotation: (T, 4) unit quaternions (w, x, y, z) from the hand's axes.  angles: (T, 16) degrees.
    skin, other_arm: (T,) in 0..1 how firmly the hand touches head or trunk, and the other arm.  contacts: the hand
    comes to the skin in one frame of each of them at least.
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
    """What the body does: both arms (the right hand acts on the left arm), expression (T, 5), head (T, 3: turn, nod,
    tilt in degrees), sway (T, 3) metres, and how the trunk leans (3,: turn, nod, tilt in degrees); frames a second."""

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
    """All points of the body in every frame, (T, 543, 3) metres."""
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
            # The pose model marks the knuckles here and is less sure of them than the hand model.
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
    hips_down = layout.indices(
        *(
            f"pose.{side}_{part}"
            for side in ("left", "right")
            for part in ("hip", "knee", "ankle", "heel", "foot_index")
        )
    )
    seated = points[:, hips_down]
    if motion.lean.any():
        seat = np.array((0.0, body.trunk, 0.02), dtype=np.float32)
        turn = head_rotation(motion.lean[None])[0].T.astype(np.float32)
        points = (points.reshape(-1, 3) @ turn).reshape(points.shape) + (seat - seat @ turn)
    points += motion.sway[:, None].astype(np.float32)
    points[:, hips_down] = seated
    return points


def hand_points(angles: np.ndarray) -> np.ndarray:
    """The 21 joints of a right hand, (T, 21, 3) in hand lengths along the hand's axes, from angles (T, 16) degrees."""
    radians = np.radians(angles)
    points = np.zeros((len(angles), layout.NUM_HAND_POINTS, 3))
    azimuth, elevation, mcp, ip = radians[:, :4].T
    place = np.broadcast_to(_THUMB_CMC, (len(angles), 3))
    points[:, 1] = place
    # Bending the thumb turns its bones across the palm.
    for joint, (bone, bend) in enumerate(zip(_THUMB_BONES, (0 * mcp, mcp, mcp + ip), strict=True), start=2):
        turned = azimuth - bend
        direction = np.stack(
            [np.cos(elevation) * np.cos(turned), np.sin(elevation), np.cos(elevation) * np.sin(turned)], axis=1
        )
        place = place + bone * direction
        points[:, joint] = place
    fingers = radians[:, 4:].reshape(-1, 4, 3)
    spread = fingers[..., 0]
    bends = np.stack([fingers[..., 1], fingers[..., 2], _DIP_PER_PIP * fingers[..., 2]], axis=-1).cumsum(axis=-1)
    along = np.cos(bends)
    directions = np.stack(
        [along * np.cos(spread)[..., None], np.sin(bends), along * np.sin(spread)[..., None]], axis=-1
    )
    tips = _KNUCKLES[None, :, None] + (directions * _PHALANGES[None, :, :, None]).cumsum(axis=2)
    points[:, 5::4] = _KNUCKLES
    for joint in range(3):
        points[:, 6 + joint :: 4] = tips[:, :, joint]
    return points


Posed = tuple[np.ndarray, np.ndarray]


def pose_arms(
    strong: Arm, weak: Arm, body: Proportions, head: np.ndarray | None = None, *, fps: float = 25.0
) -> tuple[Posed, Posed, skin.Limb]:
    """Elbow (T, 3) and hand (T, 21, 3) of both arms, each on its own side, and the weak one as the strong one meets it.

    head: (T, 3, 3) how the head is turned.
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
    """Elbow (T, 3) and hand (T, 21, 3) of one arm on its own side, kept within what joints, head and trunk allow.

    head: (T, 3, 3) how the head is turned.  other: the other arm, which is posed already, seen from this one's side.
    """
    shape = hand_points(arm.angles) * body.hand
    axes = matrix(arm.rotation)
    # As long at every frame rate: passes of a blur add up by the square.
    passes = int(np.clip(round((fps / 25) ** 2), 1, 25))
    around = max(2, round(2 * fps / 25))
    moved = np.zeros_like(arm.place)
    moved[:, 2] = -before_ribs(_wrist(arm, axes, body), body, around)
    for _ in range(2):
        # What a limit changes is smoothed over time, so that no joint jumps when it meets one.
        wanted = _wrist(arm, axes, body) + moved
        elbow, wrist = reach(wanted, body, passes)
        wrist = wanted + smooth(wrist - wanted, passes)
        axes = _orthonormal(smooth(_limit_wrist(axes, wrist - elbow), passes))
    moved[:, 2] -= before_ribs(_wrist(arm, axes, body) + moved, body, around)
    asked = axes
    turns = _TOUCHES + (_FIRST_EVASIONS if arm.contacts else _EVASIONS)
    for turn in range(turns + 1):
        elbow, wrist = reach(_wrist(arm, axes, body) + moved, body, passes)
        # Not from turn to turn: a limit that is met twice would bend the hand further each time.
        axes = _limit_wrist(asked, wrist - elbow)
        hand = wrist[:, None] + shape @ axes.transpose(0, 2, 1)
        if turn == turns:
            break
        depth = skin.depth(hand, body.head_centre, body.head, head, body.shoulder_half_width)
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
        touching = ContactCorrection(arm.contacts, firmness, body, body.head_centre, head, other, hand, fps)
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
    """Elbow (T, 3) and hand (T, 21, 3) of an arm, brought to the skin at its contacts.

    shape: (T, 21, 3) the hand's joints along its axes.  asked: (T, 3, 3) those axes before limits.  moved: (T, 3) how
    far the hand has been moved so far.  hand: (T, 21, 3) where it then is.  passes, around: for smoothing.
    """
    turned = asked
    for turn in range(_LAST + _LAST_EVASIONS + 1):
        there = turn > _LAST
        if turn < _LAST:
            ways, joints = touching.ways(hand)
            there = bool(np.abs(ways).max() < _NEAR_ENOUGH)
            if not there and turn % 2 == 0:
                moved = moved + touching.bent(ways)
            elif not there:
                turned = matrix(touching.turned(hand, ways, joints)) @ asked
        elbow, wrist = reach(_wrist(arm, asked, body) + moved, body, passes)
        axes = _limit_wrist(turned, wrist - elbow)
        hand = wrist[:, None] + shape @ axes.transpose(0, 2, 1)
        if turn == _LAST + _LAST_EVASIONS:
            break
        depth = skin.depth(hand, touching.centre, body.head, touching.head, body.shoulder_half_width)
        forearm = skin.forearm_depth(elbow, wrist, body.shoulder_half_width) - _GIVES * touching.near
        evasion = np.maximum(depth - _PRESSES * touching.near, forearm).clip(0, None)
        aside = np.zeros(len(hand))
        if touching.other is not None:
            _, aside = touching.other.pull(hand, elbow, arm.other_arm, _GIVES_ON_ARM * touching.near)
        if there and max(evasion.max(), aside.max()) < _OUT_ENOUGH:
            break
        moved = moved + smooth_maximum(aside, around)[:, None] * _ASIDE
        moved[:, 2] -= smooth_maximum(evasion, around)
    return elbow, hand


def arm_part(arm: Arm, body: Proportions, part: str) -> np.ndarray:
    """The middle of a part of an arm in its first frame, (3,) on its own side: `hand`, `wrist`, `forearm`, `elbow` or
    `upper_arm`."""
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
    """The angle between hand and forearm that an arm asks for before any limit, (T,) degrees."""
    axes = matrix(arm.rotation)
    elbow, wrist = reach(_wrist(arm, axes, body), body)
    return _bend(axes, wrist - elbow)


def _wrist(arm: Arm, axes: np.ndarray, body: Proportions) -> np.ndarray:
    """Where the wrist is when the touching point is in its place, (T, 3)."""
    return arm.place - axes[:, :, 0] * (arm.touching * body.hand)[:, None]


def _limit_wrist(axes: np.ndarray, forearm: np.ndarray) -> np.ndarray:
    """The hand's axes (T, 3, 3), turned back towards the forearm (T, 3) where the wrist would bend too far."""
    angle = _bend(axes, forearm)
    room = WRIST_LIMIT - WRIST_FREE
    limited = np.where(angle > WRIST_FREE, WRIST_FREE + room * np.tanh((angle - WRIST_FREE) / room), angle)
    axis = cross(axes[:, :, 0], forearm)
    axis /= np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-6)
    half = np.radians(angle - limited)[:, None] / 2
    turn = matrix(np.concatenate([np.cos(half), np.sin(half) * axis], axis=1))
    return turn @ axes


def _bend(axes: np.ndarray, forearm: np.ndarray) -> np.ndarray:
    """The angle between a hand's fingers and its forearm, (T,) degrees."""
    cosine = np.einsum("ti,ti->t", forearm, axes[:, :, 0]) / np.linalg.norm(forearm, axis=1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _orthonormal(axes: np.ndarray) -> np.ndarray:
    """The hand axes (T, 3, 3) made orthonormal again: the fingers' direction kept, the palm's next."""
    fingers = axes[:, :, 0] / np.maximum(np.linalg.norm(axes[:, :, 0], axis=1, keepdims=True), 1e-6)
    palm = axes[:, :, 1] - np.einsum("ti,ti->t", axes[:, :, 1], fingers)[:, None] * fingers
    palm /= np.maximum(np.linalg.norm(palm, axis=1, keepdims=True), 1e-6)
    return np.stack([fingers, palm, cross(fingers, palm)], axis=2)


def _face(motion: Motion, rotation: np.ndarray, body: Proportions) -> np.ndarray:
    """Face points (T, 468, 3) of a head that is turned and scaled by (T, 3, 3)."""
    # Single precision is a thousandth of a pixel here, and the face is most of the work.
    points = face.deform(motion.expression.astype(np.float32)) @ rotation.transpose(0, 2, 1)
    points += body.head_centre.astype(np.float32)
    return points


def _pose_head(points: np.ndarray, rotation: np.ndarray, body: Proportions) -> None:
    """Fills the pose model's points of the head: those of the face mesh nearby, and the ears."""
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
