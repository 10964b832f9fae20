"""Holistic values: the order of the parts and the shape of the image are recognised; what is no person is refused."""

import itertools

import numpy as np
import pytest

from body_faults import PLANTED
from conftest import mostly_slow
from holistic_values import people, values_of
from signloom import layout
from signloom.anatomy import FAULTS
from signloom.anatomy.aspect import SHAPES, estimate_aspect
from signloom.anatomy.quick import plainly_a_person
from signloom.corpus import Corpus
from signloom.errors import Faults, InputError
from signloom.importers import holistic
from signloom.importers.holistic_order import FORMS, given_order, order_of, recognise, usual_order

SIGNS = ("hello", "thanks", "yes", "no")


def folder(root, clips, *, name="{}.npy"):
    """<root>/<sign>/<number>.npy of the values of some clips."""
    for number, values in enumerate(clips):
        sign = root / SIGNS[number % len(SIGNS)]
        sign.mkdir(parents=True, exist_ok=True)
        np.save(sign / name.format(number), values)
    return root


def archive(path, clips, groups=None):
    lengths = [len(values) for values in clips]
    np.savez(
        path,
        frames=np.concatenate(clips),
        start=np.cumsum([0, *lengths[:-1]]),
        length=np.array(lengths),
        label=np.array([SIGNS[number % len(SIGNS)] for number in range(len(clips))]),
        **({} if groups is None else {"group": np.array(groups)}),
    )
    return path


def landmarks_of(source, **options):
    return [landmarks for _, landmarks in holistic.read_clips(source, **options)]


def moved(name):
    """Every clip with a planted fault of anatomy, as values of 1,662."""
    _, change = PLANTED[name]
    return [
        values_of(clip, 1662, points=np.asarray(change(clip.points, clip.aspect), dtype=np.float32))
        for clip in people()
    ]


def some_orders():
    """Three orders of every width, of which one is fast, and every order of 258."""
    for width, form in FORMS.items():
        orders = list(itertools.permutations(form.parts))
        if form.parts[0] != "pose":
            continue
        for parts in orders if width == 258 else (orders[0], orders[5], orders[-1]):
            fast = parts == orders[-1]
            yield pytest.param(width, parts, marks=() if fast else pytest.mark.slow)


@pytest.mark.parametrize(("width", "parts"), list(some_orders()))
def test_any_order_is_recognised(width, parts):
    order, doubt = recognise([values_of(clip, width, parts) for clip in people()[:4]])
    assert (order.parts, doubt) == (parts, "")


@pytest.mark.slow
@pytest.mark.parametrize("parts", list(itertools.permutations(layout.GROUPS)))
def test_every_order_of_1662_is_recognised(parts):
    order, doubt = recognise([values_of(clip, 1662, parts) for clip in people()[:4]])
    assert (order.parts, doubt) == (parts, "")


@pytest.mark.parametrize("name", ["y_up", "mirror", "x_y", "late_3"])
def test_the_order_does_not_depend_on_what_else_is_wrong(name):
    _, change = PLANTED[name]
    parts = ("right_hand", "face", "pose", "left_hand")
    clips = [values_of(clip, 1662, parts, points=change(clip.points, clip.aspect)) for clip in people()[:4]]
    assert recognise(clips)[0].parts == parts


@pytest.mark.parametrize("width", mostly_slow((225, 258, 1629, 1659, 1662, 1692), fast=(258, 1662)))
def test_an_imported_body_is_the_tracked_one(tmp_path, width, capsys):
    parts = tuple(reversed(FORMS[width].parts))
    clips = people()[:4]
    source = folder(tmp_path / "MP_Data", [values_of(clip, width, parts) for clip in clips])
    read = landmarks_of(source)
    # The folders of the signs are read in the order of their names: hello, no, thanks, yes.
    for landmarks, clip in zip(read, (clips[0], clips[3], clips[1], clips[2]), strict=True):
        assert landmarks.image_size == (640, 480)
        for part in FORMS[width].parts:
            group = layout.GROUPS[part]
            np.testing.assert_allclose(landmarks.points[:, group], clip.points[:, group], atol=1e-5)
    said = capsys.readouterr().err
    assert f"{width:,} values per frame are right hand, left hand" in said
    assert "from their own wrist of the pose" in said


