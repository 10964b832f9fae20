"""Which files and folders are clips, what they are called, and how their frames are read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signloom.errors import InputError
from signloom.extract.crop import Crop
from signloom.extract.frame_folder import FrameFolderReader, positions
from signloom.extract.reading import open_clip
from signloom.extract.sources import find_clips, natural_key, take_shard

cv2 = pytest.importorskip("cv2", reason="reading images needs OpenCV (the extra 'extract')", exc_type=ImportError)


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


def test_a_gif_is_a_clip_and_not_where_it_shows_frames(tmp_path):
    touch(tmp_path, "gifs/HELLO.gif", "gifs/bye.GIF", "gifs/HELLO.jpg", "frames/a/0.png", "frames/a/1.png")
    touch(tmp_path, "frames/a/preview.gif", "both/a.gif", "both/b.mp4", "both/c.png")
    found = find_clips([tmp_path])
    assert [clip.name for clip in found.clips] == ["both/a", "both/b", "frames/a", "gifs/HELLO", "gifs/bye"]
    assert found.passed_over == {".jpg": 1, ".gif": 1, ".png": 1}


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
    assert (reader.expected_frames, reader.unread, reader.pixel_aspect) == (12, 0, None)
    times = reader.times(50)
    assert (times.fps, times.assumed_fps, times.seconds[-1]) == (50, 50, 11 / 50)
    hashes = {reader.sha256()}
    (tmp_path / "a" / "3.png").rename(tmp_path / "a" / "12.png")
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


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["images0001", "images0002", "images0003"], [0, 1, 2]),
        # PHOENIX-2014: other numbers are the same in all names.
        (["01April_default-0.avi_pid0_fn000007-0", "01April_default-0.avi_pid0_fn000009-0"], [0, 1]),
        (["a_fn7-0", "a_fn8-0", "a_fn9-0", "a_fn12-0"], [0, 1, 2, 5]),
        # Every fifth frame of a recording was kept, and one is missing.
        (["0", "5", "10", "20"], [0, 1, 2, 4]),
        # Milliseconds of 30 frames/s, one missing.
        (["t0", "t33", "t67", "t100", "t167"], [0, 1, 2, 3, 5]),
        # Not numbered, or by two numbers.
        (["a", "c", "k"], [0, 1, 2]),
        (["take1_1", "take1_2", "take2_9"], [0, 1, 2]),
        (["f1", "f01", "f7"], [0, 1, 2]),
    ],
)
def test_numbers_in_names_tell_which_frames_are_missing(names, expected):
    assert positions(names).tolist() == expected


def test_a_gap_in_a_numbered_folder_keeps_its_time_and_is_counted(tmp_path):
    folder = write_pictures(tmp_path / "a", range(20))
    for number in (5, 6, 7, 11, 19):
        (folder / f"{number}.png").unlink()
    reader = open_clip(folder)
    assert len(list(reader.frames())) == 15
    # The last one leaves no gap.
    assert reader.unread == 4
    times = reader.times(10)
    assert times.seconds.tolist() == [number / 10 for number in range(19) if number not in (5, 6, 7, 11)]
    assert (times.fps, times.assumed_fps) == (pytest.approx(15 / 1.9), 10)


def test_a_numbered_folder_with_under_half_of_its_frames_is_refused(tmp_path):
    folder = write_pictures(tmp_path / "a", range(20))
    for number in set(range(20)) - {0, 1, 7, 13, 19}:
        (folder / f"{number}.png").unlink()
    with pytest.raises(InputError, match="only 5 of 20 frames could be read: the numbers in their names have gaps"):
        open_clip(folder)
