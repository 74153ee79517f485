"""The files of a folder: which of them belong to the run."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import cast

import pytest

from run_recorder.domain import Run
from run_recorder.producer.folder import LocalFile, Stamp, find_bad_names, read_folder
from tests.support.names import RUN


def write(top: Path, *paths: str) -> None:
    for path in paths:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(path)


def paths_of(top: Path, *listed: str, hidden: bool = False) -> list[str]:
    folder = read_folder(top, listed, hidden=hidden)
    assert folder.errors == []
    return [file.path for file in folder.files]


def test_files_of_all_levels_belong_to_the_run_without_its_document(tmp_path: Path) -> None:
    write(tmp_path, "b.csv", "a/deep/c.csv", "metadata.json", "a/metadata.json")
    folder = read_folder(tmp_path)
    assert [(file.path, file.size) for file in folder.files] == [
        ("a/deep/c.csv", 12),
        ("a/metadata.json", 15),
        ("b.csv", 5),
    ]
    assert [file.source for file in folder.files] == [tmp_path / file.path for file in folder.files]
    assert (folder.errors, folder.warnings, folder.hidden) == ([], [], 0)


class WindowsPath(PureWindowsPath):
    """A path as Windows writes it, of a file below ``folder`` on this system."""

    folder: Path

    def stat(self) -> os.stat_result:  # noqa: D102 - as `Path`
        return self.folder.joinpath(*self.parts[1:]).stat()

    def iterdir(self) -> Iterator["WindowsPath"]:  # noqa: D102
        return (self / path.name for path in self.folder.joinpath(*self.parts[1:]).iterdir())


def test_paths_in_the_document_have_slashes_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "run/a.csv", "run/raw/plate 1/b.bin", "run/.hidden/c")
    monkeypatch.setattr(WindowsPath, "folder", tmp_path, raising=False)
    folder = read_folder(cast("Path", WindowsPath(r"D:\run")), [".hidden/c"])
    assert [(file.path, str(file.source)) for file in folder.files] == [
        (".hidden/c", r"D:\run\.hidden\c"),
        ("a.csv", r"D:\run\a.csv"),
        ("raw/plate 1/b.bin", r"D:\run\raw\plate 1\b.bin"),
    ]


def test_hidden_files_are_left_out_and_counted(tmp_path: Path) -> None:
    write(tmp_path, "a", ".b", ".c/d", "e/.f", "e/g")
    assert paths_of(tmp_path) == ["a", "e/g"]
    assert read_folder(tmp_path).hidden == 3
    assert paths_of(tmp_path, hidden=True) == [".b", ".c/d", "a", "e/.f", "e/g"]


def test_hidden_file_that_the_document_lists_belongs_to_the_run(tmp_path: Path) -> None:
    write(tmp_path, ".b", ".c/d", ".c/.e/f", ".c/g")
    assert paths_of(tmp_path, ".b", ".c/.e/f") == [".b", ".c/.e/f"]


def test_empty_folder_is_left_out_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    folder = read_folder(tmp_path)
    assert folder.files == []
    assert [(warning.path, warning.message) for warning in folder.warnings] == [
        ("a/b", "an empty folder is not uploaded")
    ]


def test_names_that_differ_by_case_are_taken_with_a_warning(tmp_path: Path) -> None:
    write(tmp_path, "Data.csv", "data.csv", "DATA.csv")
    folder = read_folder(tmp_path)
    if len(folder.files) < 3:
        pytest.skip("this file system does not distinguish case")
    assert [warning.path for warning in folder.warnings] == ["Data.csv", "data.csv"]
    assert all("differs only by case from DATA.csv" in warning.message for warning in folder.warnings)


def test_links_are_followed(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/a", "run/b")
    (tmp_path / "run/file").symlink_to(tmp_path / "elsewhere/a")
    (tmp_path / "run/folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "run/again").symlink_to(tmp_path / "elsewhere")
    assert paths_of(tmp_path / "run") == ["again/a", "b", "file", "folder/a"]


def test_links_without_an_end_are_errors(tmp_path: Path) -> None:
    write(tmp_path, "a/b")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    (tmp_path / "a/self").symlink_to(tmp_path / "a")
    (tmp_path / "nothing").symlink_to(tmp_path / "none")
    with pytest.raises(OSError) as missing:  # noqa: PT011 - its text depends on the system
        (tmp_path / "nothing").stat()
    folder = read_folder(tmp_path)
    assert [file.path for file in folder.files] == ["a/b"]
    assert {error.path: error.message for error in folder.errors} == {
        "a/loop": "a link to a folder that contains it: remove it",
        "a/self": "a link to a folder that contains it: remove it",
        "nothing": f"cannot be read: {missing.value.strerror}",
    }


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_what_is_neither_a_file_nor_a_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket has 107 bytes at most
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket")
        (error,) = read_folder(tmp_path).errors
    assert (error.path, error.message) == ("socket", "neither a file nor a folder: remove it")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="Windows and root read every folder")
def test_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0)
    (error,) = read_folder(tmp_path).errors
    assert (error.path, error.message) == ("a", "cannot be read: Permission denied")


def test_change_of_a_file_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, "a")
    (file,) = read_folder(tmp_path).files
    assert not file.is_changed
    os.utime(file.source, ns=(1, 1))
    assert file.is_changed
    (file,) = read_folder(tmp_path).files
    file.source.unlink()
    assert file.is_changed


def test_replaced_file_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    first, second = read_folder(tmp_path).files
    os.utime(second.source, ns=(first.stamp.modified, first.stamp.modified))
    second.source.rename(first.source)
    assert first.is_changed


def find_errors(path: str, run: Run = RUN) -> list[str]:
    return [error.message for error in find_bad_names([LocalFile(path, Path(path), Stamp(0, 0, 0))], run)]


def test_names_that_cannot_be_keys_are_errors() -> None:
    longest = "é" * ((1024 - len(RUN.prefix)) // 2)
    assert find_errors(longest) == []
    assert find_errors(longest + "abc") == ["its key would have 1026 bytes, and S3 allows 1024: shorten its path"]
    assert find_errors(os.fsdecode(b"\xff")) == ["the name is not UTF-8: rename the file"]
