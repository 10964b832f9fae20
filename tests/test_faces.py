"""Faces: what no training clip shows is ignored, and clips without a face get those of others."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from signloom import layout
from signloom.anatomy.faces import face_of, put_face, shows_face
from signloom.compose.placing import in_place_of
from signloom.landmarks import Landmarks
from signloom.model.frontend import FrontEnd
from signloom.train.augmentation import AugmentationConfig, Parts, augment

OFF = AugmentationConfig(**{field.name: 0 for field in fields(AugmentationConfig)})
FPS = 25.0
VIEWS = ("compact", "full")


def person(view="full", *, seed=0, num_frames=40, head=(0.6, 0.3), eyes=0.05):
    """Random points (T, P, 3) with a head that moves to the right, eyes so far apart, and a face about its nose."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0.2, 0.8, (num_frames, layout.NUM_POINTS, 3)).astype(np.float32)
    nose = np.array((*head, -0.4)) + np.arange(num_frames)[:, None] * (0.003, 0.001, 0)
    points[:, layout.index("pose.nose")] = nose
    for name, side in (("left_eye", 1), ("right_eye", -1)):
        points[:, layout.index(f"pose.{name}")] = nose + np.array((side * eyes / 2, -0.02, 0))
    shape = rng.normal(0, 1, (1, layout.NUM_FACE_POINTS, 3)) + rng.normal(0, 0.1, (num_frames, 1, 3))
    points[:, layout.GROUPS["face"]] = shape * eyes + nose[:, None] * (1, 1, 0)
    return points[:, layout.subset(view)]


def faceless(points, view="full"):
    points = points.copy()
    points[:, layout.subset_groups(view)["face"]] = np.nan
    return points


def face(points, view="full"):
    return points[:, layout.subset_groups(view)["face"]]


@pytest.mark.parametrize("view", VIEWS)
def test_a_face_goes_to_the_head_of_another_person_in_that_persons_size(view):
    other = person(view, seed=1, head=(0.3, 0.5), eyes=0.1, num_frames=10)
    moves = face_of(other, np.random.default_rng(0), view=view, fps=FPS)
    assert moves.shape == (10, face(other, view).shape[1], 3)
    own = person(view, eyes=0.05)
    points = faceless(own, view)
    put_face(points, moves, np.random.default_rng(0), view=view)
    kept = np.ones(points.shape[1], dtype=bool)
    kept[layout.subset_groups(view)["face"]] = False
    np.testing.assert_array_equal(points[:, kept], own[:, kept])
    nose = layout.subset_index(view, "pose.nose")
    mine = (face(points, view) - points[:, [nose]] * (1, 1, 0)) / 0.05
    theirs = (face(other, view) - other[:, [nose]] * (1, 1, 0)) / 0.1
    # From some frame on to and fro: each frame is one of the other's, and neighbours follow each other.
    away = np.abs(mine[:, None] - theirs[None]).max((2, 3))
    order = away.argmin(1)
    assert away.min(1).max() < 1e-3
    assert set(np.abs(np.diff(order))) == {1}
    assert set(order) == set(range(10))


def test_a_face_turns_with_a_mirrored_picture():
    other = person(seed=1)
    moves = face_of(other, np.random.default_rng(0), view="full", fps=FPS)
    as_seen, in_mirror = faceless(person()), faceless(person())
    in_mirror[..., 0] = 1 - in_mirror[..., 0]
    for points in (as_seen, in_mirror):
        put_face(points, moves, np.random.default_rng(0), view="full")
    mirrored = as_seen.copy()
    mirrored[..., 0] = 1 - mirrored[..., 0]
    np.testing.assert_allclose(in_mirror, mirrored, atol=1e-5)


def test_clips_that_cannot_give_or_take_a_face():
    rng = np.random.default_rng(0)
    assert face_of(faceless(person()), rng, view="full", fps=FPS) is None
    short = person()
    short[5:, layout.GROUPS["face"]] = np.nan
    assert face_of(short, rng, view="full", fps=FPS) is None
    no_eyes = person()
    no_eyes[:, layout.index("pose.left_eye")] = np.nan
    assert face_of(no_eyes, rng, view="full", fps=FPS) is None
    moves = face_of(person(num_frames=400), rng, view="full", fps=FPS)
    assert len(moves) == 2 * FPS
    points = faceless(no_eyes)
    put_face(points, moves, rng, view="full")
    np.testing.assert_array_equal(points, faceless(no_eyes))
    lost = faceless(person())
    lost[3:9, layout.GROUPS["pose"]] = np.nan
    put_face(lost, moves[:1], rng, view="full")
    assert np.isnan(face(lost)[3:9]).all()
    assert np.isfinite(face(lost)[9:]).all()


def test_a_face_of_single_frames_is_none():
    points = faceless(person())
    assert not shows_face(points, "full")
    points[:3, layout.GROUPS["face"]] = 0.5
    assert not shows_face(points, "full")
    points[:4, layout.GROUPS["face"]] = 0.5
    assert shows_face(points, "full")