@pytest.mark.parametrize("width", [225, 1629])
def test_arrays_of_points(tmp_path, width):
    clips = [values_of(clip, width).reshape(len(clip), -1, 3) for clip in people()[:2]]
    (first, _) = landmarks_of(folder(tmp_path / "MP_Data", clips))
    np.testing.assert_allclose(first.points[:, :75], people()[0].points[:, :75], atol=1e-5)


@pytest.mark.parametrize(
    "names", [("pose", "lh", "rh"), ("pose_landmarks", "leftHand", "right_hand_landmarks", "face")]
)
def test_arrays_by_the_name_of_their_part(tmp_path, names, capsys):
    parts = ("pose", "left_hand", "right_hand", "face")
    for number, clip in enumerate(people()[:3]):
        sign = tmp_path / "MP_Data" / SIGNS[number]
        sign.mkdir(parents=True)
        arrays = {
            name: np.nan_to_num(clip.points[:, layout.GROUPS[part]] / (clip.aspect, 1, clip.aspect))
            for name, part in zip(names, parts, strict=False)
        }
        np.savez(sign / "0.npz", **dict(sorted(arrays.items())))
    read = landmarks_of(tmp_path / "MP_Data")
    np.testing.assert_allclose(read[0].points[:, :75], people()[0].points[:, :75], atol=1e-5)
    assert read[0].present("face").any() == ("face" in names)
    assert "(as named in the source)" in capsys.readouterr().err


def test_exchanged_names_of_parts_are_refused(tmp_path):
    for number, clip in enumerate(people()[:3]):
        sign = tmp_path / "MP_Data" / SIGNS[number]
        sign.mkdir(parents=True)
        pose, left, right = np.split(values_of(clip, 225), (99, 162), axis=1)
        np.savez(sign / "0.npz", pose=pose, lh=right, rh=left)
    with pytest.raises(InputError, match="the left and the right hand are exchanged: their wrists lie"):
        landmarks_of(tmp_path / "MP_Data")


def test_arrays_with_other_names(tmp_path):
    (tmp_path / "MP_Data" / "hello").mkdir(parents=True)
    np.savez(tmp_path / "MP_Data" / "hello" / "a.npz", x=np.zeros(3), y=np.zeros(3))
    np.savez(tmp_path / "MP_Data" / "hello" / "b.npz", pose=np.zeros((4, 17, 3)))
    people()[0].save(tmp_path / "MP_Data" / "hello" / "c.npz")
    faults = Faults("test")
    clips = holistic.find_clips([tmp_path / "MP_Data"], faults=faults)
    for clip, message in zip(
        clips,
        (
            "no arrays of the parts; got x, y",
            r"pose: an array of float64 of shape \(4, 17, 3\)",
            "signloom import clips",
        ),
        strict=True,
    ):
        with pytest.raises(InputError, match=message):
            clip.read()


@pytest.mark.parametrize("name", mostly_slow(("late_3", "late_6", "frozen"), fast=("late_3",)))
def test_faults_of_time_are_noted(tmp_path, name, capsys):
    fault, _ = PLANTED[name]
    landmarks_of(archive(tmp_path / "signs.npz", moved(name)))
    assert f"note: {tmp_path / 'signs.npz'}: {FAULTS[fault]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    mostly_slow(
        sorted(set(PLANTED) - {"swap", "late_3", "late_6", "frozen"}),
        fast=("y_up", "mirror", "x_y", "wrist", "nose", "pose_-1", "all_-2"),
    ),
)
def test_points_that_are_no_person_are_refused(tmp_path, name):
    fault, _ = PLANTED[name]
    source = archive(tmp_path / "signs.npz", moved(name))
    with pytest.raises(InputError) as caught:
        landmarks_of(source)
    # Shifted by two values of all points, faces are so long that no shape of the image is right; hands show it as well.
    assert FAULTS["disordered_hand" if name == "all_-2" else fault] in str(caught.value)


