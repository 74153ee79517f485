"""A folder that is uploaded as a run: what arrives in the bucket, and the verdict of the function on it."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Unpack

import boto3
import pytest
from moto import mock_aws
from pytest_mock import MockerFixture

from handler.app import lambda_handler
from local.stack import LocalStack
from run_recorder.domain import Run
from run_recorder.errors import (
    AWSCallError,
    FieldError,
    FileChangedError,
    RunExistsError,
    RunRecorderError,
    UploadRefusedError,
)
from run_recorder.producer import sending, transfer
from run_recorder.producer.digests import PART_SIZE
from run_recorder.producer.options import Amount, UploadOptions, UploadResult
from run_recorder.producer.progress import Progress, Step
from run_recorder.producer.upload import upload_run, wait_for_verdict
from tests.support.delivery import Delivery
from tests.support.documents import document, good
from tests.support.fake_s3 import client_error
from tests.support.stack_fixtures import enter_environment

NUMBERS = count(1)


class ProducerBench:
    """A folder, a run that does not exist yet, and the stack to which it is uploaded.

    Attributes:
        folder: the folder.
        run: the run.
        calls: the names of the S3 operations that were called, and their keys, in order.
        warnings: the warnings of the uploads.
        progress: the progress of the uploads.
        delivery: has the function handle events while a verdict is waited for.
    """

    def __init__(self, stack: LocalStack, folder: Path, delivery: Delivery) -> None:
        self.stack = stack
        self.delivery = delivery
        self.folder = folder
        self.run = Run("acme", f"run-{next(NUMBERS)}")
        self.calls: list[tuple[str, str]] = []
        self.warnings: list[FieldError] = []
        self.progress: list[Progress] = []
        self.bucket = stack.outputs["RunsBucket"]
        self._errors: dict[str, str] = {}
        self.s3_client: Any = boto3.client("s3")
        self.s3_client.meta.events.register("before-parameter-build.s3", self._note)

    def write(self, **files: str | bytes) -> None:
        """Write files into the folder."""
        for name, text in files.items():
            (self.folder / name).write_bytes(text.encode() if isinstance(text, str) else text)

    def write_document(self, body: bytes | None = None) -> None:
        """Write the metadata.json of the folder."""
        (self.folder / "metadata.json").write_bytes(body or document())

    def upload(self, **options: Unpack[UploadOptions]) -> UploadResult:
        """Upload the folder."""
        self.calls.clear()
        every: Any = {
            "s3_client": self.s3_client, "warn": self.warnings.append, "report": self.progress.append
        }  # fmt: skip
        return upload_run(
            self.folder,
            self.run.organisation_id,
            self.run.run_id,
            bucket=self.bucket,
            table=self.stack.outputs["RunsTable"],
            **{**every, **options},
        )

    def put(self, name: str, body: bytes) -> None:
        """Store an object of the run by other means."""
        self.stack.upload(self.run.prefix + name, body)

    def handle_directly(self, **s3_object: str) -> dict[str, Any]:
        """Have the function handle an event of the document that no queue carries."""
        record = {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
        body = {"bucket": {"name": self.bucket}, "object": {"key": f"{self.run.prefix}metadata.json", **s3_object}}
        (outcome,) = lambda_handler({"Records": [{**record, "s3": body}]}, None)["outcomes"]
        return dict(outcome)

    def read(self, name: str) -> bytes:
        """Return an object of the run."""
        body: bytes = self.stack.s3.get_object(Bucket=self.bucket, Key=self.run.prefix + name)["Body"].read()
        return body

    def names(self) -> list[str]:
        """Return the names of the objects of the run."""
        listed = self.stack.s3.list_objects_v2(Bucket=self.bucket, Prefix=self.run.prefix).get("Contents", [])
        return [entry["Key"].removeprefix(self.run.prefix) for entry in listed]

    def stored(self) -> list[str]:
        """Return the names of the objects that the last upload stored, in order."""
        writes = {"PutObject", "CompleteMultipartUpload"}
        return [key.removeprefix(self.run.prefix) for operation, key in self.calls if operation in writes]

    def refuse(self, operation: str, code: str = "AccessDenied") -> None:
        """Answer an operation of S3 with an error from now on."""
        self._errors[operation] = code

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name in self._errors:
            raise client_error(self._errors[model.name])
        self.calls.append((model.name, params.get("Key", "")))


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with mock_aws():
        yield LocalStack()


@pytest.fixture
def bench(
    stack: LocalStack, tmp_path: Path, environment: pytest.MonkeyPatch, mocker: MockerFixture
) -> Iterator[ProducerBench]:
    enter_environment(environment, stack)
    bench = ProducerBench(stack, tmp_path, Delivery(stack, mocker))
    yield bench
    bench.delivery.handle()


def state_of(result: UploadResult) -> str | None:
    return result.verdict.state.value if result.verdict else None


def test_folder_is_uploaded_and_recorded(bench: ProducerBench) -> None:
    bench.write(a="1", b="22")
    (bench.folder / "sub").mkdir()
    bench.write(**{"sub/c": "333"})
    bench.write_document(document(name="Plate 7"))
    result = bench.upload()
    assert (state_of(result), result.uploaded, result.skipped) == ("recorded", Amount(3, 6), Amount())
    assert bench.stored()[-1] == "metadata.json"
    assert sorted(bench.stored()) == bench.names() == ["a", "b", "metadata.json", "sub/c"]
    assert json.loads(bench.read("metadata.json")) == {
        "name": "Plate 7",
        "model": {"name": "m", "version": "1"},
        "files": [
            {"path": path, "size": len(text), "sha256": hashlib.sha256(text).hexdigest()}
            for path, text in (("a", b"1"), ("b", b"22"), ("sub/c", b"333"))
        ],
    }
    record = result.verdict and result.verdict.record
    assert record
    assert (record.name, record.version_id, record.etag) == ("Plate 7", result.version_id, result.etag)
    assert bench.warnings == []


def test_folder_without_a_document_is_uploaded_with_the_fields_that_are_given(bench: ProducerBench) -> None:
    bench.write(a="1")
    fields = {"model": {"name": "m", "version": "1"}, "tags": {"assay": "A"}, "parameters": {"x": 1}}
    result = bench.upload(fields=fields)
    assert state_of(result) == "recorded"
    body = json.loads(bench.read("metadata.json"))
    assert {name: body[name] for name in fields} == fields
    assert [entry["path"] for entry in body["files"]] == ["a"]


def test_same_folder_again_uploads_nothing_and_returns_the_verdict(bench: ProducerBench) -> None:
    bench.write(a="1")
    bench.write_document()
    first = bench.upload()
    second = bench.upload()
    assert bench.stored() == []
    assert (state_of(second), second.version_id) == ("recorded", first.version_id)
    assert (second.uploaded, second.skipped, second.is_document_uploaded) == (Amount(), Amount(1, 1), False)


class InterruptingReport:
    """Interrupts the upload when so many files are uploaded, or does something else then."""

    def __init__(self, files: int, act: Callable[[], None]) -> None:
        self._files = files
        self._act: Callable[[], None] | None = act

    def __call__(self, progress: Progress) -> None:
        """Count the files."""
        if self._act and progress.step is Step.UPLOADING and progress.files == self._files:
            act, self._act = self._act, None
            act()


def interrupt() -> None:
    raise KeyboardInterrupt


def test_interrupted_upload_is_continued_by_the_same_call(bench: ProducerBench) -> None:
    large = os.urandom(PART_SIZE + 1)
    bench.write(a="1", b=large, c="3", d="")
    bench.write_document()
    with pytest.raises(KeyboardInterrupt):
        bench.upload(report=InterruptingReport(2, interrupt))
    assert "metadata.json" not in bench.names()
    assert bench.stack.s3.list_multipart_uploads(Bucket=bench.bucket).get("Uploads", []) == []
    (bench.folder / "c").write_text("4")
    bench.put("e", b"no file of the folder")
    bench.put("d", b"")
    result = bench.upload()
    assert state_of(result) == "recorded"
    assert {"c", "metadata.json"} <= {*bench.stored()}
    assert not {"a", "b", "d"} & {*bench.stored()}
    assert (result.uploaded.files, result.skipped.files) == (1, 3)
    assert bench.read("b") == large


def test_file_that_changes_while_it_is_uploaded_is_noticed(bench: ProducerBench) -> None:
    bench.write(a="1", b="2")
    bench.write_document()
    with pytest.raises(FileChangedError, match="b changed while it was uploaded"):
        bench.upload(report=InterruptingReport(1, lambda: bench.write(b="changed")))
    assert "metadata.json" not in bench.names()


def test_file_that_is_removed_while_it_is_uploaded_is_noticed(bench: ProducerBench) -> None:
    bench.write(a="1", b="2")
    bench.write_document()

    def remove(progress: Progress) -> None:
        if progress.step is Step.READING and progress.files == 2:
            (bench.folder / "a").unlink(missing_ok=True)

    with pytest.raises(FileChangedError, match="a changed while it was uploaded"):
        bench.upload(report=remove)


def test_another_upload_of_the_run_is_not_replaced_by_accident(bench: ProducerBench) -> None:
    bench.write(a="1")
    bench.write_document(good("first"))
    bench.upload()
    bench.write_document(good("second"))
    with pytest.raises(RunExistsError, match=r"has another one, which was recorded at 20.*: choose another run id"):
        bench.upload()
    assert bench.stored() == []
    result = bench.upload(replace=True)
    assert state_of(result) == "recorded"
    assert bench.stored() == ["metadata.json"]
    assert result.verdict
    assert result.verdict.record
    assert result.verdict.record.config
    assert result.verdict.record.config["model"]["name"] == "second"


def test_document_that_is_not_recorded_yet_is_not_replaced(bench: ProducerBench) -> None:
    bench.put("metadata.json", good("first"))
    bench.write(a="1")
    bench.write_document(good("second"))
    with pytest.raises(RunExistsError, match=r"metadata\.json: the run has another one: choose another run id"):
        bench.upload()


def test_document_that_another_producer_uploads_meanwhile_is_not_replaced(bench: ProducerBench) -> None:
    bench.write(a="1")
    bench.write_document()
    other = InterruptingReport(1, lambda: bench.put("metadata.json", good("other")))
    with pytest.raises(RunExistsError):
        bench.upload(report=other)
    assert bench.read("metadata.json") == good("other")


def test_document_whose_answer_was_lost_is_recognised(bench: ProducerBench, mocker: MockerFixture) -> None:
    """The SDK repeats the request, and S3 refuses it, since the document is there."""
    send = transfer.upload_document

    def lose_answer(*arguments: Any, **named: Any) -> None:
        assert send(*arguments, **named)
        assert send(*arguments, **named) is None

    mocker.patch.object(sending, "upload_document", lose_answer)
    bench.write(a="1")
    bench.write_document()
    assert state_of(bench.upload()) == "recorded"


def test_verdict_of_the_function_is_returned_with_its_errors(bench: ProducerBench) -> None:
    bench.write_document(b"{}")
    result = bench.upload()
    assert [str(warning.path) for warning in bench.warnings] == ["/model"]
    assert state_of(result) == "rejected"
    assert result.verdict
    assert result.verdict.record
    assert [error.path for error in result.verdict.record.errors] == ["/model"]
    assert state_of(bench.upload()) == "rejected"
    assert bench.stored() == []


def test_upload_is_over_without_a_verdict_when_its_time_is_over(bench: ProducerBench) -> None:
    bench.delivery.is_on = False
    bench.write_document()
    assert state_of(bench.upload(timeout=20)) == "unknown"
    assert state_of(bench.upload(timeout=20)) == "unknown"
    assert bench.stored() == []
    bench.delivery.is_on = True
    assert state_of(bench.upload()) == "recorded"


def test_upload_need_not_wait(bench: ProducerBench) -> None:
    bench.write_document()
    result = bench.upload(wait=False)
    assert (result.verdict, result.is_document_uploaded) == (None, True)
    assert result.version_id


def test_newer_upload_supersedes(bench: ProducerBench) -> None:
    bench.delivery.clock.sleep.side_effect = lambda _: bench.put("metadata.json", good("newer"))
    bench.write_document()
    assert state_of(bench.upload()) == "superseded"


def test_files_of_a_pending_run_are_uploaded_without_its_document(bench: ProducerBench) -> None:
    body = document(files=[{"path": "a", "size": 1}, {"path": "b"}])
    bench.write(a="1", b="2")
    bench.write_document(body)
    bench.put("metadata.json", body)
    bench.put("a", b"1")
    bench.delivery.handle()
    result = bench.upload(timeout=2)
    assert state_of(result) == "pending"
    assert bench.stored() == ["b"]
    assert bench.handle_directly()["outcome"] == "recorded"
    assert state_of(bench.upload()) == "recorded"


def test_files_of_a_document_that_is_not_recorded_yet_are_uploaded(bench: ProducerBench) -> None:
    body = document(files=[{"path": "a"}])
    bench.put("metadata.json", body)
    bench.write(a="1")
    bench.write_document(body)
    assert state_of(bench.upload()) == "recorded"
    assert bench.stored() == ["a"]


def test_run_that_was_rejected_for_missing_files_is_evaluated_again(bench: ProducerBench) -> None:
    body = document(files=[{"path": "a"}])
    bench.put("metadata.json", body)
    assert bench.handle_directly()["outcome"] == "rejected"
    bench.write(a="1")
    bench.write_document(body)
    assert state_of(bench.upload()) == "recorded"
    assert bench.stored() == ["a", "metadata.json"]


def test_without_permission_to_list_all_files_are_uploaded_with_a_warning(bench: ProducerBench) -> None:
    bench.write(a="1")
    bench.write_document()
    bench.put("a", b"1")
    bench.refuse("ListObjectsV2")
    assert state_of(bench.upload()) == "recorded"
    assert bench.stored() == ["a", "metadata.json"]
    (warning,) = bench.warnings
    assert warning.path == bench.run.prefix
    assert "uploaded again" in warning.message


def test_without_permission_to_read_the_record_tells_what_is_there(bench: ProducerBench) -> None:
    for operation in ("GetObject", "HeadObject", "ListObjectsV2"):
        bench.refuse(operation)
    bench.write(a="1")
    bench.write_document()
    assert state_of(bench.upload()) == "recorded"
    assert state_of(bench.upload()) == "recorded"
    assert bench.stored() == []
    bench.write_document(good("other"))
    with pytest.raises(RunExistsError):
        bench.upload()
    assert bench.stored() == []


def test_without_permission_to_read_a_rejected_upload_is_recognised_by_its_entity_tag(bench: ProducerBench) -> None:
    bench.refuse("GetObject")
    bench.write_document(b"{}")
    assert state_of(bench.upload()) == "rejected"
    assert state_of(bench.upload()) == "rejected"
    assert bench.stored() == []


@pytest.mark.parametrize("operation", ["GetObject", "ListObjectsV2", "PutObject"])
def test_failure_of_s3_ends_the_upload(bench: ProducerBench, operation: str) -> None:
    bench.write(a="1")
    bench.write_document()
    bench.refuse(operation, "SlowDown")
    with pytest.raises(AWSCallError, match="SlowDown"):
        bench.upload()


def test_denied_upload_is_a_failure(bench: ProducerBench) -> None:
    bench.write(a="1")
    bench.refuse("PutObject")
    with pytest.raises(AWSCallError, match=r"uploading s3://.*/a failed: .*AccessDenied") as failure:
        bench.upload(fields={"model": {"name": "m", "version": "1"}})
    assert failure.value.is_denied


def test_dry_run_uploads_nothing(bench: ProducerBench) -> None:
    bench.write(a="1", b="22")
    bench.put("a", b"1")
    result = bench.upload(dry_run=True, fields={"model": {"name": "m", "version": "1"}})
    assert (result.uploaded, result.skipped, result.verdict) == (Amount(1, 2), Amount(1, 1), None)
    assert bench.stored() == []


def test_progress_counts_files_and_bytes(bench: ProducerBench) -> None:
    bench.write(a="1", b="22")
    bench.write_document()
    bench.upload()
    last = {progress.step: progress for progress in bench.progress}
    for step in (Step.READING, Step.UPLOADING):
        assert last[step] == Progress(step, 2, 2, 3, 3, last[step].path)
    assert last[Step.WAITING] == Progress(Step.WAITING, 0, 0, 0, 0)
    assert {progress.path for progress in bench.progress} == {None, "a", "b"}


def refusal(bench: ProducerBench, **options: Unpack[UploadOptions]) -> dict[str, str]:
    """Return why an upload is refused; check that nothing was uploaded, or even looked for."""
    with pytest.raises(UploadRefusedError) as refused:
        bench.upload(**options)
    assert bench.calls == []
    assert not refused.value.errors_truncated
    return {error.path: error.message for error in refused.value.errors}


def test_document_that_would_be_rejected_is_refused_with_all_its_errors(bench: ProducerBench) -> None:
    bench.write(a="1", b="2", c="3")
    files = [{"path": "a", "size": 2}, {"path": "none"}, {"path": "b", "size": 1}]
    bench.write_document(json.dumps({"name": 1, "run_id": "x", "model": {"name": "m"}, "files": files}).encode())
    assert refusal(bench) == {
        "/name": "expected a string, found an integer",
        "/run_id": f"differs from the one in the object key, {bench.run.run_id!r}",
        "/model/version": "production needs a pinned version, other than 'latest'",
        "/files/0/size": "the file has 1 bytes, not 2",
        "/files/1/path": "the folder has no file none",
    }


def test_name_that_is_not_one_of_a_run_is_refused(bench: ProducerBench) -> None:
    bench.write(a="1")
    bench.run = Run("acme", "run 1")
    assert refusal(bench) == {".": "acme/run 1 is not the name of a run: docs/producers.md states the rule"}
    with pytest.raises(RunRecorderError, match="acme/ is not the name of a run"):
        wait_for_verdict("acme", "", bucket=bench.bucket, table="t")


def test_verdict_alone_can_be_waited_for(bench: ProducerBench) -> None:
    bench.put("metadata.json", document())
    verdict = wait_for_verdict(
        bench.run.organisation_id, bench.run.run_id, bucket=bench.bucket, table=bench.stack.outputs["RunsTable"]
    )
    assert (verdict.state, verdict.is_of_current) == ("recorded", True)
