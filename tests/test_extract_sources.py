"""Which files and folders are clips, what they are called, and how their frames are read."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signloom.errors import InputError
from signloom.extract.reading import Crop, FrameFolderReader, VideoReader, _by_time_stamps, open_clip
from signloom.extract.sources import find_clips, natural_key, take_shard

cv2 = pytest.importorskip("cv2", reason="reading video needs OpenCV (the extra 'extract')", exc_type=ImportError)


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def names(*sources):
    return [clip.name for clip in find_clips(sources).clips]


def test_a_tree_keeps_its_shape(tmp_path):
    touch(tmp_path, "hello/a.mp4", "hello/b.MOV", "bye/a.mp4", "bye/deep/c.v1.webm", "readme.txt", ".hidden/x.mp4")
    found = find_clips([tmp_path])
    assert [clip.name for clip in found.clips] == ["bye/a", "bye/deep/c.v1", "hello/a", "hello/b"]
    assert found.passed_over == {".txt": 1}
    assert found.clips[0].output(tmp_path / "out") == tmp_path / "out" / "bye" / "a.npz"


def test_phoenix_frame_folders_are_called_by_their_id(tmp_path):
    touch(
        tmp_path, "train/01April_default-0/1/a.png", "train/02.May-1/1/a.png", "train/two/1/a.png", "train/two/2/a.png"
    )
    expected = ["01April_default-0", "02.May-1", "two/1", "two/2"]
    assert names(tmp_path / "train") == expected
    assert names(tmp_path) == [f"train/{name}" for name in expected]
    assert names(tmp_path / "train" / "02.May-1") == ["02.May-1"]
    assert names(tmp_path / "train" / "02.May-1" / "1") == ["02.May-1"]
    assert names(f"{tmp_path}/train/*/1") == expected[:3]


def test_plain_frame_folders_and_single_files(tmp_path, monkeypatch):
    touch(tmp_path, "a.b/0.jpg", "clip.mp4", "odd.dat")
    assert names(tmp_path / "a.b", tmp_path / "clip.mp4", tmp_path / "odd.dat") == ["a.b", "clip", "odd"]
    monkeypatch.chdir(tmp_path / "a.b")
    assert names(".") == ["a.b"]


def test_globs_are_named_from_before_the_first_wildcard(tmp_path):
    touch(tmp_path, "x/s1/a.mp4", "x/s2/a.mp4", "x/s2/notes.txt", "x/[odd].mp4")
    assert names(f"{tmp_path}/x/*/*.mp4") == ["s1/a", "s2/a"]
    assert names(f"{tmp_path}/x/**") == ["[odd]", "s1/a", "s2/a"]
    assert names(f"{tmp_path}/x/*") == ["[odd]", "s1/a", "s2/a"]
    assert names(f"{tmp_path}/x/[odd].mp4") == ["[odd]"]


def test_thumbnails_beside_videos_are_no_frames(tmp_path):
    touch(tmp_path, "a.mp4", "a.jpg")
    found = find_clips([tmp_path])
    assert [clip.name for clip in found.clips] == ["a"]
    assert found.passed_over == {".jpg": 1}


def test_an_empty_folder_is_a_clip_without_frames_only_among_frame_folders(tmp_path):
    touch(tmp_path, "frames/a/1/0.png", "videos/a.mp4")
    (tmp_path / "frames" / "b").mkdir()
    (tmp_path / "videos" / "b").mkdir()
    assert names(tmp_path / "frames") == ["a", "b"]
    assert names(tmp_path / "videos") == ["a"]
    with pytest.raises(InputError, match="b: no frames; needed a folder with images"):
        open_clip(tmp_path / "frames" / "b")


def test_a_link_in_a_circle_ends(tmp_path):
    touch(tmp_path, "tree/a.mp4")
    (tmp_path / "tree" / "again").symlink_to(tmp_path / "tree")
    assert names(tmp_path / "tree") == ["a"]


def test_all_faults_of_the_sources_are_shown_together(tmp_path):
    touch(tmp_path, "a/clip.mp4", "b/clip.mp4", "one.png", "c/x.mp4", "c/x.avi")
    with pytest.raises(InputError) as raised:
        find_clips([tmp_path / "a", tmp_path / "b", tmp_path / "gone", f"{tmp_path}/*.xyz", tmp_path / "one.png",
                    tmp_path / "c"])  # fmt: skip
    message = str(raised.value)
    assert "sources: 5 faults" in message
    assert f"{tmp_path}/a/clip.mp4 and {tmp_path}/b/clip.mp4 would both be written to clip.npz" in message
    assert "would both be written to x.npz" in message
    assert f"{tmp_path}/gone: no such file or folder" in message
    assert "*.xyz: the pattern matches nothing" in message
    assert "one.png: a single image" in message


def test_a_clip_given_twice_is_done_once(tmp_path):
    touch(tmp_path, "a.mp4")
    assert names(tmp_path, tmp_path / "a.mp4", f"{tmp_path}/*") == ["a"]


def test_frames_sort_by_number():
    assert sorted(["f10.png", "f9.png", "F1.png", "f2b.png", "f2.png"], key=natural_key) == [
        "F1.png", "f2.png", "f2b.png", "f9.png", "f10.png",
    ]  # fmt: skip


@given(st.integers(0, 40), st.integers(1, 7))
def test_shards_share_out_all_clips_once(num_clips, count):
    clips = list(range(num_clips))
    shards = [take_shard(clips, f"{number}/{count}") for number in range(1, count + 1)]
    assert sorted(clip for shard in shards for clip in shard) == clips
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("shard", ["0/4", "5/4", "1/0", "x/2", "1", "1/2/3", "-1/2", "1.5/2"])
def test_bad_shards_are_refused(shard):
    with pytest.raises(InputError, match="needed i/n with i from 1 to n"):
        take_shard([1, 2, 3], shard)


def test_a_crop_in_pixels_and_in_fractions():
    image = np.arange(40 * 80 * 3, dtype=np.uint16).reshape(40, 80, 3)
    assert np.array_equal(Crop.parse("10,20,30,20").of(image), image[20:40, 10:40])
    assert np.array_equal(Crop.parse("0.5,0,0.5,1").of(image), image[:, 40:])
    assert np.array_equal(Crop.parse("0,0,1,1").of(image), image)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1,2,3", "needed four numbers"),
        ("a,b,c,d", "needed four numbers"),
        ("0,0,nan,1", "needed four numbers"),
        ("-1,0,20,20", "needed x and y of at least 0"),
        ("0,0,0,20", "width and height above 0"),
        ("70,0,20,20", "ends at 90,20, outside the image of 80x40 pixels"),
        ("0,0,0.1,0.1", "is 8x4 of 80x40 pixels; needed at least 16x16"),
    ],
)
def test_bad_crops_are_refused(text, error):
    with pytest.raises(InputError, match=error):
        Crop.parse(text).of(np.zeros((40, 80, 3), np.uint8))


def picture(value, width=64, height=48):
    return np.full((height, width, 3), value, dtype=np.uint8)


def write_pictures(folder, values, suffix=".png"):
    folder.mkdir()
    for number, value in enumerate(values):
        cv2.imwrite(str(folder / f"{number}{suffix}"), picture(value))
    return folder


def test_a_frame_folder_is_read_in_order_and_hashed_by_names_and_contents(tmp_path):
    values = list(range(0, 240, 20))
    reader = FrameFolderReader(write_pictures(tmp_path / "a", values))
    assert [int(frame[0, 0, 0]) for frame in reader.frames()] == values
    assert (reader.expected_frames, reader.fps, reader.pixel_aspect) == (12, None, None)
    hashes = {reader.sha256()}
    (tmp_path / "a" / "3.png").rename(tmp_path / "a" / "99.png")
    renamed = FrameFolderReader(tmp_path / "a")
    list(renamed.frames())
    assert renamed.sha256() not in hashes


def test_the_folder_of_a_clip_is_that_of_its_one_camera(tmp_path):
    # PHOENIX: <id>/1/*.png. The clip's id is what a user names; beside other folders a 1 is a folder like them.
    (tmp_path / "id").mkdir()
    write_pictures(tmp_path / "id" / "1", [0, 100])
    assert [int(frame[0, 0, 0]) for frame in open_clip(tmp_path / "id").frames()] == [0, 100]
    write_pictures(tmp_path / "id" / "2", [0])
    with pytest.raises(InputError, match="id: no frames; needed a folder with images"):
        open_clip(tmp_path / "id")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda data: data[: len(data) // 2], r"frame 3 \(2.*\) is cut off after"),
        (lambda data: b"not an image", r"frame 3 \(2.*\) is not a readable image"),
        (lambda data: b"", r"frame 3 \(2.*\) is not a readable image \(0 bytes\)"),
    ],
)
def test_a_damaged_frame_is_named(tmp_path, suffix, damage, error):
    folder = write_pictures(tmp_path / "a", range(0, 100, 20), suffix)
    path = folder / f"2{suffix}"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=error):
        list(FrameFolderReader(folder).frames())


def test_frames_of_differing_size_are_refused(tmp_path):
    folder = write_pictures(tmp_path / "a", [0, 1, 2])
    cv2.imwrite(str(folder / "1.png"), picture(9, 32, 48))
    with pytest.raises(InputError, match=r"frame 2 \(1.png\) is 32x48 pixels, the frames before it 64x48"):
        list(FrameFolderReader(folder).frames())


def write_video(path, num_frames, fps=29.97, codec="mp4v", width=64, height=48):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (width, height))
    for number in range(num_frames):
        frame = picture(number * 4 % 250, width, height)
        frame[: height // 2] = 255
        writer.write(frame)
    writer.release()
    return path


def test_a_video_keeps_its_rate_as_a_float(tmp_path):
    reader = VideoReader(write_video(tmp_path / "a.mp4", 10))
    assert len(list(reader.frames())) == reader.expected_frames == 10
    assert reader.fps == pytest.approx(29.97, abs=0.001)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "the file is empty"),
        ("Grüße, kein Video\n".encode() * 400, "not a readable video; it is a text file"),
        (bytes(range(256)) * 40, "not a readable video$"),
    ],
)
def test_what_is_no_video_is_refused_with_the_reason(tmp_path, content, error):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(InputError, match=error):
        open_clip(tmp_path / "a.mp4")


def test_a_video_without_its_index_is_refused(tmp_path):
    path = write_video(tmp_path / "a.mp4", 30)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match="not a readable video; it is damaged or cut off"):
        open_clip(path)


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_a_video_that_ends_early_is_refused(tmp_path, suffix):
    # MJPEG can be read up to where it was cut off: only the sizes in the file tell that frames are missing.
    path = write_video(tmp_path / f"a{suffix}", 40, codec="MJPG")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"the file is cut off; \d+ of 40 frames could be read"):
        list(VideoReader(path).frames())


def with_frame_duration(path, microseconds, rate):
    """The AVI at `path` with another frame rate in its two headers."""
    data = bytearray(path.read_bytes())
    main, stream = data.index(b"avih"), data.index(b"strh")
    data[main + 8 : main + 12] = struct.pack("<I", microseconds)
    data[stream + 28 : stream + 36] = struct.pack("<II", 1, rate)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("microseconds", "rate"), [(11, 90_000), (1000, 1000), (5_000_000, 0)])
def test_an_absurd_rate_in_the_header_is_no_rate(tmp_path, microseconds, rate):
    path = with_frame_duration(write_video(tmp_path / "a.avi", 5, codec="MJPG"), microseconds, rate)
    reader = VideoReader(path)
    assert reader.fps is None
    assert len(list(reader.frames())) == 5


def test_a_rate_of_zero_in_both_headers_is_no_rate(tmp_path):
    # FFmpeg puts 25 in its place, in the time stamps too; ten frames are enough for these to be believed elsewhere.
    path = with_frame_duration(write_video(tmp_path / "a.avi", 10, codec="MJPG"), 0, 0)
    reader = VideoReader(path)
    assert len(list(reader.frames())) == 10
    assert reader.fps is None


def test_time_stamps_belie_a_header_of_variable_rate():
    # 22 frames in 2.1 seconds under a header of 29.97: ten a second.
    assert _by_time_stamps(29.97, 22, 2.1) == pytest.approx(10)
    assert _by_time_stamps(None, 31, 1.0) == 30
    assert _by_time_stamps(29.97, 300, 300 / 30) == 29.97
    # Too few frames to tell, no time stamps, absurd ones.
    assert _by_time_stamps(25.0, 3, 1.0) == 25.0
    assert _by_time_stamps(25.0, 30, 0.0) == 25.0
    assert _by_time_stamps(None, 30, 1e-4) is None


def test_a_phone_video_is_turned_upright(tmp_path):
    path = write_video(tmp_path / "a.mp4", 5)
    data = bytearray(path.read_bytes())
    # The matrix of the track header: a quarter turn clockwise instead of the identity.
    matrix = data.index(b"tkhd") + 4 + 40
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    frame = next(VideoReader(path).frames())
    # The upper half, which is white, has come to the right.
    assert frame.shape == (64, 48, 3)
    assert frame[:, 40:].mean() > 200 > 60 > frame[:, :8].mean()
