"""The preparation of an upload: read the folder, complete the document, and judge it as the function does."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from run_recorder.concurrency import map_in_order
from run_recorder.domain import DOCUMENT, JSON, Run
from run_recorder.errors import FieldError, UploadRefusedError
from run_recorder.json_document import ERRORS_SOUGHT, MAX_ERRORS
from run_recorder.metadata import MAX_BYTES, load_schema
from run_recorder.producer import document
from run_recorder.producer.check import check, decode_object
from run_recorder.producer.digests import Digests, compute_digests
from run_recorder.producer.folder import Folder, LocalFile, find_bad_names, read_folder
from run_recorder.producer.progress import Counter, Report, Step
from run_recorder.producer.rules import DeploymentRules

Warn = Callable[[FieldError], None]

_READERS = 4
_ANY_HASH = "0" * 64
_ARCHIVE = "archive the files, for example with tar, and upload the archive"


@dataclass(frozen=True, slots=True)
class Source:
    """A folder to upload, and the fields to set in its document.

    Attributes:
        folder: the folder.
        metadata: the document; None for the ``metadata.json`` of the folder, if there is one.
        fields: fields of the document to set; tags and parameters are added to those that it has.
        hidden: whether hidden files belong to the run.
    """

    folder: Path
    metadata: Path | None = None
    fields: Mapping[str, JSON] = field(default_factory=dict)
    hidden: bool = False

    def read_document(self) -> bytes | None:
        """Return the first `MAX_BYTES` of the document, and one more; None if there is no document.

        Raises:
            UploadRefusedError: the folder has a document of its own beside ``metadata``, or a document is no file.
        """
        own = self.folder / DOCUMENT
        path = self.metadata or own
        if self.metadata and own.exists() and not own.samefile(self.metadata):
            raise UploadRefusedError(
                [FieldError(DOCUMENT, "the folder has a document, and another one is given: remove one of them")]
            )
        if not self.metadata and not own.is_symlink() and not own.exists():
            return None
        try:
            with path.open("rb") as stream:
                return stream.read(MAX_BYTES + 1)
        except OSError as error:
            raise UploadRefusedError([FieldError(path.name, f"cannot be read: {error.strerror}")]) from error


class Preparation:
    """A run that is ready to be uploaded, but for the hashes of its files.

    Attributes:
        run: the run.
        files: its files.
    """

    def __init__(self, run: Run, source: Source, rules: DeploymentRules, warn: Warn) -> None:
        """Read the folder and check the document.

        Args:
            run: the run.
            source: the folder.
            rules: the rules of the deployment.
            warn: called with each warning.

        Raises:
            UploadRefusedError: the run would be rejected or cannot be stored.
        """
        self.run = run
        self._fields = source.fields
        self._body = source.read_document()
        self._value = decode_object(self._body or b"{}")
        listed = {entry["path"] for entry in document.list_files(self._value)}
        folder = read_folder(source.folder, listed, hidden=source.hidden)
        self.files = tuple(folder.files)
        self._added = [file for file in self.files if file.path not in listed]
        self._check_folder(folder, warn)
        self._check_document(rules, warn)
        hashes = {file.path: _ANY_HASH for file in self._added}
        self._has_hashes = len(self._complete(hashes)) <= MAX_BYTES
        if not self._has_hashes:
            warn(FieldError("/files", f"listed without sha256, so that the document has at most {MAX_BYTES} bytes"))

    def read(self, resumed: Collection[str], report: Report) -> tuple[bytes, dict[str, Digests]]:
        """Read the files, and complete the document.

        Args:
            resumed: the paths of the files whose entity tags are needed.
            report: gets the progress.

        Returns:
            The document, and the hashes of the files by path.

        Raises:
            UploadRefusedError: a file cannot be read, or differs from the hash that the document states.
        """
        hashed = {entry["path"] for entry in document.list_files(self._value) if "sha256" in entry}
        if self._has_hashes:
            hashed |= {file.path for file in self._added}
        needed = [file for file in self.files if file.path in hashed or file.path in resumed]
        counter = Counter(Step.READING, needed, report)

        def compute(file: LocalFile) -> Digests:
            return compute_digests(file, sha256=file.path in hashed, etag=file.path in resumed, count=counter.add)

        digests: dict[str, Digests] = {}
        for file, found in map_in_order(compute, needed, _READERS):
            digests[file.path] = found
            counter.add(0, file.path)
        sha256 = {path: found.sha256 for path, found in digests.items() if found.sha256}
        _refuse(document.compare_with_folder(self._value, self.files, sha256))
        return self._complete(sha256 if self._has_hashes else {}), digests

    def _check_folder(self, folder: Folder, warn: Warn) -> None:
        empty = [FieldError(".", f"the folder has no files and no {DOCUMENT}")]
        is_empty = not folder.files and not folder.errors and self._body is None
        _refuse([*folder.errors, *find_bad_names(folder.files, self.run), *(empty if is_empty else [])])
        for warning in folder.warnings:
            warn(warning)
        if folder.hidden:
            warn(FieldError(".", f"hidden files or folders that are not uploaded: {folder.hidden}"))

    def _check_document(self, rules: DeploymentRules, warn: Warn) -> None:
        # A document that is no JSON object cannot be completed, and is judged as it is.
        complete = self._body or b"" if self._value is None else self._complete({})
        findings = check(complete, self.run, rules, self.files)
        for warning in findings.warnings:
            warn(warning)
        if findings.errors:
            max_files = load_schema()["properties"]["files"]["maxItems"]
            has_too_many_files = len(self.files) > max_files or (self._value is not None and len(complete) > MAX_BYTES)
            advice = [FieldError("/files", _ARCHIVE)] if has_too_many_files else []
            raise UploadRefusedError([*findings.errors, *advice], errors_truncated=findings.errors_truncated)

    def _complete(self, sha256: Mapping[str, str]) -> bytes:
        """Return the document with all files and fields; its bytes stay if nothing is added."""
        if self._body is not None and not self._added and not self._fields:
            return self._body
        value = document.set_fields(self._value, self._fields)
        is_list = isinstance(value.get("files", []), list)
        return document.to_bytes(document.add_files(value, self._added, sha256) if is_list else value)


def _refuse(errors: Iterable[FieldError]) -> None:
    """Refuse the upload if there are errors."""
    first = [*islice(errors, ERRORS_SOUGHT)]
    if first:
        raise UploadRefusedError(first[:MAX_ERRORS], errors_truncated=len(first) > MAX_ERRORS)
