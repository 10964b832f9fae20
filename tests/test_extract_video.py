"""Videos are read as players show them: their times, their orientation, and how many frames cannot be decoded."""

import gc
import struct
from fractions import Fraction

import numpy as np
import pytest

from signloom.errors import InputError
from signloom.extract.reading import open_clip

pytest.importorskip("av", reason="reading video needs PyAV (the extra 'extract')")
from films import (
    HEIGHT,
    MILLISECONDS,
    WIDTH,
    copied,
    even,
    joined,
    noise,
    number_of,
    spoil,
    with_edits,
    write_film,
)

# A phone in the dark: 30 frames/s, then 10. A screen recorder that pauses for three seconds.
VARIABLE = [*(number / 30 for number in range(12)), *(0.4 + number / 10 for number in range(6))]
PAUSED = [*even(8), *(3 + second for second in even(8))]


def read(path, fps=25.0):
    """The numbers of the frames of a video, its times, and its reader."""
    reader = open_clip(path)
    numbers = [number_of(frame) for frame in reader.frames()]
    return numbers, reader.times(fps), reader


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"bf": "2", "qp": "5"}),
        ("a.mp4", "mpeg4", {}),
        ("a.mov", "libx264", {"bf": "3", "qp": "5"}),
        ("a.mkv", "libx264", {"bf": "2", "qp": "5"}),
        ("a.avi", "mpeg4", {"bf": "2", "qmax": "2"}),
        ("a.avi", "libx264", {"bf": "2", "qp": "5"}),
        ("a.avi", "mjpeg", {}),
        ("a.ts", "libx264", {"bf": "2", "qp": "5"}),
        ("a.mpg", "mpeg2video", {"bf": "2", "qmax": "2"}),
        ("a.flv", "libx264", {"bf": "2", "qp": "5"}),
        ("a.webm", "libvpx", {}),
        ("a.webm", "libvpx-vp9", {"cpu-used": "8"}),
        ("a.wmv", "wmv2", {"qmax": "2"}),
    ],
)
def test_every_container_starts_at_0_with_its_rate_and_all_frames_in_order(tmp_path, name, codec, options):
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    numbers, times, reader = read(
        write_film(tmp_path / name, even(20), codec=codec, options=options, pixel_format=pixels)
    )
    assert numbers == list(range(20))
    np.testing.assert_allclose(times.seconds, even(20), atol=0.001)
    assert (times.fps, times.assumed_fps, reader.unread) == (25, None, 0)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.ts", "libx264", {"x264-params": "tff=1"}),
        # A hidden frame is a packet of its own in VP8.
        pytest.param(
            *("a.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16", "b": "200k"}), marks=pytest.mark.slow
        ),
    ],
)
def test_packets_that_show_no_frame_of_their_own_are_no_loss(tmp_path, name, codec, options):
    numbers, _, reader = read(write_film(tmp_path / name, even(40), codec=codec, options=options, picture=noise))
    assert (len(numbers), reader.unread) == (40, 0)


@pytest.mark.parametrize(("codec", "options"), [("libsvtav1", {"preset": "12"}), ("libx265", {}), ("ffv1", {})])
def test_codecs_that_opencv_may_not_know_are_decoded(tmp_path, codec, options):
    path = tmp_path / ("a.mkv" if codec == "ffv1" else "a.mp4")
    numbers, times, _ = read(write_film(path, even(6, 30), codec=codec, options=options, rate=30))
    assert (numbers, times.fps) == (list(range(6)), 30)


def test_a_gif_is_a_video(tmp_path):
    numbers, times, _ = read(write_film(tmp_path / "a.gif", even(5, 10), codec="gif", pixel_format="rgb8", rate=10))
    assert len(numbers) == 5
    np.testing.assert_allclose(times.seconds, even(5, 10))
    assert times.fps == 10


@pytest.mark.parametrize("seconds", [VARIABLE, PAUSED])
@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "mpeg4"), ("a.webm", "libvpx")])
def test_variable_rates_and_pauses_keep_the_time_of_every_frame(tmp_path, name, codec, seconds):
    numbers, times, reader = read(write_film(tmp_path / name, seconds, codec=codec, time_base=MILLISECONDS, rate=30))
    assert len(numbers) == len(seconds)
    np.testing.assert_allclose(times.seconds, seconds, atol=0.001)
    # A pause is no loss.
    assert reader.unread == 0


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mpeg4"), ("a.mkv", "libx264"), ("a.ts", "libx264")])
def test_a_video_that_begins_after_its_sound_begins_late(tmp_path, name, codec):
    seconds = [1 + second for second in even(10)]
    _, times, _ = read(write_film(tmp_path / name, seconds, codec=codec, sound_seconds=1.5))
    # The encoder of the sound begins up to two of its frames before 0.
    np.testing.assert_allclose(times.seconds, seconds, atol=0.045)
    np.testing.assert_allclose(np.diff(times.seconds), 0.04, atol=0.001)
    assert times.fps == 25


