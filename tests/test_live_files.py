"""Files that grow while people sign: the formats of `transcribe`, complete at every moment, on full disks too."""

import errno
import json
from contextlib import ExitStack, closing

import numpy as np
import pytest

from signloom.ctc.hypothesis import GlossSpan
from signloom.errors import InputError
from signloom.files.growing import GrowingFile
from signloom.files.inputs import protect, protected_inputs
from signloom.inference.stream_events import GlossEvent, UtteranceEnd
from signloom.live.caption_files import caption_files
from signloom.live.frames import Frame
from signloom.subtitles import spans_text

SPANS = (
    GlossSpan("HAUS", 0.5, 1.25, 0.9),
    GlossSpan("<unknown>", 1.25, 3601.5, 0.4),
    GlossSpan("你好", 3602, 3603, 1.0),
)
EVENTS = (
    GlossEvent("provisional", 0, 0, SPANS[1]),
    *(GlossEvent("final", 0, number, span) for number, span in enumerate(SPANS)),
    GlossEvent("withdrawn", 0, 3, SPANS[0]),
    UtteranceEnd(0, 3, 3603.0),
)


class Full:
    """Stands in for a file on a disk that takes `room` more bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = bytes(data[: self.room])
        self.room -= len(part)
        return self.file.write(part)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.fixture
def opened():
    """Makes growing files that the test need not close."""
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(closing(GrowingFile(path)))


@pytest.fixture
def written(opened):
    return lambda kind, path, **head: caption_files({kind: opened(path)}, head)[0]


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_subtitles_are_those_that_transcribe_writes(written, tmp_path, kind):
    file = written(kind, tmp_path / "out")
    for number in range(len(EVENTS)):
        file.update(EVENTS[number : number + 1])
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert text.rstrip("\n") == spans_text(SPANS, kind).rstrip("\n")


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_subtitles_are_complete_after_every_gloss(written, tmp_path, kind):
    file = written(kind, tmp_path / "out")
    for number, event in enumerate(EVENTS[1:4], 1):
        file.update([event])
        assert (tmp_path / "out").read_text(encoding="utf-8").count("-->") == number


def test_every_event_is_a_line_of_json(written, tmp_path):
    file = written("json", tmp_path / "out", source="camera 0")
    file.update(EVENTS)
    lines = [json.loads(line) for line in (tmp_path / "out").read_text(encoding="utf-8").splitlines()]
    assert lines == [{"event": "start", "source": "camera 0"}, *(event.to_json() for event in EVENTS)]


def test_a_full_disk_is_said_once_and_leaves_whole_pieces(written, tmp_path):
    file = written("srt", tmp_path / "out.srt")
    file.update(EVENTS[:2])
    before = (tmp_path / "out.srt").read_bytes()
    # Some of the next subtitle still fits.
    file.file._file = Full(file.file._file, 7)
    file.update(EVENTS[2:3])
    assert (tmp_path / "out.srt").read_bytes() == before
    fault = file.file.fault
    assert fault == f"{tmp_path / 'out.srt'}: no space left on the disk; the file ends here, after {len(before)} bytes"
    # What comes later is left out, also when there is room again.
    file.file._file.room = 1000
    file.update(EVENTS[3:])
    assert (tmp_path / "out.srt").read_bytes() == before
    assert file.file.fault == fault


def test_an_existing_file_is_kept_unless_it_is_to_be_replaced(tmp_path):
    path = tmp_path / "out.srt"
    path.write_text("yesterday")
    with pytest.raises(InputError, match="already exists.*--overwrite"):
        GrowingFile(path)
    assert path.read_text() == "yesterday"
    GrowingFile(path, overwrite=True).close()
    assert path.read_text() == ""


def test_places_where_no_file_can_be_are_refused(tmp_path):
    (tmp_path / "file").touch()
    for path, words in [
        (tmp_path, "is a folder"),
        (tmp_path / "file" / "out.srt", "a part of this path is a file"),
        (tmp_path / "file" / "deep" / "out.srt", "a part of this path is a file"),
    ]:
        with pytest.raises(InputError, match=words):
            GrowingFile(path)
    with protected_inputs():
        protect(tmp_path / "file", "video")
        with pytest.raises(InputError, match="is an input"):
            GrowingFile(tmp_path / "file", overwrite=True)


# Recordings


@pytest.fixture
def recorder(opened, tmp_path):
    pytest.importorskip("av")
    from signloom.live.recorder import Recorder

    return Recorder(opened(tmp_path / "out.mp4"))


def grey(number, size=(64, 48)):
    return Frame(np.full((size[1], size[0], 3), 10 * number, dtype=np.uint8), 0.25 * number, 0.0)


def recorded(path):
    import av

    with av.open(str(path)) as container:
        return [(float(frame.time), frame) for frame in container.decode(video=0)]


def test_a_recording_has_every_frame_at_its_time(recorder, tmp_path):
    for number in range(10):
        recorder.add(grey(number))
    recorder.close()
    frames = recorded(tmp_path / "out.mp4")
    assert [time for time, _ in frames] == [0.25 * number for number in range(10)]
    assert [round(frame.to_ndarray(format="rgb24").mean() / 10) for _, frame in frames] == list(range(10))


def test_a_recording_plays_while_it_is_written(recorder, tmp_path):
    for number in range(10):
        recorder.add(grey(number))
    # Fragments of about a second are complete.
    assert 4 <= len(recorded(tmp_path / "out.mp4")) < 10
    recorder.close()


def test_odd_sides_and_other_sizes_are_taken(recorder, tmp_path):
    recorder.add(grey(0, (65, 49)))
    recorder.add(grey(1, (128, 96)))
    recorder.close()
    assert {(frame.width, frame.height) for _, frame in recorded(tmp_path / "out.mp4")} == {(64, 48)}


def test_a_recording_that_fills_the_disk_plays_up_to_there(recorder, tmp_path):
    for number in range(10):
        recorder.add(grey(number))
    count = len(recorded(tmp_path / "out.mp4"))
    recorder.file._file = Full(recorder.file._file, 100)
    for number in range(10, 20):
        recorder.add(grey(number))
    recorder.close()
    assert "no space left" in recorder.file.fault
    assert len(recorded(tmp_path / "out.mp4")) == count


def test_a_recording_without_a_frame_is_an_empty_file(recorder, tmp_path):
    recorder.close()
    assert (tmp_path / "out.mp4").read_bytes() == b""