def test_one_signer_whose_points_are_no_person(tmp_path):
    clips = [values_of(clip, 258) for clip in people()]
    mirrored = [clip.copy() for clip in clips]
    for clip in mirrored:
        x = clip[:, 0:132:4]
        clip[:, 0:132:4] = np.where(x == 0, 0, 1 - x)
        for hand in (clip[:, 132:195:3], clip[:, 195:258:3]):
            hand[:] = np.where(hand == 0, 0, 1 - hand)
    source = archive(tmp_path / "signs.npz", clips + mirrored, ["anna"] * len(clips) + ["ben"] * len(clips))
    faults = Faults("test")
    found = holistic.find_clips([source], faults=faults)
    (text,) = faults.messages
    assert text.startswith(f"{source} (ben): the body is mirrored")
    assert {clip.signer for clip in found} == {"anna"}


def test_one_clip_unlike_the_others(tmp_path):
    clips = [values_of(clip, 258) for clip in people()]
    clips[3] = values_of(people()[3], 258, ("pose", "right_hand", "left_hand"))
    with pytest.raises(InputError, match="clip 3, no.*unlike the other clips, the left and the right hand are"):
        holistic.run(holistic.Options(sources=[archive(tmp_path / "signs.npz", clips)], output=tmp_path / "corpus"))
    options = holistic.Options(sources=[tmp_path / "signs.npz"], output=tmp_path / "corpus", skip_faulty=True)
    assert holistic.run(options) == 0
    assert len(Corpus.open(tmp_path / "corpus")) == len(clips) - 1


def test_a_given_order_overrides(tmp_path, capsys):
    source = archive(tmp_path / "signs.npz", [values_of(clip, 258) for clip in people()])
    (first, *_) = landmarks_of(source, order=("pose", "right_hand", "left_hand"))
    np.testing.assert_array_equal(first.present("left_hand"), people()[0].present("right_hand"))
    said = capsys.readouterr().err
    assert "258 values per frame are pose with visibility, right hand, left hand (as given)" in said
    assert "note: " in said
    assert "the left and the right hand are exchanged" in said
    with pytest.raises(InputError, match="--order names pose, left_hand; frames of 258 values have pose, left"):
        landmarks_of(source, order=("pose", "left_hand"))
    for text in ("pose,hands", "pose,pose", ""):
        with pytest.raises(InputError, match="needed each part that the frames have, once"):
            given_order(text)
    assert given_order("pose, right_hand,left_hand") == ("pose", "right_hand", "left_hand")


def test_hands_alone(tmp_path, capsys):
    clips = [values_of(clip, 126) for clip in people()]
    (first, *_) = landmarks_of(archive(tmp_path / "right.npz", clips))
    np.testing.assert_allclose(first.points[:, 33:75, 1], people()[0].points[:, 33:75, 1], atol=1e-5)
    said = capsys.readouterr().err
    assert "126 values per frame are left hand, right hand (the fingers bend like those of their side)" in said
    assert "the shape of the images cannot be told" in said
    assert (first.image_size, first.assumed) == ((1280, 720), ("fps", "image_size"))
    exchanged = archive(
        tmp_path / "wrong.npz", [values_of(clip, 126, ("right_hand", "left_hand")) for clip in people()]
    )
    with pytest.raises(
        InputError, match="bend their fingers like hands of the other side.*--order right_hand,left_hand"
    ):
        landmarks_of(exchanged)
    (same, *_) = landmarks_of(exchanged, order=("right_hand", "left_hand"))
    np.testing.assert_array_equal(same.points, first.points)


def test_without_hands_the_usual_order_is_taken(tmp_path, capsys):
    clips = [values_of(clip, 258) for clip in people()[:3]]
    for clip in clips:
        clip[:, 132:] = 0
    landmarks_of(archive(tmp_path / "signs.npz", clips))
    assert "the usual order: the points do not tell it from others" in capsys.readouterr().err


def test_clips_of_two_widths(tmp_path):
    clips = [values_of(clip, (258, 1662)[number % 2]) for number, clip in enumerate(people()[:4])]
    read = landmarks_of(folder(tmp_path / "MP_Data", clips))
    assert [landmarks.present("face").any() for landmarks in read] == [False, True, True, False]