def test_stamps_that_begin_late_without_sound_begin_at_0(tmp_path):
    source = write_film(tmp_path / "a.mp4", even(8), codec="libx264")
    _, times, _ = read(copied(source, tmp_path / "late.ts", shift_seconds=500))
    np.testing.assert_allclose(times.seconds, even(8))


@pytest.mark.parametrize(
    ("name", "codec"), [("a.ts", "libx264"), ("a.ts", "mpeg2video"), ("a.mkv", "libx264"), ("a.mpg", "mpeg2video")]
)
def test_parts_joined_by_cat_go_on(tmp_path, name, codec):
    # FFmpeg reads no third part of a Matroska file.
    counts = (10, 14) if name == "a.mkv" else (10, 14, 8)
    parts = [write_film(tmp_path / f"{count}{name}", even(count), codec=codec, options={"bf": "2"}) for count in counts]
    numbers, times, reader = read(joined(tmp_path / f"joined{name}", parts))
    assert len(numbers) == sum(counts)
    np.testing.assert_allclose(times.seconds, even(sum(counts)), atol=0.001)
    assert (times.fps, reader.unread) == (25, 0)


@pytest.mark.parametrize(
    ("name", "codec", "num_parts", "num_read"),
    [("a.mkv", "mpeg4", 3, 2), ("a.flv", "libx264", 2, 1), ("a.mp4", "libx264", 2, 1)],
)
def test_joined_parts_that_players_do_not_show_are_counted(tmp_path, name, codec, num_parts, num_read):
    part = write_film(tmp_path / name, even(20), codec=codec, picture=noise)
    numbers, _, reader = read(joined(tmp_path / f"joined{name}", [part] * num_parts))
    assert len(numbers) == 20 * num_read
    assert reader.unread == pytest.approx(20 * (num_parts - num_read), abs=1)


def test_three_joined_parts_of_which_one_is_shown_are_refused(tmp_path):
    part = write_film(tmp_path / "a.mp4", even(20), codec="libx264")
    with pytest.raises(
        InputError, match="only 20 of 60 frames could be read: video h264, 67% of the file cannot be read"
    ):
        read(joined(tmp_path / "joined.mp4", [part] * 3))


@pytest.mark.parametrize("cut", [0.2, 0.44])
def test_frames_that_an_edit_list_hides_are_not_shown(tmp_path, cut):
    # Cut without encoding again: the file keeps the frames from the key frame on, and hides those before the cut.
    source = write_film(tmp_path / "a.mp4", even(25), codec="libx264", options={"bf": "2", "qp": "5"})
    path = copied(source, tmp_path / "cut.mp4", shift_seconds=-cut, avoid_negative_ts="disabled")
    numbers, times, reader = read(path)
    assert numbers == list(range(round(cut * 25), 25))
    np.testing.assert_allclose(times.seconds, even(len(numbers)), atol=0.001)
    assert reader.unread == 0


@pytest.mark.parametrize(
    ("edits", "shown"),
    [
        # The end is cut off; the middle is; two parts change places.
        ([(0.4, 0.0)], range(10)),
        ([(0.4, 0.0), (0.4, 0.6)], [*range(10), *range(15, 25)]),
        ([(0.4, 0.6), (0.2, 0.0)], [*range(15, 25), *range(5)]),
        # Nothing is shown at first. Without sound the file begins with the first picture.
        ([(0.5, -1), (1.0, 0.0)], range(25)),
    ],
)
def test_edit_lists_are_followed(tmp_path, edits, shown):
    path = write_film(tmp_path / "a.mp4", even(25), codec="libx264", options={"bf": "2", "qp": "5", "g": "5"})
    numbers, times, reader = read(with_edits(path, edits))
    assert numbers == list(shown)
    np.testing.assert_allclose(times.seconds, even(len(numbers)), atol=0.001)
    assert reader.unread == 0


