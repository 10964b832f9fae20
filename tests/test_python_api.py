"""What `import signloom` offers at a Python prompt or in a notebook."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import TINY_SIGNS, random_landmarks, tiny_sentence
from signloom import layout
from signloom.ctc.hypothesis import GlossSpan, Hypothesis
from signloom.errors import InputError
from signloom.landmarks import Landmarks
from signloom.vocabulary import Vocabulary

HYPOTHESIS = Hypothesis((GlossSpan("HELLO", 0.25, 0.5, 0.91), GlossSpan("YOU", 0.5, 1.75, 0.5)), -1.5)


class TestLandmarks:
    def test_parts_have_names(self):
        clip = random_landmarks(6)
        for name, part in layout.GROUPS.items():
            assert np.array_equal(getattr(clip, name), clip.points[:, part])
        assert clip.right_hand.shape == (6, 21, 3)

    def test_a_slice_is_a_clip_of_its_own(self):
        clip = random_landmarks(50, fps=25.0)
        part = clip[10:30]
        assert (len(part), part.fps, part.start_seconds) == (20, 25.0, 0.0)
        assert np.array_equal(part.points, clip.points[10:30])
        assert np.array_equal(clip[-5:].points, clip.points[-5:])
        # Every second frame takes as long as both.
        half = clip[::2]
        assert (len(half), half.fps, half.duration_seconds) == (25, 12.5, 2.0)
        uneven = replace(clip, seconds=np.cumsum(np.linspace(0.01, 0.07, 50)) - 0.01)
        assert uneven[::2].duration_seconds == pytest.approx(uneven.duration_seconds, rel=0.05)

    def test_what_is_no_slice(self):
        clip = random_landmarks(5)
        for wrong in (slice(5, 9), slice(3, 1), slice(None, None, -1)):
            with pytest.raises(InputError, match="no frames in .* of 5; needed a slice that goes forward"):
                clip[wrong]
        with pytest.raises(TypeError, match="needed a slice, such as"):
            clip[2]

    def test_it_is_shown_in_one_line(self):
        clip = random_landmarks(50)
        clip.points[:25, layout.GROUPS["left_hand"]] = np.nan
        assert repr(clip) == (
            "Landmarks(50 frames, 2.00 s, 25 fps, 640x480; pose 100%, left hand 50%, right hand 100%, face 100%)"
        )

    def test_pictures(self, tmp_path):
        pytest.importorskip("PIL")
        clip = tiny_sentence(("UP", "DOWN"), seed=0)
        sheet, one = clip.draw(), clip.draw(frame=-1, height=120)
        assert one.size == (160, 120)
        assert sheet.width > 4 * 160
        # The signer moves, so frames differ.
        assert np.any(np.asarray(clip.draw(frame=0, height=120)) != np.asarray(clip.draw(frame=6, height=120)))
        with pytest.raises(InputError, match="no frame 24; needed one of 24"):
            clip.draw(frame=24)

    @pytest.mark.slow
    def test_a_chart(self):
        plt = pytest.importorskip("matplotlib.pyplot")
        clip = tiny_sentence(("UP", "DOWN"), seed=0)
        places, presence = clip.plot()
        (line,) = [line for line in places.lines if line.get_label() == "right hand, down"]
        assert np.allclose(line.get_ydata(), clip.right_hand[..., 1].mean(axis=1))
        assert [label.get_text() for label in presence.get_yticklabels()] == [
            name.replace("_", " ") for name in layout.GROUPS
        ]
        plt.close("all")


class TestHypothesis:
    def test_text_dictionary_and_subtitles(self):
        assert HYPOTHESIS.text == "HELLO YOU"
        assert HYPOTHESIS.to_dict() == {
            "text": "HELLO YOU",
            "score": -1.5,
            "glosses": [
                {"gloss": "HELLO", "start_seconds": 0.25, "end_seconds": 0.5, "confidence": 0.91},
                {"gloss": "YOU", "start_seconds": 0.5, "end_seconds": 1.75, "confidence": 0.5},
            ],
        }
        assert HYPOTHESIS.to_srt() == (
            "1\n00:00:00,250 --> 00:00:00,500\nHELLO\n\n2\n00:00:00,500 --> 00:00:01,750\nYOU\n"
        )
        assert repr(HYPOTHESIS) == "Hypothesis('HELLO YOU', score -1.50)"


@pytest.fixture(scope="module")
def model():
    torch = pytest.importorskip("torch")
    from conftest import TINY_STUDENT
    from signloom.inference.model import Model
    from signloom.inference.torch_engine import TorchEngine
    from signloom.model.recognizer import Recognizer

    torch.manual_seed(0)
    vocabulary = Vocabulary.from_glosses([tuple(TINY_SIGNS)])
    info = {"corpus": {"name": "tiny", "synthetic": True}}
    return Model(TorchEngine(Recognizer(TINY_STUDENT, len(vocabulary))), vocabulary, info)


@pytest.fixture
def clips(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("clips/a", "clips/deep/a")):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        tiny_sentence(("UP", "DOWN"), seed=number).save(Path(f"{name}.npz"))
    return tmp_path / "clips"


class TestModel:
    def test_a_clip_a_list_a_folder_and_a_pattern(self, model, clips):
        names = ["clips/a.npz", "clips/deep/a.npz"]
        alone = [model.transcribe(name) for name in names]
        assert [type(each) for each in alone] == [Hypothesis] * 2
        assert model.transcribe(names) == model.transcribe([Path(name) for name in names]) == alone
        assert model.transcribe("clips") == model.transcribe("clips/**") == dict(zip(names, alone, strict=True))
        mixed = model.transcribe([Landmarks.load(Path(names[1])), "clips/deep", names[0], names[0]])
        assert mixed == [alone[1], {names[1]: alone[1]}, alone[0], alone[0]]
        assert model.transcribe([]) == []

    def test_errors_are_raised_or_returned(self, model, clips):
        Path("clips/broken.npz").write_bytes(b"PK")
        Path("notes.txt").touch()
        with pytest.raises(InputError, match="clips/broken.npz"):
            model.transcribe("clips")
        results = model.transcribe("clips", errors="return")
        assert [type(result) for result in results.values()] == [Hypothesis, InputError, Hypothesis]
        first, second, third = model.transcribe(["gone.mp4", "clips/a.npz", "notes.txt"], errors="return")
        assert "gone.mp4: no such file" in str(first)
        assert isinstance(second, Hypothesis)
        assert "unknown ending .txt" in str(third)
        with pytest.raises(InputError, match="gone.mp4: no such file"):
            model.transcribe(["clips/a.npz", "gone.mp4"])

    def test_unknown_and_useless_options_raise(self, model, clips):
        with pytest.raises(TypeError, match="beam"):
            model.transcribe("clips/a.npz", beam=3)
        for source in ("clips/a.npz", ["clips/a.npz"], Landmarks.load(Path("clips/a.npz"))):
            with pytest.raises(InputError, match="crop, pixel_aspect and fps are for videos"):
                model.transcribe(source, crop="0,0,1,1")
        with pytest.raises(InputError, match="errors is 'ignore'; needed 'raise' or 'return'"):
            model.transcribe("clips", errors="ignore")
        with pytest.raises(InputError, match="workers is -1"):
            model.transcribe("clips", workers=-1)
        with pytest.raises(InputError, match="got int; needed landmarks, a path, or a list"):
            model.transcribe(3)

    def test_it_says_what_it_is(self, model):
        assert repr(model) == (
            "Model(4 signs: DOWN, LEFT, RIGHT, UP; view compact, 25 fps; trained on tiny, simulated signing)"
        )


def test_extraction_has_a_name_beside_the_package_of_that_name():
    import signloom.extract

    assert signloom.extract_landmarks is signloom.extract.extract_landmarks
    with pytest.raises(InputError, match="nothing.mp4: no such video file or frame folder"):
        signloom.extract_landmarks("nothing.mp4")
    with pytest.raises(TypeError, match="speed"):
        signloom.extract_landmarks("nothing.mp4", speed=2)