def test_missing_parts_may_be_written_in_several_ways():
    zeros = values_of(people()[0], 258)
    zeros[2, 132:195] = 0
    expected = usual_order(258).points(zeros)[0]
    for value in (-1, np.nan):
        other = zeros.copy()
        for part in (slice(0, 132), slice(132, 195), slice(195, 258)):
            other[(other[:, part] == 0).all(axis=1), part] = value
        np.testing.assert_array_equal(usual_order(258).points(other)[0], expected)


@pytest.mark.parametrize("shape", mostly_slow(SHAPES, fast=("4:3", "16:9")))
@pytest.mark.parametrize("part", ["face", "pose"])
def test_the_shape_of_the_image_is_estimated(shape, part):
    width, height = SHAPES[shape]
    clips = people(f"{width}x{height}", count=4)
    fractions = np.concatenate([clip.points / (clip.aspect, 1, clip.aspect) for clip in clips])
    if part == "pose":
        fractions[:, layout.GROUPS["face"]] = np.nan
    estimate = estimate_aspect(fractions)
    assert (estimate.name, estimate.by, estimate.image_size) == (shape, part, (width, height))
    assert estimate.ratio == pytest.approx(width / height, rel=0.11)


def test_an_unusual_shape_is_not_guessed():
    # 0.87:1 lies between 3:4 and 1:1.
    clips = people("418x480", count=4)
    fractions = np.concatenate([clip.points / (clip.aspect, 1, clip.aspect) for clip in clips])
    fractions[:, layout.GROUPS["face"]] *= (1.08, 1, 1.08)
    estimate = estimate_aspect(fractions)
    assert estimate.name is None
    assert "as no usual image" in str(estimate)
    assert estimate_aspect(fractions[:3]).by == ""


@pytest.mark.slow
def test_estimated_images_are_recorded_by_signer(tmp_path, capsys):
    wide, narrow = people("1280x720", count=4), people(count=4)
    clips = [values_of(clip, 1662) for clip in (*wide, *narrow)]
    source = archive(tmp_path / "signs.npz", clips, ["anna"] * 4 + ["ben"] * 4)
    read = landmarks_of(source, camera=holistic.CameraInfo(fps=25.0))
    assert [landmarks.image_size for landmarks in read] == [(1280, 720)] * 4 + [(640, 480)] * 4
    assert {landmarks.assumed for landmarks in read} == {("image_size",)}
    assert read[0].source["estimated"]["image_size"].startswith("16:9: face would be usual in an image of 1.")
    said = capsys.readouterr().err
    assert "images of 16:9 for anna, estimated: face would be usual" in said
    assert "images of 4:3 for ben, estimated" in said
    landmarks_of(source, camera=holistic.CameraInfo(image_size=(640, 480)))
    assert "images of 640x480 do not fit for anna: face would be usual" in capsys.readouterr().err


def test_estimated_values_are_not_reported_as_assumed(tmp_path, capsys):
    source = archive(tmp_path / "signs.npz", [values_of(clip, 258) for clip in people()])
    holistic.run(holistic.Options(sources=[source], output=tmp_path / "corpus", fps=25.0))
    said = capsys.readouterr().err
    assert "estimated, not given by the source: image_size (10 clips)" in said
    assert "assumed" not in said


@pytest.mark.parametrize(
    "name", ["y_up", "mirror", "x_y", "swap", "crop", "wrist", "nose", "pose_-1", "all_+1", "face_+7"]
)
def test_a_quick_look_lets_no_fault_pass(name):
    _, change = PLANTED[name]
    passed = [plainly_a_person(change(clip.points, clip.aspect), clip.visibility) for clip in people()]
    # One hand of a clip may be missing, or lie on the other.
    assert np.mean(passed) <= (0.2 if name in ("swap", "crop", "wrist") else 0)
    assert np.mean([plainly_a_person(clip.points, clip.visibility) for clip in people()]) > 0.9


def test_order_of_a_width():
    assert order_of(126, ("right_hand", "left_hand")).parts == ("right_hand", "left_hand")
    assert str(usual_order(1692)) == "pose with visibility, face with irises, left hand, right hand"
    assert sorted(FORMS) == [126, 225, 258, 1629, 1659, 1662, 1692]