QUARTERS = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
QUARTERS[: HEIGHT // 2, WIDTH // 2 :] = 85
QUARTERS[HEIGHT // 2 :, : WIDTH // 2] = 170
QUARTERS[HEIGHT // 2 :, WIDTH // 2 :] = 255
ONE = 1 << 16


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        # Shown: the quarters top left, top right, bottom left, bottom right, as the tool ffmpeg writes them.
        ((ONE, 0, 0, ONE), [0, 85, 170, 255]),
        ((-ONE, 0, 0, ONE), [85, 0, 255, 170]),
        ((ONE, 0, 0, -ONE), [170, 255, 0, 85]),
        ((-ONE, 0, 0, -ONE), [255, 170, 85, 0]),
        ((0, ONE, -ONE, 0), [170, 0, 255, 85]),
        ((0, -ONE, ONE, 0), [85, 255, 0, 170]),
        ((0, ONE, ONE, 0), [0, 170, 85, 255]),
        ((0, -ONE, -ONE, 0), [255, 85, 170, 0]),
        # A matrix of zeros is none.
        ((0, 0, 0, 0), [0, 85, 170, 255]),
    ],
)
def test_the_whole_display_matrix_is_applied(tmp_path, matrix, shown):
    a, b, c, d = matrix
    path = write_film(
        tmp_path / "a.mp4",
        even(2),
        picture=lambda number: QUARTERS,
        matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30),
        aspect=Fraction(4, 3),
    )
    reader = open_clip(path)
    picture = next(frames := reader.frames())
    list(frames)
    height, width = picture.shape[:2]
    rows, columns = slice(height // 4, None, height // 2), slice(width // 4, None, width // 2)
    np.testing.assert_allclose(picture[rows, columns, 0].ravel(), shown, atol=6)
    turned = bool(b)
    assert (width, height) == ((HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT))
    # The pixels turn with the picture.
    assert reader.pixel_aspect == pytest.approx(3 / 4 if turned else 4 / 3)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "mpeg4"), ("a.avi", "mjpeg"), ("a.mp4", "libx264"), ("a.ts", "libx264"), ("a.flv", "libx264")],
)
def test_frames_that_cannot_be_decoded_are_counted_and_leave_a_gap(tmp_path, name, codec, zeros):
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    options = {"x264-params": "bframes=0"} if codec == "libx264" else {}
    path = write_film(tmp_path / name, even(20), codec=codec, picture=noise, options=options, pixel_format=pixels)
    reader = open_clip(spoil(path, range(6, 11), zeros=zeros))
    count = len(list(reader.frames()))
    # TS has packets of its own, so that the frame after is lost too.
    assert count in ((15, 14) if name == "a.ts" else (15,))
    assert reader.unread == 20 - count
    seconds = reader.times(25.0).seconds
    np.testing.assert_allclose(seconds, [*even(6), *(second for second in even(20)[20 - count + 6 :])], atol=0.001)


def test_a_cluster_of_matroska_that_is_lost_is_counted(tmp_path):
    # After a damaged place the frames up to the next cluster, here of half a second, cannot be found.
    source = write_film(tmp_path / "a.mkv", even(60), picture=noise, codec="mpeg4")
    path = copied(source, tmp_path / "b.mkv", cluster_time_limit="400")
    reader = open_clip(spoil(path, range(22, 25)))
    count = len(list(reader.frames()))
    assert 45 < count < 58
    assert reader.unread == 60 - count
    assert reader.times(25.0).seconds[-1] == pytest.approx(59 / 25)


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mjpeg"), ("a.mp4", "libx264"), ("a.mkv", "mpeg4")])
def test_a_video_of_which_under_half_can_be_read_is_refused(tmp_path, name, codec):
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_film(tmp_path / name, even(20), codec=codec, picture=noise, pixel_format=pixels, options={"bf": "0"})
    kind = {"mjpeg": "mjpeg", "libx264": "h264", "mpeg4": "mpeg4"}[codec]
    reader = open_clip(spoil(path, range(5, 20)))
    with pytest.raises(InputError, match=rf"only 5 of 20 frames could be read: video {kind}, .*it is damaged"):
        list(reader.frames())


def test_what_ffmpeg_says_of_damaged_places_is_not_shown(tmp_path, capfd):
    path = write_film(tmp_path / "a.mp4", even(20), codec="libx264", picture=noise)
    capfd.readouterr()
    list(open_clip(spoil(path, range(6, 9))).frames())
    assert capfd.readouterr() == ("", "")