def test_augmentation_puts_faces_into_clips_without_one_alone():
    view = "compact"
    with_face = person(view)
    without = faceless(with_face, view)
    moves = face_of(person(view, seed=1), np.random.default_rng(0), view=view, fps=FPS)
    parts = Parts(np.empty((0, 21, 3), dtype=np.float32), [moves])

    def shown(clip, seed, parts=parts, **settings):
        rng = np.random.default_rng(seed)
        made, _ = augment(clip, replace(OFF, **settings), rng, subset=view, min_frames=1, fps=FPS, parts=parts)
        return made

    share = np.mean([np.isfinite(face(shown(without, seed, add_face=0.5), view)).all() for seed in range(60)])
    assert 0.3 < share < 0.7
    for settings in ({"add_face": 0.0}, {"parts": None, "add_face": 1.0}):
        assert np.isnan(face(shown(without, 0, **settings), view)).all()
    nobody = replace(parts, faces=[])
    assert np.isnan(face(shown(without, 0, parts=nobody, add_face=1.0), view)).all()
    np.testing.assert_allclose(shown(with_face, 0, add_face=1.0), with_face, atol=1e-6)
    # Where all clips have a face, or none, the same seed makes the same clips as without the option.
    amounts = {"jitter": 0.01, "yaw_degrees": 10.0}
    np.testing.assert_array_equal(shown(with_face, 3, add_face=1.0, **amounts), shown(with_face, 3, **amounts))
    np.testing.assert_array_equal(
        shown(without, 3, parts=nobody, add_face=1.0, **amounts), shown(without, 3, parts=nobody, **amounts)
    )


@pytest.mark.parametrize(("view", "share_hands"), [("compact", False), ("compact", True), ("full", False)])
def test_what_no_training_clip_shows_is_ignored(view, share_hands):
    front = FrontEnd(view, share_hands=share_hands)
    clips = [torch.from_numpy(person(view, seed=seed))[None] for seed in range(4)]
    lengths = torch.tensor([40])
    gone = [torch.from_numpy(faceless(clip[0].numpy(), view))[None] for clip in clips]
    front.fit([(clip, lengths) for clip in clips])
    assert front.unseen_parts() == []
    # The face was seen: it matters.
    assert (front(clips[0]) - front(gone[0])).abs().max() > 0.5
    front.fit([(clip, lengths) for clip in gone])
    assert front.unseen_parts() == ["face"]
    torch.testing.assert_close(front(clips[0]), front(gone[0]), atol=1e-6, rtol=0)
    # All else is as it was.
    assert front(gone[0]).abs().mean() > 0.1


def test_single_points_that_no_training_clip_shows_are_ignored_and_sides_go_together():
    front, lengths = FrontEnd(), torch.tensor([40])
    clips = [torch.from_numpy(person("compact", seed=seed))[None] for seed in range(4)]

    def without(clip, *names):
        clip = clip.clone()
        for name in names:
            clip[:, :, layout.subset_index("compact", name)] = torch.nan
        return clip

    ears = ("pose.left_ear", "pose.right_ear")
    front.fit([(without(clip, *ears), lengths) for clip in clips])
    torch.testing.assert_close(front(clips[0]), front(without(clips[0], *ears)), atol=1e-6, rtol=0)
    # An ear of one side counts for the other: clips are mirrored.
    front.fit([(without(clip, ears[0]), lengths) for clip in clips])
    assert (front(clips[0]) - front(without(clips[0], ears[0]))).abs().max() > 0.1
    # So does a hand, which comes into view at rest.
    hand = layout.subset_groups("compact")["left_hand"]
    for clip in clips:
        clip[:, :, hand] = torch.nan
    front.fit([(clip, lengths) for clip in clips])
    assert front.unseen_parts() == []


def test_padding_shows_nothing():
    front = FrontEnd()
    points = torch.from_numpy(np.stack([faceless(person("compact"), "compact")] * 2))
    points[1, 20:] = 0.5
    front.fit([(points, torch.tensor([40, 20]))])
    assert front.unseen_parts() == ["face"]


def test_a_clip_in_the_place_of_another_has_a_face_if_that_has_one():
    def clip(points):
        return Landmarks(points, np.ones((len(points), 33)), fps=FPS)

    rng = np.random.default_rng(0)
    mine, other = person(seed=0), person(seed=1)
    for points in (mine, other):
        for name, x in (("left", 0.7), ("right", 0.5)):
            points[:, layout.index(f"pose.{name}_shoulder")] = (x, 0.5, 0)
    own = in_place_of(clip(other), clip(mine), rng)
    np.testing.assert_allclose(own.points, other, atol=1e-5)
    assert np.isnan(face(in_place_of(clip(other), clip(faceless(mine)), rng).points)).all()
    lent = in_place_of(clip(faceless(other)), clip(mine), rng)
    assert np.isfinite(face(lent.points)).all()
    np.testing.assert_allclose(faceless(lent.points), faceless(other), atol=1e-5)
    # The shape of its own signer's face, at the head of the other.
    nose = layout.index("pose.nose")
    shapes = [points[:, layout.GROUPS["face"], :2] - points[:, [nose], :2] for points in (lent.points, mine)]
    assert np.abs(shapes[0][:, None] - shapes[1][None]).max((2, 3)).min(1).max() < 1e-3
    assert np.isnan(face(in_place_of(clip(faceless(other)), clip(faceless(mine)), rng).points)).all()
