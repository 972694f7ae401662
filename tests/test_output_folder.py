"""Folders of results: locked, apart from what is read, replaced whole, and nobody else's."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jaxmotion.errors import InputError
from jaxmotion.locks import locked
from jaxmotion.output_folder import Results, keep_apart, replaced_folder, take_place

NAMES = ("masks", "theta.npz", "latents.npz")


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def contents(folder):
    """All files but the mark, with what they hold."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def hidden(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def results(folder, **options):
    return Results(folder, "segment", NAMES, **options)


def run(folder, **files):
    ours = results(folder)
    with ours.claimed(), ours.replaced() as new:
        write(new, **files)


def test_a_later_result_replaces_the_whole_of_an_earlier_one(tmp_path):
    write(tmp_path, notes_txt="mine", frames__0_png="mine")
    run(tmp_path, masks__a_png="1", masks__b_png="1", theta_npz="1", latents_npz="1")
    run(tmp_path, masks__a_png="2", theta_npz="2")
    assert contents(tmp_path) == {
        "frames/0.png": "mine",
        "masks/a.png": "2",
        "notes.txt": "mine",
        "theta.npz": "2",
    }
    mark = json.loads((tmp_path / ".jaxmotion.segment.json").read_text())
    assert set(mark["files"]) == {"masks/a.png", "theta.npz"}
    assert mark["made_by"] == "jaxmotion segment"
    assert hidden(tmp_path) == [".jaxmotion.segment.json"]


def run_into(error, folder):
    ours = results(folder)
    with ours.claimed(), ours.replaced() as new:
        write(new, masks__b_png="2", theta_npz="2")
        raise error


@pytest.mark.parametrize("error", [InputError, KeyboardInterrupt, OSError, ZeroDivisionError])
def test_a_run_that_fails_changes_nothing(tmp_path, error):
    for folder in (tmp_path / "new", tmp_path / "old"):
        if folder.name == "old":
            run(folder, masks__a_png="1", theta_npz="1")
        before = contents(folder) if folder.exists() else {}
        with pytest.raises(InputError if error is OSError else error):
            run_into(error, folder)
        assert contents(folder) == before
        assert set(hidden(folder)) <= {".jaxmotion.segment.json"}
    run(tmp_path / "old", theta_npz="3")  # the mark is still right


@pytest.mark.parametrize(
    "files",
    [
        {"masks__a_png": "mine"},
        {"theta_npz": "mine"},
        {"latents_npz": "mine"},
        {"masks__deeper__a_txt": "mine"},
    ],
)
def test_what_we_did_not_write_is_kept(tmp_path, files):
    write(tmp_path / "first", **files)
    run(tmp_path / "later", masks__0_png="1")
    write(tmp_path / "later", **files)
    for folder in (tmp_path / "first", tmp_path / "later"):
        before = contents(folder)
        with pytest.raises(InputError, match="was not written by jaxmotion segment, so it is kept"):
            run(folder, masks__a_png="2", theta_npz="2")
        assert contents(folder) == before


def test_what_was_changed_since_is_kept_but_a_copy_is_as_good(tmp_path):
    run(tmp_path / "out", masks__a_png="1", theta_npz="1")
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (".jaxmotion.segment.json", "theta.npz", "masks/a.png"):
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_bytes((tmp_path / "out" / name).read_bytes())
        os.utime(copy / name, (1, 1))
    (copy / "masks" / ".DS_Store").write_text("of a file browser")
    run(copy, masks__b_png="2")
    assert contents(copy) == {"masks/b.png": "2"}
    (copy / "masks" / "b.png").write_text("3")
    with pytest.raises(InputError, match=r"b\.png: was changed after jaxmotion segment wrote it"):
        run(copy, masks__b_png="4")


def test_a_damaged_mark_and_that_of_another_command_make_nothing_ours(tmp_path):
    run(tmp_path, theta_npz="1")
    other = Results(tmp_path, "eval", NAMES)
    with pytest.raises(InputError, match="was not written by jaxmotion eval"), other.claimed():
        pass
    for text in ("", "[]", "{", '{"format": 1, "files": 3}', '{"format": 2, "files": {}}'):
        (tmp_path / ".jaxmotion.segment.json").write_text(text)
        with pytest.raises(InputError, match="was not written by jaxmotion segment"):
            run(tmp_path, theta_npz="2")


def test_links_in_the_place_of_results_are_kept(tmp_path):
    write(tmp_path / "elsewhere", a_png="mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "masks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="masks: is there and was not written"):
        run(tmp_path / "out", masks__a_png="2")
    assert contents(tmp_path / "elsewhere") == {"a.png": "mine"}


def test_an_earlier_version_is_known_by_what_it_wrote(tmp_path):
    write(tmp_path, masks__a_png="1", masks__b_png="mine", theta_npz="1")
    ours = results(tmp_path, of_an_earlier_version=lambda file: file.read_text() == "1")
    with pytest.raises(InputError, match=r"b\.png: is there"), ours.claimed():
        pass
    (tmp_path / "masks" / "b.png").unlink()
    with ours.claimed(), ours.replaced() as new:
        write(new, masks__a_png="2")
    assert contents(tmp_path) == {"masks/a.png": "2"}