DOOR = {
    "order_hands_first": "258 values per frame are left hand, right hand, pose with visibility",
    "width_225": "225 values per frame are pose, left hand, right hand",
    "width_126": "126 values per frame are left hand, right hand",
    "width_75x3": "225 values per frame are pose, left hand, right hand",
    "width_543x3": "1,629 values per frame are face, left hand, pose, right hand",
}


@pytest.mark.parametrize("case", mostly_slow(DOOR, fast=("width_543x3",)))
def test_real_values_of_several_widths(shared_data, case, capsys):
    read = landmarks_of(shared_data / "door" / case / "MP_Data")
    assert DOOR[case] in capsys.readouterr().err
    assert all(landmarks.present("right_hand").any() for landmarks in read)


def test_real_values_relative_to_wrists(shared_data):
    with pytest.raises(InputError) as caught:
        landmarks_of(shared_data / "door" / "hands_relative" / "MP_Data")
    assert "the body is relative to a point of its own: the nose stays within 0.0000" in str(caught.value)
    assert "the hands are relative to a point of their own: the wrist of the right hand" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "file", ["people/people", "asl_fullface/akashcodes_asl_full", "asl_fullface/fowldeadpool_asl_full"]
)
def test_real_people_in_any_order(shared_data, tmp_path, file):
    """Order and image are right for each person, and for one permutation of each."""
    wide = {"p6", "akashcodes_asl_full"}
    with np.load(shared_data / f"{file}.npz") as arrays:
        groups = [str(group) if file.startswith("people") else file.split("/")[1] for group in arrays["group"]]
        frames, starts, lengths = arrays["frames"], arrays["start"], arrays["length"]
    orders = list(itertools.permutations(layout.GROUPS))
    usual = usual_order(1662)
    for number, person in enumerate(dict.fromkeys(groups)):
        own = [index for index, group in enumerate(groups) if group == person][::6]
        clips = [frames[starts[index] : starts[index] + lengths[index]].astype(np.float32) for index in own]
        parts = orders[(5 * number + 7) % len(orders)]
        order, doubt = recognise([rearranged(clip, usual, parts) for clip in clips])
        assert (order.parts, doubt) == (parts, "")
        estimate = estimate_aspect(np.concatenate([usual.points(clip)[0] for clip in clips]))
        assert (estimate.name, estimate.by) == ("16:9" if person in wide else "4:3", "face")


def rearranged(frames, usual, parts):
    ends = np.cumsum([usual.form.width(part) for part in usual.parts])
    blocks = dict(zip(usual.parts, np.split(frames, ends[:-1], axis=1), strict=True))
    return np.concatenate([blocks[part] for part in parts], axis=1)


def test_missing_parts_as_nan_are_recognised_in_any_order(tmp_path):
    parts = ("left_hand", "pose", "right_hand")
    clips = []
    for clip in people()[:4]:
        values = values_of(clip, 225, parts)
        for part in (slice(0, 63), slice(63, 162), slice(162, 225)):
            values[(values[:, part] == 0).all(axis=1), part] = np.nan
        clips.append(values)
    read = landmarks_of(archive(tmp_path / "signs.npz", clips))
    np.testing.assert_allclose(read[1].points[:, :75], people()[1].points[:, :75], atol=1e-5)


def test_a_video_mirrored_before_tracking_is_noted(tmp_path, capsys):
    clips = [values_of(clip.mirrored(), 258) for clip in people()]
    read = landmarks_of(archive(tmp_path / "signs.npz", clips, ["ben"] * len(clips)))
    assert len(read) == len(clips)
    assert "the left hand is seen more than the right of ben: a left-handed signer" in capsys.readouterr().err
    landmarks_of(archive(tmp_path / "right.npz", [values_of(clip, 258) for clip in people()]))
    assert "left-handed" not in capsys.readouterr().err


def test_an_order_that_cannot_be_told_is_one_fault(tmp_path):
    clips = [values_of(clip, 126, ("right_hand", "left_hand")) for clip in people()]
    faults = Faults("test")
    assert holistic.find_clips([archive(tmp_path / "signs.npz", clips)], faults=faults) == []
    assert len(faults.messages) == 1
