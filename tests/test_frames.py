import errno
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from samodal.data.id_maps import read_ids
from samodal.errors import InputError
from samodal.frames import check_run, frame_numbers, open_video, read_image, write_video
from samodal.video import Video
from samodal.video_file import VideoFile, matroska_size

SHARED = Path(__file__).parents[2] / "shared" / "real_data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder ../shared with real clips")

HEIGHT, WIDTH = 48, 64


def picture(index):
    """Its grey says which frame it is."""
    return np.full((HEIGHT, WIDTH, 3), 8 * index, np.uint8)


def number(image):
    return round(float(image.mean()) / 8)


def encode(path, count=30, codec="libx264", gop=8, mux=None, times=None, rotation=None):
    with av.open(str(path), "w", options=mux or {}) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", gop
        stream.bit_rate = 8_000_000
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            if times:
                frame.pts, frame.time_base = round(1000 * times[index]), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if rotation:
        turn(path, rotation)
    return path


def turn(path, matrix):
    """Write a display matrix into the track header of an MP4 file."""
    data = bytearray(path.read_bytes())
    start = data.find(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def write_folder(folder, names, size=(5, 7)):
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        Image.fromarray(np.full((*size, 3), index, np.uint8)).save(folder / name)
    return folder


# ---- video files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.h264", "libx264"),
     ("packed.avi", "libx264"), ("a.avi", "mpeg4"), ("a.webm", "libvpx-vp9")],
)  # fmt: skip
def test_frames_in_any_order(tmp_path, name, codec):
    video = open_video(encode(tmp_path / name, codec=codec))
    assert (len(video), video.size, video.name) == (30, (HEIGHT, WIDTH), Path(name).stem)
    assert video[3].dtype == np.uint8
    assert [number(frame) for frame in video] == list(range(30))
    order = np.random.default_rng(0).permutation(30).tolist()
    assert [number(video[index]) for index in order] == order
    assert [number(video[index]) for index in range(29, -1, -1)] == list(range(29, -1, -1))
    assert number(video[-1]) == 29
    with pytest.raises(IndexError):
        video[30]


def test_random_access_gives_the_same_pixels(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (20, 34, 46, 3)).astype(np.uint8)
    write_video(tmp_path / "noise.mp4", frames)
    video = open_video(tmp_path / "noise.mp4")
    straight = list(video)
    assert all(np.array_equal(video[index], straight[index]) for index in (19, 3, 4, 12, 0, 18))


def test_going_forward_never_seeks_and_recent_frames_stay(tmp_path, monkeypatch):
    frames = VideoFile(encode(tmp_path / "a.mp4"))
    fetched = []
    decode_to = VideoFile._decode_to
    monkeypatch.setattr(VideoFile, "_decode_to", lambda self, i: (fetched.append(i), decode_to(self, i)))
    first = frames._decoder
    for index in range(30):
        frames[index], frames[max(index - 3, 0)]
    assert fetched == list(range(30))
    assert frames._decoder is first


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_variable_frame_rate(tmp_path, name):
    times = [0, 0.1, 0.15, 0.5, 0.51, 2.0]
    video = open_video(encode(tmp_path / name, count=6, times=times))
    assert video.times == pytest.approx(times)
    assert [number(frame) for frame in video] == list(range(6))


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [((0, 1, -1, 0), "top right"), ((-1, 0, 0, -1), "bottom right"), ((0, -1, 1, 0), "bottom left")],
)
def test_rotation_is_applied(tmp_path, matrix, corner):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:16, :16] = 255  # bright in the top left corner
    path = tmp_path / "phone.mp4"
    write_video(path, [image, image])
    turn(path, matrix)
    video = open_video(path)
    upright = video[0]
    assert video.size == upright.shape[:2] == ((HEIGHT, WIDTH) if matrix[0] else (WIDTH, HEIGHT))
    half = {"top": slice(0, 12), "bottom": slice(-12, None), "left": slice(0, 12), "right": slice(-12, None)}
    rows, columns = corner.split()
    assert upright[half[rows], half[columns]].mean() > 240
    assert upright.mean() < 40


@pytest.mark.parametrize("mux", [{}, {"movflags": "faststart"}, {"movflags": "frag_keyframe+empty_moov"}])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_cut_off_mp4_is_refused(tmp_path, mux, kept):
    path = encode(tmp_path / "cut.mp4", mux=mux)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match=r"cut\.mp4") as error:
        list(open_video(path))
    assert "\n" not in str(error.value)
    assert "cut off" in str(error.value)


