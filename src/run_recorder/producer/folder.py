"""The files of a local folder that is to be uploaded as a run.

Which files belong to the run:

- Hidden files and folders, whose names begin with a dot, are left out, unless the document lists them or the caller
  asks for them: they are mostly files of an operating system, or of a program that has not finished.
- Symbolic links are followed. A link to nothing, and a link to a folder that contains it, are errors.
- Empty folders are left out, because S3 has no folders; a warning names each of them.
- Names that differ only by case are uploaded; a warning names them, because they collide on Windows and macOS.
"""

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from run_recorder.domain import DOCUMENT, Run
from run_recorder.errors import FieldError
from run_recorder.files import MAX_KEY_BYTES


class Stamp(NamedTuple):
    """The values by which a change of a file is noticed."""

    size: int
    modified: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> "Stamp":
        """Return the values of a file."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to upload.

    Attributes:
        path: relative to the folder, its parts separated by ``/``.
        source: where it is.
        stamp: its state when it was found.
    """

    path: str
    source: Path
    stamp: Stamp

    @property
    def size(self) -> int:
        """Its size in bytes, when it was found."""
        return self.stamp.size

    @property
    def is_changed(self) -> bool:
        """Whether it was changed or removed since it was found."""
        try:
            return Stamp.of(self.source.stat()) != self.stamp
        except OSError:
            return True


@dataclass(slots=True)
class Folder:
    """The contents of a folder.

    Attributes:
        files: in the order of their paths, without the ``metadata.json`` at the top.
        hidden: how many hidden files and folders were left out.
        errors: why it cannot be uploaded; the path of each is that of a file.
        warnings: what the producer should know; as the errors.
    """

    files: list[LocalFile] = field(default_factory=list)
    hidden: int = 0
    errors: list[FieldError] = field(default_factory=list)
    warnings: list[FieldError] = field(default_factory=list)


def read_folder(top: Path, listed: Collection[str] = (), *, hidden: bool = False) -> Folder:
    """Find the files of a folder.

    Args:
        top: the folder.
        listed: paths in the document, which belong to the run although they are hidden.
        hidden: whether all hidden files belong to it.
    """
    folder = Folder()
    needed = {path[:end] for path in listed for end in _ends_of_parts(path)}
    waiting = [_Directory(top, "", is_hidden=False, ancestors=frozenset({os.path.realpath(top)}))]
    while waiting:
        directory = waiting.pop()
        try:
            entries = list(directory.place.iterdir())
        except OSError as error:
            folder.errors.append(FieldError(directory.path, f"cannot be read: {error.strerror}"))
            continue
        if not entries:
            folder.warnings.append(FieldError(directory.path, "an empty folder is not uploaded"))
        for entry in entries:
            path = f"{directory.path}/{entry.name}" if directory.path else entry.name
            is_hidden = directory.is_hidden or entry.name.startswith(".")
            if is_hidden and not hidden and path not in needed:
                folder.hidden += 1
            elif (below := _add_entry(folder, directory, entry, path)) is not None:
                waiting.append(replace(below, is_hidden=is_hidden))
    folder.files.sort(key=lambda file: file.path)
    folder.warnings += _find_collisions(folder.files)
    return folder


@dataclass(frozen=True, slots=True)
class _Directory:
    """A folder to read; ``ancestors`` are the real paths of itself and of the folders that contain it."""

    place: Path
    path: str
    is_hidden: bool
    ancestors: frozenset[str]


def _add_entry(folder: Folder, parent: _Directory, entry: Path, path: str) -> _Directory | None:
    """Add an entry of a directory to the folder; return it if it is a directory to read."""
    try:
        found = entry.stat()
    except OSError as error:
        folder.errors.append(FieldError(path, f"cannot be read: {error.strerror}"))
        return None
    if stat.S_ISDIR(found.st_mode):
        real = os.path.realpath(entry)
        if real not in parent.ancestors:
            return replace(parent, place=entry, path=path, ancestors=parent.ancestors | {real})
        folder.errors.append(FieldError(path, "a link to a folder that contains it: remove it"))
    elif not stat.S_ISREG(found.st_mode):
        folder.errors.append(FieldError(path, "neither a file nor a folder: remove it"))
    elif path != DOCUMENT:
        folder.files.append(LocalFile(path, entry, Stamp.of(found)))
    return None


def find_bad_names(files: list[LocalFile], run: Run) -> Iterator[FieldError]:
    """Yield an error for each file whose name cannot be a key of the run."""
    for file in files:
        try:
            length = len((run.prefix + file.path).encode())
        except UnicodeEncodeError:
            yield FieldError(file.path, "the name is not UTF-8: rename the file")
            continue
        if length > MAX_KEY_BYTES:
            yield FieldError(
                file.path, f"its key would have {length} bytes, and S3 allows {MAX_KEY_BYTES}: shorten its path"
            )


def _ends_of_parts(path: str) -> list[int]:
    """Return the positions in a path at which a folder's name or its own ends."""
    return [position for position, character in enumerate(path) if character == "/"] + [len(path)]


def _find_collisions(files: list[LocalFile]) -> Iterator[FieldError]:
    by_case = sorted(files, key=lambda file: (file.path.casefold(), file.path))
    for _, group in groupby(by_case, key=lambda file: file.path.casefold()):
        first, *others = group
        for other in others:
            yield FieldError(other.path, f"differs only by case from {first.path}; some systems cannot hold both")
