"""`run-recorder reconcile` where AWS fails: for one run, which is reported, or for all, which ends the command."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_mock import MockerFixture

from local.stack import LocalStack
from run_recorder.cli.inspection import Inspection
from run_recorder.cli.run_locations import RunLocation
from run_recorder.domain import ObjectEvent, Outcome
from run_recorder.errors import AWSCallError, ContentionError
from run_recorder.recorder import Recorder
from run_recorder.s3 import S3
from tests.cli.test_reconcile import parse_report, reconcile, report, states
from tests.support.fake_s3 import failed_call

Refuse = Callable[..., None]
REVOKED = "User: arn:aws:iam::1:user/o is not authorized to perform: kms:Decrypt"


@pytest.fixture
def refuse(mocker: MockerFixture) -> Refuse:
    """Make the methods of `S3` that are named raise these errors for one key."""

    def patch(key: str, **errors: AWSCallError) -> None:
        for name, error in errors.items():
            mocker.patch.object(S3, name, _refusing(getattr(S3, name), key, error))

    return patch


def _refusing(method: Callable[..., Any], refused: str, error: AWSCallError) -> Callable[..., Any]:
    def call(self: S3, bucket: str, key: str, *arguments: Any, **named: Any) -> Any:
        if key == refused:
            raise error
        return method(self, bucket, key, *arguments, **named)

    return call


def upload_three(stack: LocalStack, organisation: str) -> list[str]:
    keys = [f"runs/{organisation}/r{number}/metadata.json" for number in (1, 2, 3)]
    for key in keys:
        stack.upload(key, b"{}")
    return keys


def test_archived_object_is_reported_and_the_runs_behind_it_are_repaired(shared_stack: LocalStack) -> None:
    _, archived, _ = upload_three(shared_stack, "archived")
    bucket = shared_stack.outputs["RunsBucket"]
    shared_stack.s3.put_object(Bucket=bucket, Key=archived, Body=b"{}", StorageClass="GLACIER")
    document = report("archived", "--repair")
    assert [(finding["state"], finding["outcome"]) for finding in document["findings"]] == [
        ("missing", "recorded"), ("unreadable", None), ("missing", "recorded"),
    ]  # fmt: skip
    assert "InvalidObjectState" in document["findings"][1]["error"]
    assert (document["finished"], document["repaired"], document["counts"]["unreadable"]) == (True, 2, 1)
    again = reconcile("archived", "--repair")
    assert again.exit_code == 1
    (line,) = [line for line in again.stdout.splitlines() if line.startswith("unreadable ")]
    assert line.startswith(f"unreadable    {archived}  reading s3://{bucket}/{archived} failed: ")
    assert report("archived", "--repair", "--start-after", "archived/r2")["findings"] == []


def test_object_under_a_revoked_key_is_reported_with_the_answer_of_aws(
    shared_stack: LocalStack, refuse: Refuse
) -> None:
    _, revoked, _ = upload_three(shared_stack, "revoked")
    refuse(revoked, read_object=failed_call("GetObject", "AccessDenied", REVOKED))
    document = report("revoked", "--repair")
    assert states(document)[revoked] == "unreadable"
    assert document["findings"][1]["error"].endswith(REVOKED)
    assert document["repaired"] == 2


def test_reason_of_a_head_request_that_is_refused_is_asked_for(
    record_run: Callable[..., Outcome], refuse: Refuse
) -> None:
    """The answer to a HEAD request is its status alone, also for credentials that S3 does not accept."""
    key = "runs/forbidden/r1/metadata.json"
    for run in ("r1", "r2"):
        record_run("forbidden", run)
    refuse(
        key,
        head_object=failed_call("HeadObject", "403"),
        read_object=failed_call("GetObject", "AccessDenied", "no policy"),
    )
    document = report("forbidden")
    assert (states(document), document["counts"]["current"]) == ({key: "unreadable"}, 1)
    assert document["findings"][0]["error"].endswith("AccessDenied: no policy")
    refuse(key, read_object=failed_call("GetObject", "InvalidAccessKeyId", "unknown key"))
    result = reconcile("forbidden")
    assert (result.exit_code, "InvalidAccessKeyId: unknown key" in result.stderr) == (3, True)


@pytest.mark.parametrize(
    ("number", "error"),
    list(
        enumerate(
            [
                failed_call("HeadObject", "503"),
                failed_call("GetItem", "AccessDeniedException"),
                failed_call("GetItem", "ResourceNotFoundException"),
                AWSCallError("no connection"),
            ]
        )
    ),
)
def test_failure_that_is_not_of_one_object_ends_the_command(
    shared_stack: LocalStack, refuse: Refuse, number: int, error: AWSCallError
) -> None:
    organisation = f"whole-{number}"
    _, key, _ = upload_three(shared_stack, organisation)
    refuse(key, head_object=error)
    result = reconcile(organisation)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"stopped early; continue with --start-after {organisation}/r1\nError: {error}")


def test_record_that_others_change_at_every_attempt_is_reported(
    shared_stack: LocalStack, mocker: MockerFixture
) -> None:
    upload_three(shared_stack, "contended")
    handle = Recorder.handle

    def contend(self: Recorder, event: ObjectEvent) -> Any:
        if "/r2/" in event.key:
            raise ContentionError("the record changed")
        return handle(self, event)

    mocker.patch.object(Recorder, "handle", contend)
    document = report("contended", "--repair")
    assert [finding["outcome"] for finding in document["findings"]] == ["recorded", None, "recorded"]
    assert (document["findings"][1]["state"], document["findings"][1]["error"]) == ("missing", "the record changed")


@pytest.mark.parametrize("end", [KeyboardInterrupt, AWSCallError("no connection")], ids=["Ctrl-C", "failure"])
def test_repairs_ahead_of_the_end_are_counted_and_printed(
    shared_stack: LocalStack, mocker: MockerFixture, end: Any
) -> None:
    organisation = "ahead-1" if end is KeyboardInterrupt else "ahead-2"
    keys = upload_three(shared_stack, organisation)
    inspect = Inspection.inspect
    repaired: list[str] = []

    def stop_last(self: Inspection, location: RunLocation) -> Any:
        while location.key == keys[0] and len(repaired) < 2:
            pass
        if location.key == keys[0]:
            raise end
        finding = inspect(self, location)
        repaired.append(location.key)
        return finding

    mocker.patch.object(Inspection, "inspect", stop_last)
    result = reconcile(organisation, "--repair", "--json")
    assert result.exit_code == (130 if end is KeyboardInterrupt else 3)
    document = parse_report(result)
    assert [finding["key"] for finding in document["findings"]] == keys[1:]
    assert (document["repaired"], document["finished"], document["last"]) == (2, False, None)
    mocker.stopall()
    assert report(organisation, "--repair")["repaired"] == 1
