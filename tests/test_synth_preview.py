"""Pictures of a corpus: what is there is drawn, what is missing is not, nearer parts cover farther ones."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import random_landmarks
from signloom import layout
from signloom.corpus import Corpus, CorpusWriter
from signloom.drawing.hand import HAND_COLOURS
from signloom.drawing.person import BACKGROUND, Appearance, appearance_of, draw_frame
from signloom.drawing.preview import (
    animate,
    check_preview_path,
    choose,
    draw_contact_sheet,
    draw_film_strip,
    write_preview,
)
from signloom.errors import InputError, MissingExtraError
from signloom.landmarks import Landmarks
from signloom.synth.body import pose_body
from signloom.synth.camera import make_camera, project
from signloom.synth.corpus import synthesise
from signloom.synth.dials import Dials
from signloom.synth.options import SynthOptions
from signloom.synth.performance import perform
from signloom.synth.signer import make_signer
from signloom.synth.signs import Sign
from signloom.synth.tracker import track

Image = pytest.importorskip("PIL.Image")

RECIPE = SynthOptions(
    num_signs=10, num_signers=3, num_test_signers=1, num_train=6, num_dev=2, num_test=2, max_glosses=4, lost_hands=0.0
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return synthesise(RECIPE, tmp_path_factory.mktemp("preview") / "corpus")


@pytest.fixture(scope="module")
def person():
    """A frame with both hands in view and apart, on a picture four wide and three high."""
    clean, rng = Dials(preset="clean"), np.random.default_rng(0)
    signer = make_signer(0, seed=0, dials=clean)
    beside = Sign("BESIDE", "both", "5", "space-side", "up-out", "hold")
    performance = perform([beside], signer, fps=25.0, dials=clean, rng=rng)
    camera = make_camera(rng, rng, image_size=(640, 480), dials=clean)
    image = project(pose_body(performance.motion, signer.proportions), camera)
    start, end = performance.strokes[0]
    return track(image, camera, fps=25.0, dials=clean, rng=rng).points[(start + end) // 2]


@pytest.fixture(scope="module")
def unmarked(tmp_path_factory):
    """A corpus without truth, as from real recordings: other picture sizes, no signer, a hand and a face missing."""
    root = tmp_path_factory.mktemp("real") / "corpus"
    with CorpusWriter(root, {"name": "real"}) as writer:
        for number, (size, fps) in enumerate([((640, 480), 30.0), ((210, 260), 25.0), (None, 12.5)]):
            clip = random_landmarks(10, seed=number, fps=fps)
            points = clip.points.copy()
            points[:, layout.GROUPS["left_hand"]] = np.nan
            points[5:, layout.GROUPS["face"]] = np.nan
            landmarks = Landmarks(points, clip.visibility, fps=fps, image_size=size)
            writer.add(
                f"clip/{number}", split="train", signer=None, glosses=["天气", "مدرسة", "ÜBER"], landmarks=landmarks
            )
    return Corpus.open(root)


def pixels(picture, colour):
    """How many pixels are of a colour or a shade of it: the same hue within a few degrees, and saturated."""
    hue, saturation, _ = np.moveaxis(np.asarray(picture.convert("HSV")).astype(int), -1, 0)
    wanted = Image.new("RGB", (1, 1), colour).convert("HSV").getpixel((0, 0))[0]
    return int(((abs((hue - wanted + 128) % 256 - 128) < 6) & (saturation > 90)).sum())


# One frame


def test_each_hand_is_drawn_in_its_colour_where_it_is(person):
    # Greys all over but for the hands, so that their colours cannot come from anything else.
    look = Appearance(skin=(200, 200, 200), hair=(40, 40, 40), shirt=(90, 90, 90))
    picture = np.asarray(draw_frame(person, height=300, look=look)).astype(int)
    assert picture.shape == (300, 400, 3)
    for hand, colour in HAND_COLOURS.items():
        x, y = (person[layout.GROUPS[hand], :2].mean(axis=0) * 300).round().astype(int)
        near = picture[max(0, y - 6) : y + 7, max(0, x - 6) : x + 7].reshape(-1, 3).mean(axis=0)
        assert np.argmax(near) == np.argmax(colour), hand


def test_a_missing_part_is_not_drawn(person):
    look = Appearance(skin=(200, 200, 200), hair=(40, 40, 40), shirt=(90, 90, 90))
    whole = draw_frame(person, look=look)
    for hand, colour in HAND_COLOURS.items():
        without = person.copy()
        without[layout.GROUPS[hand]] = np.nan
        picture = draw_frame(without, look=look)
        assert pixels(whole, colour) > 200
        assert pixels(picture, colour) == 0
        other = next(value for name, value in HAND_COLOURS.items() if name != hand)
        assert pixels(picture, other) == pytest.approx(pixels(whole, other), rel=0.05)


def test_a_lost_face_leaves_a_blank_head(person):
    without = person.copy()
    without[layout.GROUPS["face"]] = np.nan
    face = person[layout.GROUPS["face"], :2] * 400
    box = (*face.min(axis=0).round().astype(int).tolist(), *face.max(axis=0).round().astype(int).tolist())
    drawn, blank = (np.asarray(draw_frame(points).crop(box)).reshape(-1, 3) for points in (person, without))
    # Lips, eyes and brows make many colours; a blank head is skin and background.
    assert len(np.unique(blank, axis=0)) < len(np.unique(drawn, axis=0)) / 2
    assert (blank != BACKGROUND).any(axis=1).mean() > 0.7


def test_nothing_found_is_an_empty_picture():
    picture = np.asarray(draw_frame(np.full((layout.NUM_POINTS, 3), np.nan)))
    assert (picture == BACKGROUND).all()


@pytest.mark.parametrize("nearer", list(HAND_COLOURS))
def test_the_nearer_hand_covers_the_other(person, nearer):
    both = person.copy()
    farther = next(name for name in HAND_COLOURS if name != nearer)
    place = np.array((0.66, 0.7, 0.0))
    for name, depth in ((nearer, -0.5), (farther, -0.2)):
        side = name.removesuffix("_hand")
        # The same hand twice, one behind the other.
        hand = person[layout.GROUPS["right_hand"]]
        both[layout.GROUPS[name]] = hand - hand[0] + place
        both[layout.index(f"pose.{side}_wrist")] = place + np.array((0, 0, depth))
    picture = draw_frame(both)
    assert pixels(picture, HAND_COLOURS[nearer]) > 4 * pixels(picture, HAND_COLOURS[farther])


def test_points_off_the_picture_are_cropped(person):
    shifted = person + np.array((40.0, -3.0, 0.0))
    assert (np.asarray(draw_frame(shifted)) == BACKGROUND).all()


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0.0, 1e-6, 0.3, 50.0]), missing=st.floats(0, 1))
def test_any_points_can_be_drawn(seed, spread, missing):
    rng = np.random.default_rng(seed)
    points = 0.5 + spread * rng.standard_normal((layout.NUM_POINTS, 3))
    points[rng.random(layout.NUM_POINTS) < missing] = np.nan
    points[rng.random(layout.NUM_POINTS) < 0.3 * missing, 2] = np.nan
    assert draw_frame(points, aspect=0.7, height=100).size == (70, 100)


def test_a_signer_always_looks_the_same_and_signers_differ():
    assert appearance_of("signer01") == appearance_of("signer01")
    assert len({appearance_of(f"signer{number:02d}") for number in range(20)}) > 10
    assert isinstance(appearance_of(None), Appearance)


# Files


def test_utterances_of_different_splits_and_signers_are_chosen(corpus):
    chosen = choose(corpus, 5)
    assert [utterance.split for utterance in chosen] == ["train", "dev", "test", "train", "dev"]
    # Two signers make train and dev, one makes test: each is shown before any is shown again.
    assert len({utterance.signer for utterance in chosen[:3]}) == 3
    assert chosen[3].signer != chosen[0].signer
    assert len(choose(corpus, 99)) == len(corpus) == len({utterance.id for utterance in choose(corpus, 99)})
    assert len(choose(corpus, 1, num_signs=4)[0].glosses) == 4


def test_a_contact_sheet_has_a_row_for_each_utterance(corpus, tmp_path):
    sizes = []
    for num_rows in (2, 3):
        draw_contact_sheet(corpus, tmp_path / "sheet.png", num_rows=num_rows, num_columns=3, height=120)
        with Image.open(tmp_path / "sheet.png") as sheet:
            sizes.append(sheet.size)
    assert sizes[0][0] == sizes[1][0] == 6 + 3 * (160 + 6)
    assert sizes[1][1] - sizes[0][1] > 120


def test_an_animation_lasts_as_long_as_the_signing(corpus, tmp_path):
    path = tmp_path / "signing.gif"
    animate(corpus, path, num_utterances=2, height=100)
    total = sum(utterance.duration_seconds for utterance in choose(corpus, 2))
    with Image.open(path) as film:
        milliseconds = 0
        for frame in range(film.n_frames):
            film.seek(frame)
            milliseconds += film.info["duration"]
    assert milliseconds / 1000 == pytest.approx(total, abs=0.011)


@pytest.mark.slow
def test_a_video_has_the_frames_and_the_rate(corpus, tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "signing.mp4"
    assert write_preview(corpus, path) == [path]
    with av.open(str(path)) as video:
        assert video.streams.video[0].average_rate == 25
        frames = sum(1 for _ in video.decode(video=0))
    assert frames == sum(utterance.num_frames for utterance in choose(corpus, 4))


@pytest.mark.slow
def test_a_folder_gets_everything(corpus, tmp_path):
    written = write_preview(corpus, tmp_path / "look")
    names = sorted(str(path.relative_to(tmp_path / "look")) for path in written)
    strips = sorted(f"strips/{utterance.id}.png" for utterance in choose(corpus, 4))
    assert names == ["preview.gif", "sheet.png", *strips]
    assert all(path.stat().st_size > 1000 for path in written)
    # Nothing unfinished stays behind.
    assert len([path for path in (tmp_path / "look").rglob("*") if path.is_file()]) == len(written)


@pytest.mark.slow
def test_recordings_without_truth_are_shown_too(unmarked, tmp_path):
    written = write_preview(unmarked, tmp_path / "look")
    assert {path.name for path in written} == {"sheet.png", "preview.gif", "clip_0.png", "clip_1.png", "clip_2.png"}
    # One picture of one size, though the recordings differ in size and rate.
    with Image.open(tmp_path / "look" / "preview.gif") as film:
        assert film.n_frames > 10


def test_a_strip_starts_where_it_is_told(corpus, tmp_path):
    utterance = choose(corpus, 1)[0]
    for start, name in ((0, "first.png"), (8, "later.png")):
        draw_film_strip(corpus, utterance, tmp_path / name, start=start, num_frames=3, step=1)
    assert (tmp_path / "first.png").read_bytes() != (tmp_path / "later.png").read_bytes()


def test_the_same_corpus_gives_the_same_bytes(corpus, tmp_path):
    for name in ("a.png", "b.png"):
        draw_contact_sheet(corpus, tmp_path / name, num_rows=1, num_columns=2, height=80)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("name", ["sheet.jpg", "film.webm", "sheet.png.txt"])
def test_other_suffixes_are_refused(name, tmp_path, corpus):
    message = f"--preview is .*{name}; needed a file name that ends in .png .contact sheet., .gif or .mp4"
    with pytest.raises(InputError, match=message):
        check_preview_path(tmp_path / name)
    with pytest.raises(InputError, match=message):
        write_preview(corpus, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_file_is_not_a_folder_nor_a_folder_a_file(tmp_path):
    (tmp_path / "plain").write_text("notes")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match="plain, which is a file without a suffix"):
        check_preview_path(tmp_path / "plain")
    with pytest.raises(InputError, match="folder.png, which is a folder"):
        check_preview_path(tmp_path / "folder.png")
    check_preview_path(tmp_path / "new")


def test_an_animation_needs_a_suffix_it_knows(corpus, tmp_path):
    with pytest.raises(InputError, match="needed a file name that ends in .gif or .mp4"):
        animate(corpus, tmp_path / "film.png")


@pytest.mark.parametrize(
    ("package", "name", "message"),
    [
        (
            "PIL",
            "sheet.png",
            r"a preview needs the package .Pillow. .* pip install -e .*\[train\]",
        ),
        ("av", "film.mp4", r"a preview as .mp4 needs .* install it with: .*pip install .*(\[extract\]|av)"),
    ],
)
def test_a_missing_package_is_named(package, name, message, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    if package == "PIL":
        monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtraError, match=message):
        check_preview_path(tmp_path / name)
