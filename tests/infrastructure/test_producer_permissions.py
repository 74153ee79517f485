"""The policies of docs/producers.md allow every call of an upload, and nothing else.

moto enforces actions and resources; `allows` also judges conditions.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core import disable_iam_authentication, enable_iam_authentication

from handler.app import lambda_handler
from local.stack import LocalStack
from local.template import REGION
from run_recorder.errors import AWSCallError, FieldError, RunExistsError
from run_recorder.producer import waiting_for_verdict
from run_recorder.producer.digests import PART_SIZE
from run_recorder.producer.options import UploadResult
from run_recorder.producer.upload import upload_run, wait_for_verdict
from tests.infrastructure.test_documentation import examples, read
from tests.support.deployment import enforce_tables, record_calls
from tests.support.documents import document, good
from tests.support.fake_s3 import client_error
from tests.support.policies import ACCOUNT, Call, Request, Statement, actions, allows
from tests.support.stack_fixtures import enter_environment

UPLOAD, RESUME = (
    json.loads(example)["Statement"] for example in examples(read("producers.md")) if "Statement" in example
)


class Producer:
    """A user with these statements, and a folder to upload.

    Attributes:
        statements: the policies of the user.
        calls: the calls of the user.
        warnings: the warnings of the uploads.
    """

    def __init__(self, stack: LocalStack, statements: list[Statement], folder: Path) -> None:
        self.statements = statements
        self.warnings: list[FieldError] = []
        self.folder = folder
        self.bucket, self.table = stack.outputs["RunsBucket"], stack.outputs["RunsTable"]
        iam = boto3.client("iam")
        name = folder.name
        iam.create_user(UserName=name)
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="producer", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)
        self.calls: list[Call] = record_calls(session)
        self.clients: Any = {"s3_client": session.client("s3"), "dynamodb_client": session.client("dynamodb")}

    def upload(self, run_id: str, organisation_id: str = "acme", **options: Any) -> UploadResult:
        """Upload the folder with the permissions of the user."""
        options |= {**self.clients, "warn": self.warnings.append}
        with enable_iam_authentication():
            return upload_run(self.folder, organisation_id, run_id, bucket=self.bucket, table=self.table, **options)

    def put(self, key: str, body: bytes) -> None:
        """Store an object with all permissions."""
        boto3.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)

    def refused(self) -> list[Request]:
        """Return the requests of successful calls that the statements do not allow."""
        asked = [request for call in self.calls if call.error not in {"AccessDenied", "403"} for request in call.asks()]
        # S3 asks for a listing without a prefix before it returns that a key does not exist; else it denies access,
        # and the upload goes by the record.
        needed = [request for request in asked if request.action != "s3:ListBucket" or request.context]
        return [request for request in needed if not allows(self.statements, request)]


def put_names(stack: LocalStack, statements: list[Statement]) -> list[Statement]:
    """Return statements of the documentation with the names of the stack in them."""
    text = json.dumps(statements).replace("BUCKET", stack.outputs["RunsBucket"])
    text = text.replace("REGION:ACCOUNT", f"{REGION}:{ACCOUNT}").replace("TABLE", stack.outputs["RunsTable"])
    named: list[Statement] = json.loads(text)
    return named


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with mock_aws():
        yield LocalStack()


@pytest.fixture
def make_producer(
    stack: LocalStack, tmp_path: Path, environment: pytest.MonkeyPatch
) -> Callable[[list[Statement]], Producer]:
    enter_environment(environment, stack)
    enforce_tables(environment)
    (tmp_path / "small").write_text("1")
    (tmp_path / "large").write_bytes(bytes(PART_SIZE))
    (tmp_path / "metadata.json").write_bytes(document())

    @disable_iam_authentication()
    def handle(_: float) -> None:
        while stack.deliver(lambda_handler):
            pass

    environment.setattr(waiting_for_verdict.time, "sleep", handle)  # type: ignore[attr-defined]
    return lambda statements: Producer(stack, put_names(stack, statements), tmp_path)


MakeProducer = Callable[[list[Statement]], Producer]


def state_of(result: UploadResult) -> str | None:
    return result.verdict.state.value if result.verdict else None


def test_smallest_policy_is_enough_to_upload_and_to_learn_the_verdict(make_producer: MakeProducer) -> None:
    producer = make_producer(UPLOAD)
    assert state_of(producer.upload("small-1")) == "recorded"
    assert [warning.path for warning in producer.warnings] == ["runs/acme/small-1/"]
    assert producer.upload("small-1").is_document_uploaded is False
    assert producer.refused() == []
    with enable_iam_authentication():
        verdict = wait_for_verdict("acme", "small-1", bucket=producer.bucket, table=producer.table, **producer.clients)
    assert (verdict.state, verdict.is_of_current) == ("recorded", False)


def test_smallest_policy_does_not_replace_another_run(make_producer: MakeProducer) -> None:
    producer = make_producer(UPLOAD)
    producer.upload("small-2")
    (producer.folder / "metadata.json").write_bytes(good("other"))
    with pytest.raises(RunExistsError):
        producer.upload("small-2")


def test_both_policies_are_enough_to_skip_what_is_there(make_producer: MakeProducer) -> None:
    producer = make_producer([*UPLOAD, *RESUME])
    events = producer.clients["s3_client"].meta.events
    events.register("before-parameter-build.s3.UploadPart", _refuse, unique_id="refuse")
    with pytest.raises(AWSCallError, match="SlowDown"):
        producer.upload("resume-1")
    events.unregister("before-parameter-build.s3.UploadPart", unique_id="refuse")
    producer.put("runs/acme/resume-1/small", b"1")
    result = producer.upload("resume-1")
    assert (state_of(result), result.skipped.files, result.uploaded.files) == ("recorded", 1, 1)
    assert producer.warnings == []
    assert producer.refused() == []
    assert [call for call in producer.calls if call.error in {"AccessDenied", "403"}] == []
    used = {request.action for call in producer.calls for request in call.asks()}
    assert actions(producer.statements) == used


def _refuse(**_: Any) -> None:
    raise client_error("SlowDown")


@pytest.mark.parametrize("statements", [UPLOAD, [*UPLOAD, *RESUME]], ids=["upload", "resume"])
def test_policies_allow_nothing_of_another_organisation(
    make_producer: MakeProducer, statements: list[Statement]
) -> None:
    producer = make_producer(statements)
    with pytest.raises(AWSCallError) as refused:
        producer.upload("run-1", "globex", replace=True)
    assert refused.value.is_denied
    bucket, table = f"arn:aws:s3:::{producer.bucket}", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{producer.table}"
    others = [
        *(Request(f"s3:{name}", f"{bucket}/{key}") for name in ("PutObject", "GetObject", "AbortMultipartUpload")
          for key in ("runs/globex/r/metadata.json", "runs/acme2/r/a", "results/acme/r/a")),
        *(Request("s3:ListBucket", bucket, context={"s3:prefix": prefix}) for prefix in ("", "runs/", "runs/globex/")),
        Request("s3:ListBucket", bucket),
        *(Request(f"s3:{name}", f"{bucket}/runs/acme/r/a") for name in ("DeleteObject", "GetObjectVersion")),
        Request("dynamodb:GetItem", table, context={"dynamodb:LeadingKeys": ["globex"]}),
        Request("dynamodb:GetItem", table, context={"dynamodb:LeadingKeys": ["acme", "globex"]}),
        *(Request(f"dynamodb:{name}", table, context={"dynamodb:LeadingKeys": ["acme"]})
          for name in ("Query", "UpdateItem", "PutItem", "DeleteItem")),
    ]  # fmt: skip
    assert [request for request in others if allows(producer.statements, request)] == []