def test_a_video_of_which_nothing_can_be_read_names_its_codec(tmp_path):
    path = write_film(tmp_path / "a.mp4", even(5), codec="libx264", picture=noise)
    reader = open_clip(spoil(path, range(5)))
    with pytest.raises(InputError, match=r"no readable frame in this video \(codec h264\)"):
        list(reader.frames())


@pytest.mark.parametrize(
    ("name", "codec", "old", "new"),
    [
        ("a.mp4", "libx264", b"avc1", b"zzz9"),
        ("a.avi", "mpeg4", b"FMP4", b"zzz9"),
        ("a.mkv", "mpeg4", b"V_MPEG4/ISO/ASP", b"V_MPEG4/ZZZ9    "),
    ],
)
def test_a_codec_that_cannot_be_decoded_is_named(tmp_path, name, codec, old, new):
    path = write_film(tmp_path / name, even(5), codec=codec)
    data = path.read_bytes()
    path.write_bytes(data.replace(old, new[: len(old)]))
    with pytest.raises(InputError, match=r"its video has the codec '(zzz9|MPEG4/ZZZ9)', which cannot be decoded"):
        open_clip(path)


def test_sound_alone_is_named(tmp_path):
    import av

    from films import write_sound

    for name, codec in (("a.m4a", "aac"), ("b.mp4", "aac")):
        with av.open(str(tmp_path / name), "w") as container:
            write_sound(container, container.add_stream(codec, rate=48000), 0.3)
        with pytest.raises(InputError, match=r"it has only sound \(aac\)"):
            open_clip(tmp_path / name)


def test_the_cover_of_an_album_is_no_video(tmp_path):
    import av

    from films import write_sound

    with av.open(str(tmp_path / "a.m4a"), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=48000)
        cover = container.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        cover.disposition = 0x0400
        picture = av.VideoFrame.from_ndarray(noise(0), format="rgb24").reformat(format="yuvj420p")
        container.mux(cover.encode(picture))
        container.mux(cover.encode(None))
        write_sound(container, sound, 0.3)
    with av.open(str(tmp_path / "a.m4a")) as container:
        assert len(container.streams.video) == 1
    with pytest.raises(InputError, match=r"it has only sound \(aac\)"):
        open_clip(tmp_path / "a.m4a")


@pytest.mark.parametrize(("name", "codec"), [("a.h264", "libx264"), ("a.hevc", "libx265"), ("a.m2v", "mpeg2video")])
def test_a_raw_stream_that_holds_a_rate_has_it(tmp_path, name, codec):
    format = {"a.h264": "h264", "a.hevc": "hevc", "a.m2v": "mpeg2video"}[name]
    path = write_film(tmp_path / name, even(10, 30), codec=codec, rate=30, format=format, options={"bf": "2"})
    numbers, times, _ = read(path, fps=50)
    assert (len(numbers), times.fps, times.assumed_fps) == (10, 30, None)
    assert times.seconds[-1] == pytest.approx(9 / 30)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"), [("a.mjpeg", "mjpeg", "yuvj420p"), ("a.obu", "libsvtav1", "yuv420p")]
)
def test_a_raw_stream_without_a_rate_has_the_assumed_one(tmp_path, name, codec, pixels):
    options = {"preset": "12"} if codec == "libsvtav1" else {}
    path = write_film(tmp_path / name, even(10, 30), codec=codec, rate=30, pixel_format=pixels, options=options)
    numbers, times, _ = read(path, fps=50)
    assert numbers == list(range(10))
    assert (times.fps, times.assumed_fps, times.seconds[-1]) == (50, 50, 9 / 50)


def with_frame_duration(path, microseconds, rate):
    """The AVI at `path` with another frame rate in its two headers."""
    data = bytearray(path.read_bytes())
    main, stream = data.index(b"avih"), data.index(b"strh")
    data[main + 8 : main + 12] = struct.pack("<I", microseconds)
    data[stream + 28 : stream + 36] = struct.pack("<II", 1, rate)
    path.write_bytes(data)
    return path


# FFmpeg puts 25 in the place of a rate of zero in both headers, in the time stamps too.
@pytest.mark.parametrize(("microseconds", "rate"), [(11, 90_000), (1000, 1000), (5_000_000, 0), (0, 0)])
def test_an_absurd_rate_in_the_header_of_an_avi_is_no_rate(tmp_path, microseconds, rate):
    path = write_film(tmp_path / "a.avi", even(10), codec="mjpeg", pixel_format="yuvj420p")
    numbers, times, _ = read(with_frame_duration(path, microseconds, rate), fps=50)
    assert numbers == list(range(10))
    assert (times.fps, times.assumed_fps) == (50, 50)