def test_results_written_in_place_are_ours_from_the_start(tmp_path):
    ours = results(tmp_path)
    with ours.claimed(), ours.in_place():
        write(tmp_path, masks__a_png="1")
        mark = (tmp_path / ".jaxmotion.segment.json").read_text()
    with ours.claimed():
        assert ours.known_files(["masks"]) == [tmp_path / "masks" / "a.png"]
    write(tmp_path, masks__b_png="mine")
    assert ours.known_files(["masks"]) == [tmp_path / "masks" / "a.png"]
    with pytest.raises(InputError, match=r"b\.png: is there"), ours.claimed():
        pass
    (tmp_path / ".jaxmotion.segment.json").write_text(mark)  # as a kill leaves it
    with ours.claimed():
        pass
    with results(tmp_path / "none").claimed(), results(tmp_path / "none").in_place():
        pass
    assert hidden(tmp_path / "none") == []


@pytest.mark.parametrize("file", ["", "a.safetensors"])
def test_the_second_run_is_refused_and_the_first_one_goes_on(tmp_path, file):
    folder = tmp_path / "out"
    with locked(folder, file):
        with (
            pytest.raises(InputError, match=r"out.*: another run is writing there"),
            locked(folder, file),
        ):
            pass
        with locked(folder, "other.safetensors"), locked(tmp_path / "next"):
            pass
    with locked(folder, file):
        pass
    assert list(folder.iterdir()) == []


def hold(folder):
    """Another process that holds a folder until it is killed."""
    program = (
        "import sys, time, pathlib; from jaxmotion.locks import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_killed_process_holds_nothing(tmp_path):
    process = hold(tmp_path)
    try:
        with pytest.raises(InputError, match="another run"), locked(tmp_path):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert hidden(tmp_path) == [".jaxmotion.lock"]
    with locked(tmp_path):
        pass
    assert hidden(tmp_path) == []


def test_what_a_killed_run_left_is_cleared_away(tmp_path):
    write(tmp_path / ".jaxmotion.segment.part", masks__x_png="half")
    run(tmp_path, theta_npz="1")
    assert hidden(tmp_path) == [".jaxmotion.segment.json"]
    assert contents(tmp_path) == {"theta.npz": "1"}


def test_many_at_once_never_hold_it_together(tmp_path):
    """Also where the lock's file is removed while others wait to open it."""
    program = (
        "import sys, os, pathlib; from jaxmotion.locks import locked\n"
        "from jaxmotion.errors import InputError\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "for _ in range(300):\n"
        "    try:\n"
        "        with locked(folder):\n"
        "            os.close(os.open(folder / 'alone', os.O_CREAT | os.O_EXCL))\n"
        "            os.unlink(folder / 'alone')\n"
        "    except InputError: pass\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]


def test_a_folder_that_cannot_be_made_or_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot be made"), locked(tmp_path / "file"):
        pass
    (tmp_path / "out" / ".jaxmotion.lock").mkdir(parents=True)
    with pytest.raises(InputError, match="out: cannot be written"), locked(tmp_path / "out"):
        pass


def test_results_stay_away_from_what_is_read(tmp_path):
    out = tmp_path / "out"
    write(out, masks__0_png="", video_mp4="", theta_npz="", other__0_png="")
    (tmp_path / "link").symlink_to(out / "masks")
    (tmp_path / "video.mp4").symlink_to(out / "theta.npz")
    for path, words in (
        (out, "out: is what is read"),
        (tmp_path / "link" / ".." / "masks", "masks: the results would replace it"),
        (tmp_path / "link", "masks: the results would replace it"),
        (out / "masks" / "0.png", "masks: the results would replace it"),
        (tmp_path / "video.mp4", r"theta\.npz: the results would replace it"),
    ):
        with pytest.raises(InputError, match=words):
            keep_apart(out, NAMES, [path])
    link = tmp_path / "same"
    link.symlink_to(out)
    with pytest.raises(InputError, match="same: is what is read"):
        keep_apart(link, NAMES, [out / "." / "masks" / ".."])
    keep_apart(out, NAMES, [out / "video.mp4", out / "other", tmp_path, tmp_path / "nothing"])
    keep_apart(tmp_path / "nothing", NAMES, [out, tmp_path / "nothing"])


def test_all_change_places_or_none(tmp_path, monkeypatch):
    write(tmp_path / "out", a="1", b="1", c="1")
    write(tmp_path / "new", a="2", b="2", d="2")
    rename, calls, breaks_at = Path.rename, [], [0]

    def breaks(self, target):
        calls.append(1)
        if len(calls) == breaks_at[0]:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", breaks)
    for breaks_at[0] in range(1, 7):
        calls.clear()
        with pytest.raises(KeyboardInterrupt):
            take_place(tmp_path / "new", tmp_path / "out", ["c"])
        assert contents(tmp_path / "out") == {"a": "1", "b": "1", "c": "1"}
        (tmp_path / "new" / ".old").rmdir()
    breaks_at[0] = 0
    take_place(tmp_path / "new", tmp_path / "out", ["c"])
    assert contents(tmp_path / "out") == {"a": "2", "b": "2", "d": "2"}


def test_a_folder_is_replaced_whole(tmp_path):
    write(tmp_path / "dog", a_png="1", b_png="1")
    with replaced_folder(tmp_path / "dog") as new:
        write(new, a_png="2")
        assert contents(tmp_path / "dog") == {"a.png": "1", "b.png": "1"}
    assert contents(tmp_path) == {"dog/a.png": "2"}
    assert hidden(tmp_path) == []