@pytest.mark.parametrize(("name", "codec"), [("cut.mkv", "libx264"), ("cut.webm", "libvpx-vp9")])
@pytest.mark.parametrize("kept", [0.1, 0.6, 0.9])
def test_a_cut_off_matroska_file_is_refused(tmp_path, name, codec, kept):
    path = encode(tmp_path / name, codec=codec)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match=rf"{name}: .*cut off") as error:
        open_video(path)
    assert "\n" not in str(error.value)


def test_a_matroska_file_that_does_not_know_its_end_passes(tmp_path):
    path = encode(tmp_path / "live.mkv", mux={"live": "1"})
    assert matroska_size(path) is None
    assert len(open_video(path)) == 30


@pytest.mark.parametrize("name", ["longer_sound.mkv", "longer_sound.webm"])
def test_a_matroska_file_may_go_on_after_its_frames(tmp_path, name):
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        video = container.add_stream("libvpx-vp9", rate=10)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("libopus", rate=48000)
        for index in range(10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")))
        container.mux(video.encode())
        for index in range(150):  # of 20 ms
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), format="flt", layout="mono")
            frame.sample_rate, frame.pts = 48000, 960 * index
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    assert matroska_size(path) == path.stat().st_size
    assert len(open_video(path)) == 10


def test_damage_within_names_the_frame(tmp_path):
    path = encode(tmp_path / "a.mp4", codec="mpeg4", gop=1)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    start, size = packets[10]
    data[start : start + size] = bytes(size)
    path.write_bytes(data)
    video = open_video(path)
    with pytest.raises(InputError, match=r"a\.mp4: frame 1\d of 30 cannot be decoded"):
        list(video)
    assert number(video[2]) == 2


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 5000])
def test_what_is_no_video_is_refused(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"clip\.mp4"):
        open_video(path)


def test_sound_without_pictures_is_refused(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="no video stream"):
        open_video(tmp_path / "sound.mp4")


# ---- folders -----------------------------------------------------------------------------------------


def test_folder_in_natural_order_without_other_files(tmp_path):
    folder = write_folder(tmp_path / "clip", ["frame8.png", "frame9.png", "frame10.png", "frame11.png"])
    (folder / "notes.txt").write_text("not a frame")
    (folder / "._frame8.png").write_bytes(b"left there by a Mac")
    (folder / "sub").mkdir()
    video = open_video(folder)
    assert [int(frame[0, 0, 0]) for frame in video] == [0, 1, 2, 3]
    assert video.frame_names == ["frame8", "frame9", "frame10", "frame11"]
    assert (video.size, video.name) == ((5, 7), "clip")
    assert video.times.tolist() == pytest.approx([0, 0.1, 0.2, 0.3])


def test_glob_and_single_image(tmp_path):
    folder = write_folder(tmp_path / "clip", [f"{n:03d}.png" for n in range(12)])
    video = open_video(f"{folder}/00*.png")
    assert (len(video), video.name) == (10, "clip")
    assert len(open_video(folder / "003.png")) == 1
    with pytest.raises(InputError, match="no frames"):
        open_video(f"{folder}/9*.png")


def test_a_folder_with_brackets_in_its_name_is_no_pattern(tmp_path):
    assert len(open_video(write_folder(tmp_path / "clip[1]", ["0.png"]))) == 1


@pytest.mark.parametrize(
    ("image", "value"),
    [
        (Image.fromarray(np.full((3, 5), 200, np.uint8)), (200, 200, 200)),
        (Image.fromarray(np.full((3, 5), 200 * 257, np.uint16)), (200, 200, 200)),
        (Image.fromarray(np.full((3, 5, 4), (9, 8, 7, 0), np.uint8)), (9, 8, 7)),
        (Image.fromarray(np.full((3, 5), 255, np.uint8)).convert("1"), (255, 255, 255)),
        (Image.fromarray(np.full((3, 5, 3), (255, 0, 0), np.uint8)).quantize(4), (255, 0, 0)),
    ],
)
def test_every_kind_of_png_becomes_rgb(tmp_path, image, value):
    image.save(tmp_path / "0.png")
    frame = read_image(tmp_path / "0.png")
    assert frame.shape == (3, 5, 3)
    assert frame.dtype == np.uint8
    assert tuple(frame[1, 1].tolist()) == value


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".PNG", ".bmp", ".webp"])
def test_kinds_of_files(tmp_path, suffix):
    assert open_video(write_folder(tmp_path, [f"0{suffix}"])).size == (5, 7)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["000.png", "001.png", "003.png"], "frame 002 is missing"),
        (["f_8.png", "f_9.png", "f_11.png", "f_12.png"], "frame 10 is missing"),
        (["0000.jpg", "0005.jpg", "0010.jpg", "0020.jpg"], "frame 0015 is missing"),
        (["1.png", "01.png", "2.png"], "two files for frame 1"),
    ],
)
def test_holes_in_a_numbered_run_are_refused(tmp_path, names, message):
    with pytest.raises(InputError, match=rf"clip: .*{message}"):
        open_video(write_folder(tmp_path / "clip", names))


