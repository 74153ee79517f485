"""The preparation of an upload: what is refused before the first byte, and the document that is uploaded."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from run_recorder.domain import DOCUMENT
from run_recorder.errors import FieldError, UploadRefusedError
from run_recorder.producer.digests import Digests
from run_recorder.producer.preparation import Preparation, Source
from run_recorder.producer.progress import Progress, Step
from run_recorder.producer.rules import DeploymentRules
from tests.support.documents import BAD, document
from tests.support.names import RUN


class FolderBench:
    """A folder, and the warnings of its preparation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warnings: list[FieldError] = []
        self.progress: list[Progress] = []

    def write(self, *, metadata: bytes | None = None, **files: str) -> None:
        """Write files, and a metadata.json if it is given."""
        for name, text in files.items():
            (self.folder / name).write_text(text)
        if metadata is not None:
            (self.folder / DOCUMENT).write_bytes(metadata)

    def prepare(self, *, development: bool = False, **source: Any) -> Preparation:
        """Prepare the upload of the folder."""
        rules = DeploymentRules.of_stage(development=development)
        return Preparation(RUN, Source(self.folder, **source), rules, self.warnings.append)

    def complete(self, *resumed: str, **source: Any) -> tuple[bytes, dict[str, Digests]]:
        """Return the complete document, and the hashes of the files."""
        return self.prepare(**source).read(resumed, self.progress.append)

    def refusal(self, **source: Any) -> dict[str, str]:
        """Return why the folder is refused."""
        with pytest.raises(UploadRefusedError) as refused:
            self.complete(**source)
        assert not refused.value.errors_truncated
        return {error.path: error.message for error in refused.value.errors}


@pytest.fixture
def bench(tmp_path: Path) -> FolderBench:
    return FolderBench(tmp_path)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_document_lists_the_files_with_size_and_hash(bench: FolderBench) -> None:
    bench.write(a="1", b="22", metadata=document(files=[{"path": "b", "size": 2}]))
    body, digests = bench.complete()
    assert json.loads(body)["files"] == [{"path": "b", "size": 2}, {"path": "a", "size": 1, "sha256": sha256("1")}]
    assert digests == {"a": Digests(sha256("1"))}
    assert bench.warnings == []


def test_bytes_of_a_complete_document_stay(bench: FolderBench) -> None:
    body = b' {"files": [{"path": "a"}], "model": {"name": "m", "version": "1"}, "parameters": {"x": 1.50}}'
    bench.write(a="1", metadata=body)
    assert bench.complete() == (body, {})


def test_fields_are_set(bench: FolderBench) -> None:
    bench.write(metadata=document(name="old", tags={"a": "1"}))
    body, _ = bench.complete(fields={"name": "new", "tags": {"b": "2"}})
    assert {name: json.loads(body)[name] for name in ("name", "tags")} == {"name": "new", "tags": {"a": "1", "b": "2"}}


def test_folder_without_a_document_gets_one(bench: FolderBench) -> None:
    bench.write(a="1")
    body, _ = bench.complete()
    assert json.loads(body) == {"files": [{"path": "a", "size": 1, "sha256": sha256("1")}]}
    assert [warning.path for warning in bench.warnings] == ["/model"]


