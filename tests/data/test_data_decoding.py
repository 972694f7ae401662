"""Video files of many kinds against the frames that they were made of; and damaged ones."""

import logging
import os
import subprocess
from fractions import Fraction

import imageio_ffmpeg
import numpy as np
import pytest

from jaxmotion.data import VideoWriter, open_video
from jaxmotion.errors import InputError

HEIGHT, WIDTH, COUNT = 64, 96, 12


def frames(count=COUNT, height=HEIGHT, width=WIDTH):
    """Smooth gray waves that move in x and y: nothing that a lossy codec would take away."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin((x + 3 * t) / 9) + np.cos((y - 2 * t) / 7) for t in range(count)]
    return [np.repeat(128 + 60 * wave[..., None], 3, -1).astype(np.uint8) for wave in waves]


def run_ffmpeg(*words, data=None):
    program = imageio_ffmpeg.get_ffmpeg_exe()
    command = [program, "-y", "-v", "error", *map(str, words)]
    result = subprocess.run(command, input=data, capture_output=True)
    if b"Unknown encoder" in result.stderr:
        pytest.skip(result.stderr.decode().strip())
    assert result.returncode == 0, result.stderr
    return result.stdout


def encode(path, options, images=None, rate="12"):
    images = frames() if images is None else images
    size = f"{images[0].shape[1]}x{images[0].shape[0]}"
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", rate, "-i", "-"]
    run_ffmpeg(*source, *options.split(), path, data=b"".join(i.tobytes() for i in images))
    return path


def differences(images, read):
    return [np.abs(a.astype(int) - b).mean() for a, b in zip(images, read, strict=True)]


KINDS = {
    "h264.mp4": "-c:v libx264 -pix_fmt yuv420p",
    "top.mp4": "-c:v libx264 -pix_fmt yuv420p -flags +ilme+ildct -x264opts tff=1",
    "bottom.mkv": "-c:v libx264 -pix_fmt yuv420p -flags +ilme+ildct -x264opts bff=1",
    "broadcast.mpg": "-c:v mpeg2video -q:v 2 -flags +ilme+ildct -r 25",
    "prores.mov": "-vf setfield=tff -c:v prores_ks -flags +ilme+ildct",
    "alpha.mov": "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le",
    "av1.mp4": "-c:v libsvtav1 -preset 12 -crf 20 -pix_fmt yuv420p",
    "av1.webm": "-c:v libaom-av1 -cpu-used 8 -crf 20 -pix_fmt yuv420p10le",
    "ten.mp4": "-c:v libx265 -x265-params log-level=0 -pix_fmt yuv420p10le",
    "ten.mkv": "-c:v libx264 -pix_fmt yuv422p10le",
    "twelve.mkv": "-c:v ffv1 -pix_fmt gbrp12le",
    "gray.mkv": "-c:v libx264 -pix_fmt gray",
    "gray16.mkv": "-c:v ffv1 -pix_fmt gray16le",
    "odd.mkv": "-vf crop=95:63:0:0:exact=1 -c:v ffv1 -pix_fmt bgr0",
    "full.mp4": "-vf scale=out_range=full -c:v libx264 -pix_fmt yuvj420p",
    "alpha.webm": "-c:v libvpx-vp9 -cpu-used 8 -pix_fmt yuva420p",
    "live.webm": "-c:v libvpx -b:v 2M -live 1",
    "mjpeg.avi": "-c:v mjpeg -q:v 2",
    "mpeg4.avi": "-c:v mpeg4 -q:v 2",
    "wmv.wmv": "-c:v wmv2 -q:v 2",
    "flash.flv": "-c:v flv1 -q:v 2",
    "theora.ogv": "-c:v libtheora -q:v 9",
    "raw.avi": "-c:v rawvideo -pix_fmt yuv420p",
    "raw.y4m": "-pix_fmt yuv420p",
    "animation.mov": "-c:v qtrle",
    "broadcast.ts": "-c:v libx264 -pix_fmt yuv420p -bf 2",
    "stream.h264": "-c:v libx264 -pix_fmt yuv420p",
    "fragments.mp4": "-c:v libx264 -pix_fmt yuv420p -movflags frag_keyframe+empty_moov",
    "loop.gif": "-pix_fmt gray",
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds_of_video_give_the_frames_they_were_made_of(tmp_path, name):
    path = encode(tmp_path / name, KINDS[name])
    video = open_video(path)
    images, read = frames(), list(video)
    if "-r 25" in KINDS[name]:
        images = [images[min(int(t * 12 / 25 + 0.5), COUNT - 1)] for t in range(len(read))]
    images = [image[: video.height, : video.width] for image in images]
    assert (video.height, video.width) == ((63, 95) if name == "odd.mkv" else (HEIGHT, WIDTH))
    assert video.num_frames == len(read) == len(images)
    assert video.fps == pytest.approx(25 if "-r 25" in KINDS[name] else 12, rel=2e-3)
    if "-r 25" in KINDS[name]:  # which of two frames stands at a time is FFmpeg's to round
        assert np.median(differences(images, read)) < 3
    else:
        assert max(differences(images, read)) < 4


def test_what_came_with_opencv_is_the_same_to_the_bit(tmp_path):
    cv2 = pytest.importorskip("cv2")
    path = encode(tmp_path / "a.mp4", "-c:v libx264 -pix_fmt yuv420p -bf 2")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    for frame in open_video(path):
        np.testing.assert_array_equal(capture.read()[1][..., ::-1], frame)
    assert not capture.read()[0]


def test_interlaced_frames_are_woven_and_told(tmp_path, caplog):
    """The odd lines are of the next moment, and stay so."""
    images = frames()
    for one, following in zip(images[:-1], frames()[1:], strict=True):
        one[1::2] = following[1::2]
    options = "-vf setfield=tff -c:v ffv1 -pix_fmt bgr0"
    path = encode(tmp_path / "combed clip.mkv", options, images)
    with caplog.at_level(logging.WARNING):
        assert max(differences(images, open_video(path))) == 0
    assert len(caplog.messages) == 1
    assert f"ffmpeg -i '{path}' -vf bwdif" in caplog.text


@pytest.mark.parametrize(("angle", "turns"), [(90, 1), (180, 2), (270, 3), (-90, 3)])
def test_video_is_turned_upright(tmp_path, angle, turns):
    path = encode(tmp_path / "a.mp4", "-c:v libx264 -pix_fmt yuv444p")
    run_ffmpeg("-display_rotation", angle, "-i", path, "-c", "copy", tmp_path / "b.mp4")
    images = [np.rot90(image, turns) for image in frames()]
    assert max(differences(images, open_video(tmp_path / "b.mp4"))) < 3


def test_a_cut_that_was_not_encoded_anew_counts_what_is_shown(tmp_path):
    path = encode(tmp_path / "a.mp4", "-c:v libx264 -g 12 -bf 2 -pix_fmt yuv420p")
    run_ffmpeg("-ss", "0.3", "-i", path, "-c", "copy", tmp_path / "cut.mp4")
    video = open_video(tmp_path / "cut.mp4")
    read = list(video)
    assert 2 <= len(read) < COUNT
    assert video.num_frames == len(read)
    assert max(differences(frames()[-len(read) :], read)) < 4


def test_what_is_beside_the_video_does_not_matter(tmp_path):
    """A cover picture that comes first, and sound that goes on."""
    path = encode(tmp_path / "a.mp4", "-c:v libx264 -pix_fmt yuv420p")
    run_ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", tmp_path / "c.png")
    run_ffmpeg(
        "-i", tmp_path / "c.png", "-i", path, "-f", "lavfi", "-i", "sine=d=9",
        "-map", "0", "-map", "1", "-map", "2", "-c:v", "copy", "-disposition:v:0", "attached_pic",
        tmp_path / "b.mp4",
    )  # fmt: skip
    assert open_video(tmp_path / "b.mp4").fps == 12
    assert max(differences(frames(), open_video(tmp_path / "b.mp4"))) < 4
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / "sound.m4a")
    with pytest.raises(InputError, match=r"sound\.m4a: not a readable video file \(no video in"):
        open_video(tmp_path / "sound.m4a")


def test_varying_rate_becomes_its_mean_and_pixels_keep_their_shape(tmp_path):
    path = encode(tmp_path / "a.mp4", "-c:v libx264 -pix_fmt yuv420p -vf setsar=32/27")
    times = "settb=1/90,setpts=3*(N+6*gt(N\\,2)+9*gt(N\\,4))"
    passed = ["-fps_mode", "passthrough", "-enc_time_base", "1:90"]
    run_ffmpeg("-i", path, "-vf", times, *passed, tmp_path / "uneven.mkv")
    video = open_video(tmp_path / "uneven.mkv")
    read = list(video)
    starts = [(n + 6 * (n > 2) + 9 * (n > 4)) / 30 for n in range(len(read))]
    assert len(read) == COUNT
    assert video.fps == pytest.approx((COUNT - 1) / (starts[-1] - starts[0]), rel=2e-3)
    assert video.pixel_aspect == Fraction(32, 27)
    with VideoWriter(tmp_path / "b.mp4", video.fps, video.pixel_aspect) as writer:
        for frame in read:
            writer.write(frame)
    again = open_video(tmp_path / "b.mp4")
    assert again.pixel_aspect == video.pixel_aspect
    assert again.fps == pytest.approx(video.fps, rel=1e-3)


def joined(tmp_path, *parts):
    whole = tmp_path / "joined.ts"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    return whole


def test_another_size_in_mid_stream_is_refused(tmp_path):
    one = encode(tmp_path / "a.ts", "-c:v libx264 -pix_fmt yuv420p")
    other = encode(tmp_path / "b.ts", "-c:v libx264 -pix_fmt yuv420p", frames(COUNT, 48, 80))
    words = r"joined\.ts: frames of another size after \d+ of 96 x 64.*ffmpeg -i .*scale=96:64"
    with pytest.raises(InputError, match=words):
        list(open_video(joined(tmp_path, one, other)))


def test_parts_of_a_broadcast_that_are_joined(tmp_path):
    one = encode(tmp_path / "a.ts", "-c:v libx264 -pix_fmt yuv420p -bf 2")
    assert max(differences(frames() * 2, open_video(joined(tmp_path, one, one)))) < 4


@pytest.mark.parametrize("options", ["-c:v libx264 -x264opts open-gop=1", "-c:v mpeg2video -r 25"])
def test_a_broadcast_from_the_middle_gives_sound_frames_only(tmp_path, options):
    path = tmp_path / "a.ts"
    encode(path, options + " -pix_fmt yuv420p -g 15 -bf 2", frames(60))
    data = path.read_bytes()
    path.write_bytes(data[188 * (len(data) // 188 // 5) :])
    read = list(open_video(path))
    assert len(read) >= 30
    nearest = [min(np.abs(a.astype(int) - b).mean() for a in frames(60)) for b in read]
    assert max(nearest) < 6


@pytest.mark.parametrize(
    ("name", "options"),
    {
        "a.mp4": "-c:v libx264 -pix_fmt yuv420p -movflags +faststart",
        "a.mkv": "-c:v libx264 -pix_fmt yuv420p",
        "a.webm": "-c:v libvpx -b:v 1M",
        "a.avi": "-c:v mjpeg",
        "a.flv": "-c:v flv1",
        "a.ts": "-c:v libx264 -qp 5 -pix_fmt yuv420p",
        "a.gif": "",
        "a.mov": "-c:v prores_ks",  # what tells the frames is at the end
    }.items(),
)
def test_a_download_that_broke_off_is_no_short_video(tmp_path, name, options, capfd):
    path = encode(tmp_path / name, options, frames(40))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    words = rf"{name}: (damaged or cut short after \d+ frames \(\w+: .+ffmpeg -i|not a readable)"
    with pytest.raises(InputError, match=words) as error:
        list(open_video(path))
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "options"),
    {
        "a.mkv": "-c:v ffv1 -level 3 -slicecrc 1 -pix_fmt bgr0",
        "a.avi": "-c:v mpeg4 -q:v 2",
        "a.mpg": "-c:v mpeg2video -q:v 2 -r 25",
        "a.mov": "-c:v prores_ks",
        "a.webm": "-c:v libsvtav1 -preset 12 -crf 5 -pix_fmt yuv420p",
    }.items(),
)
def test_damage_in_the_middle_is_told(tmp_path, name, options):
    path = encode(tmp_path / name, options, frames(40))
    data = bytearray(path.read_bytes())
    middle = slice(len(data) // 2, len(data) // 2 + 600, 7)
    data[middle] = bytes(byte ^ 0x5A for byte in data[middle])
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"{name}: damaged or cut short after (\d+) frames"):
        list(open_video(path))


def test_the_program_ends_with_the_iterator(tmp_path, monkeypatch):
    started = []

    class Noted(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    video = open_video(encode(tmp_path / "a.mp4", "-c:v libx264 -pix_fmt yuv420p", frames(200)))
    iterator = iter(video)
    next(iterator)
    assert started[-1].poll() is None
    iterator.close()
    assert all(process.returncode is not None for process in started)
    assert len(list(video)) == 200


def test_names_that_ffmpeg_would_read_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-i.mp4", "http:clip %03d.mp4", "ünï.mp4"):
        encode(tmp_path / name, "-c:v libx264 -pix_fmt yuv420p", frames(3))
        assert len(list(open_video(name))) == 3
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match=r"list\.m3u8: not a readable video file"):
        open_video(playlist)


def test_without_the_program(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mp4", "-c:v libx264 -pix_fmt yuv420p")
    monkeypatch.setattr(
        imageio_ffmpeg, "get_ffmpeg_exe", lambda: (_ for _ in ()).throw(RuntimeError)
    )
    with pytest.raises(InputError, match=r"a\.mp4: cannot be read \(no FFmpeg program\)"):
        open_video(path)
    assert os.listdir(tmp_path) == ["a.mp4"]