@pytest.mark.parametrize(
    "names",
    [
        ["0", "5", "10", "15"],  # every fifth frame
        ["7"],
        ["a", "b", "d"],
        ["1403636579763", "1403636579813", "1403636579864"],  # time stamps
        ["cam1_003", "cam2_007"],
        ["3", "17", "42", "48"],  # picked by hand
    ],
)
def test_other_names_pass(names):
    check_run(Path("clip"), names)


def test_frame_numbers():
    assert frame_numbers(["front_full_0003_rgb", "front_full_0010_rgb"]) == [3, 10]
    assert frame_numbers(["seq2_7", "seq2_8", "seq2_9"]) == [7, 8, 9]
    assert frame_numbers(["000005"]) == [5]
    assert frame_numbers(["a1_1", "a2_2"]) is None
    assert frame_numbers(["left", "right"]) is None
    assert frame_numbers(["left"]) is None


def test_frames_of_different_sizes_name_the_file(tmp_path):
    folder = write_folder(tmp_path / "clip", ["0.png", "1.png"])
    Image.new("RGB", (9, 9)).save(folder / "2.png")
    with pytest.raises(InputError, match=r"2\.png: frame of 9x9 pixels among frames of 7x5"):
        open_video(folder)


def test_broken_images_name_the_file(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    for name in ("0.png", "1.jpg"):
        Image.fromarray(noise).save(folder / name)
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
    video = open_video(folder)
    with pytest.raises(InputError, match=r"0\.png: broken image"):
        video[0]
    with pytest.raises(InputError, match=r"1\.jpg: broken image"):
        video[1]
    (folder / "2.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"2\.png: broken image"):
        open_video(folder)


def test_images_that_may_not_be_read_are_not_called_broken(tmp_path, monkeypatch):
    Image.fromarray(picture(1)).save(tmp_path / "1.png")
    video = open_video(tmp_path)

    def forbidden(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Image, "open", forbidden)
    for read in (lambda: video[0], lambda: open_video(tmp_path), lambda: read_ids(tmp_path / "1.png")):
        with pytest.raises(InputError, match=r"1\.png: cannot be read \(Permission denied\)"):
            read()


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        Video.open(tmp_path / "missing.mp4")
    with pytest.raises(InputError, match="no frames"):
        Video.open(tmp_path)


# ---- out ---------------------------------------------------------------------------------------------


def test_write_video_round_trip(tmp_path):
    frames = [np.full((31, 45, 3), (200, 60, 10 * i), np.uint8) for i in range(7)]
    write_video(tmp_path / "out.mp4", iter(frames), fps=12.5)
    video = open_video(tmp_path / "out.mp4")
    assert (len(video), video.size) == (7, (32, 46))
    assert video.times == pytest.approx(np.arange(7) / 12.5, abs=1e-4)
    for index, frame in enumerate(frames):
        assert np.abs(video[index][:31, :45].astype(int) - frame).max() <= 6
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_write_video_keeps_times(tmp_path):
    times = [5.0, 5.04, 5.3, 5.31, 7.0]
    write_video(tmp_path / "out.mp4", [picture(i) for i in range(5)], times=times)
    video = open_video(tmp_path / "out.mp4")
    assert video.times == pytest.approx(np.array(times) - 5, abs=1e-4)


def test_write_video_leaves_nothing_half_written(tmp_path):
    for frames in ([], [picture(0), picture(1)[:10]]):
        with pytest.raises(ValueError, match="frame"):
            write_video(tmp_path / "out.mp4", frames)
    assert list(tmp_path.iterdir()) == []


# ---- real clips --------------------------------------------------------------------------------------


@needs_shared
@pytest.mark.parametrize(
    ("name", "length", "size"),
    [
        ("highway/test_video.mp4", 38, (720, 1280)),
        ("birdcage/rgb.mp4", 25, (524, 640)),
        ("kitti_raw_drive/sfnd_2011_09_26.mp4", 78, (374, 1242)),
        ("davis/JPEGImages/480p/car-shadow", 40, (480, 854)),
        ("kitti_mots/image_02/0001", 2, (375, 1242)),
    ],
)
def test_real_clips(name, length, size):
    video = open_video(SHARED / name)
    assert (len(video), video.size) == (length, size)
    last = video[length - 1]
    assert last.shape == (*size, 3)
    assert (np.diff(video.times) > 0).all()