def test_document_may_be_elsewhere(bench: FolderBench, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "other.json"
    other.write_bytes(document(name="n"))
    assert json.loads(bench.complete(metadata=other)[0])["name"] == "n"
    bench.write(metadata=other.read_bytes())
    assert bench.complete(metadata=bench.folder / DOCUMENT)[0] == other.read_bytes()
    assert bench.refusal(metadata=other) == {
        DOCUMENT: "the folder has a document, and another one is given: remove one of them"
    }


def test_entity_tags_are_computed_where_they_are_needed(bench: FolderBench) -> None:
    bench.write(a="1", b="2", metadata=document(files=[{"path": "a"}, {"path": "b"}]))
    _, digests = bench.complete("b")
    assert digests == {"b": Digests(None, hashlib.md5(b"2", usedforsecurity=False).hexdigest())}


def test_files_that_are_read_are_counted(bench: FolderBench) -> None:
    bench.write(a="1", b="22", metadata=document())
    bench.complete()
    assert bench.progress[-1] == Progress(Step.READING, 2, 2, 3, 3, "b")


def test_document_that_would_be_rejected_is_refused_with_all_its_errors(bench: FolderBench) -> None:
    files = [{"path": "a", "size": 2}, {"path": "none"}, {"path": "b", "size": 1}]
    wrong = {"name": 1, "run_id": "x", "model": {"name": "m"}, "modle": 1, "files": files}
    bench.write(a="1", b="2", c="3", metadata=json.dumps(wrong).encode())
    assert bench.refusal() == {
        "/name": "expected a string, found an integer",
        "/run_id": "differs from the one in the object key, 'run-0001'",
        "/model/version": "production needs a pinned version, other than 'latest'",
        "/files/0/size": "the file has 1 bytes, not 2",
        "/files/1/path": "the folder has no file none",
    }
    assert [warning.path for warning in bench.warnings] == ["/modle"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{]", "not JSON"),
        (b"[]", "expected an object, found an array"),
        (b'{"a": 1, "a": 2}', "the name occurs more than once"),
        (BAD, "expected an object, found an integer"),
        (b'{"model": {"name": "m", "version": "1"}, "files": 1}', "expected an array, found an integer"),
        (b" " * (2**20 + 1), "more than the 1048576 bytes that are read"),
    ],
)
def test_document_that_cannot_be_completed_is_refused(bench: FolderBench, body: bytes, message: str) -> None:
    bench.write(a="1", metadata=body)
    (found,) = bench.refusal().values()
    assert message in found


def test_file_that_differs_from_its_stated_hash_is_refused(bench: FolderBench) -> None:
    bench.write(a="1", metadata=document(files=[{"path": "a", "sha256": "0" * 64}]))
    assert bench.refusal() == {"/files/0/sha256": f"the file has the SHA-256 {sha256('1')}"}
    bench.write(metadata=document(files=[{"path": "a", "sha256": sha256("1").upper()}]))
    bench.complete()


def test_empty_folder_is_refused(bench: FolderBench) -> None:
    assert bench.refusal() == {".": "the folder has no files and no metadata.json"}


def test_document_that_is_no_file_is_refused(bench: FolderBench) -> None:
    (bench.folder / DOCUMENT).symlink_to("none")
    assert bench.refusal() == {DOCUMENT: "cannot be read: No such file or directory"}


def test_folder_with_an_error_is_refused(bench: FolderBench) -> None:
    (bench.folder / "a").symlink_to("none")
    assert bench.refusal().keys() == {"a"}


def test_rules_of_the_deployment_are_applied(bench: FolderBench) -> None:
    bench.write(metadata=b'{"model": {"name": "m"}}')
    assert bench.refusal().keys() == {"/model/version"}
    bench.prepare(development=True)


def test_hidden_files_are_left_out_with_a_warning(bench: FolderBench) -> None:
    bench.write(a="1", metadata=document())
    (bench.folder / ".b").touch()
    (bench.folder / "empty").mkdir()
    assert [file.path for file in bench.prepare().files] == ["a"]
    assert [(warning.path, warning.message) for warning in bench.warnings] == [
        ("empty", "an empty folder is not uploaded"),
        (".", "hidden files or folders that are not uploaded: 1"),
    ]
    assert [file.path for file in bench.prepare(hidden=True).files] == [".b", "a"]


def test_document_that_would_be_too_large_lists_no_hashes(bench: FolderBench) -> None:
    for number in range(7_000):
        (bench.folder / f"{number:060}").touch()
    bench.write(metadata=document())
    body, digests = bench.complete()
    assert [warning.path for warning in bench.warnings] == ["/files"]
    assert len(body) < 2**20
    assert json.loads(body)["files"][0] == {"path": "0" * 60, "size": 0}
    assert digests == {}


def test_more_files_than_a_document_can_list_are_refused_with_advice(bench: FolderBench) -> None:
    for number in range(10_001):
        (bench.folder / str(number)).touch()
    with pytest.raises(UploadRefusedError) as refused:
        bench.prepare()
    assert [error.message for error in refused.value.errors] == [
        "expected at most 10000 items, found 10001",
        "archive the files, for example with tar, and upload the archive",
    ]


def test_document_that_is_too_large_without_hashes_is_refused_with_advice(bench: FolderBench) -> None:
    for number in range(5_000):
        (bench.folder / f"{number:0200}").touch()
    assert bench.refusal() == {
        "": "more than the 1048576 bytes that are read",
        "/files": "archive the files, for example with tar, and upload the archive",
    }