def test_a_rate_stays_a_fraction(tmp_path):
    rate = Fraction(30000, 1001)
    _, times, reader = read(write_film(tmp_path / "a.mp4", even(10, float(rate)), rate=rate))
    assert times.fps == pytest.approx(29.97003, abs=1e-5)
    assert reader.expected_frames == 10


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "the file is empty"),
        ("Grüße, kein Video\n".encode() * 400, "not a readable video; it is a text file"),
        # FFmpeg would open what a playlist names.
        (b"#EXTM3U\n#EXTINF:1,\nhttp://localhost/secret.ts\n", "not a readable video; it is a text file"),
        (bytes(range(256)) * 40, "not a readable video$"),
    ],
)
def test_what_is_no_video_is_refused_with_the_reason(tmp_path, content, error):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(InputError, match=error):
        open_clip(tmp_path / "a.mp4")


def test_a_video_without_its_index_is_refused(tmp_path):
    path = write_film(tmp_path / "a.mp4", even(30), picture=noise)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match="not a readable video; it is damaged or cut off"):
        open_clip(path)


@pytest.mark.parametrize(("name", "options"), [("a.avi", {}), ("a.mkv", {}), ("a.mp4", {"movflags": "faststart"})])
def test_a_video_that_ends_early_is_refused(tmp_path, name, options):
    # MJPEG can be read up to where it was cut off: only the sizes in the file tell that frames are missing.
    source = write_film(tmp_path / f"whole{name}", even(40), codec="mjpeg", pixel_format="yuvj420p", picture=noise)
    path = copied(source, tmp_path / name, **options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(InputError, match=r"the file is cut off; \d+ of 40 frames could be read"):
        list(open_clip(path).frames())


def test_names_and_tags_may_have_any_characters(tmp_path):
    import av

    path = write_film(tmp_path / "a: b?#%03d.mp4", even(3))
    assert read(path)[0] == [0, 1, 2]
    with av.open(str(tmp_path / "tags.avi"), "w", metadata_encoding="latin-1") as container:
        container.metadata["title"] = "Grüße"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8))))
        container.mux(stream.encode(None))
    assert read(tmp_path / "tags.avi")[0] == [0]


def test_a_video_that_changes_its_size_is_refused(tmp_path):
    small = write_film(tmp_path / "s.ts", even(5), codec="mpeg2video", picture=lambda number: noise(number)[:48, :64])
    large = write_film(tmp_path / "l.ts", even(5), codec="mpeg2video")
    reader = open_clip(joined(tmp_path / "a.ts", [small, large]))
    with pytest.raises(InputError, match=r"frame [56] is 96x64 pixels, the frames before it 64x48"):
        list(reader.frames())


def test_real_files_at_the_door(shared_data):
    """Kinds of files that people sent, and what is right of them."""
    door = shared_data / "door"
    if not door.is_dir():
        pytest.skip(f"cases not found at {door}")
    numbers, times, reader = read(door / "video" / "d_corrupt_avi.avi")
    assert (len(numbers), reader.unread, times.seconds[-1]) == (15, 5, pytest.approx(19 / 25))
    assert len(read(door / "video" / "av1.mp4")[0]) == 20
    _, times, _ = read(door / "video_variable_rate" / "vfr80.mp4")
    # 2 s at 30 frames/s, then 2 s at 10.
    np.testing.assert_allclose(np.diff(times.seconds), [1 / 30] * 60 + [0.1] * 19, atol=0.001)


def test_pictures_that_were_read_leave_memory_at_once(tmp_path):
    path = write_film(tmp_path / "a.mp4", even(40))
    gc.collect()
    gc.disable()
    try:
        before = num_frames_in_memory()
        reader = open_clip(path)
        kept = [num_frames_in_memory() - before for _ in reader.frames()]
    finally:
        gc.enable()
    assert len(kept) > 10
    # The one that is shown, and those that the decoder gave with it; none waits for the garbage collector.
    assert max(kept[len(kept) // 2 :]) <= max(kept[: len(kept) // 2]) <= 4


def num_frames_in_memory():
    return sum(type(item).__name__ == "VideoFrame" for item in gc.get_objects())
