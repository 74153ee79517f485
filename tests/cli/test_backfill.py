"""`run-recorder backfill`: the job that it creates."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from botocore.stub import ANY, Stubber
from pytest_mock import MockerFixture

from local.stack import STACK_NAME, LocalStack
from run_recorder.cli.backfill import build_job
from tests.support.stack_fixtures import run_command


@pytest.fixture
def s3control(stack: LocalStack, stub_client: Callable[[str], Stubber]) -> Stubber:  # noqa: ARG001 - in its mock
    """The command's client of S3 Batch Operations."""
    return stub_client("s3control")


def test_job_lists_the_documents_invokes_the_function_and_writes_a_report(
    s3control: Stubber, stack: LocalStack
) -> None:
    bucket_arn = f"arn:aws:s3:::{stack.outputs['RunsBucket']}"
    expected = {
        "AccountId": "123456789012",
        "ClientRequestToken": ANY,
        "ConfirmationRequired": False,
        "Description": "Run Recorder: back-fill of runs/acme/",
        "ManifestGenerator": {
            "S3JobManifestGenerator": {
                "SourceBucket": bucket_arn,
                "ExpectedBucketOwner": "123456789012",
                "EnableManifestOutput": False,
                "Filter": {
                    "KeyNameConstraint": {"MatchAnyPrefix": ["runs/acme/"], "MatchAnySuffix": ["/metadata.json"]}
                },
            }
        },
        "Operation": {"LambdaInvoke": {"FunctionArn": stack.outputs["BackfillFunction"]}},
        "Priority": 10,
        "Report": {
            "Enabled": True,
            "Bucket": bucket_arn,
            "ExpectedBucketOwner": "123456789012",
            "Prefix": "backfill",
            "Format": "Report_CSV_20180820",
            "ReportScope": "AllTasks",
        },
        "RoleArn": stack.outputs["BatchOperationsRole"],
    }
    s3control.add_response("create_job", {"JobId": "job-id"}, expected)
    result = run_command("backfill", "--yes", "--stack", STACK_NAME, "acme")
    assert result.exit_code == 0, result.output
    s3control.assert_no_pending_responses()
    report = f"s3://{stack.outputs['RunsBucket']}/backfill/job-job-id/"
    assert result.stdout.endswith(f"\njob job-id created; its report will be at {report}\n")


def test_job_of_the_uploads_since_a_time_reports_failed_tasks_only(s3control: Stubber, stack: LocalStack) -> None:
    expected = build_job(stack.outputs, "acme") | {"ClientRequestToken": ANY}
    expected["ManifestGenerator"]["S3JobManifestGenerator"]["Filter"]["CreatedAfter"] = "2026-11-20T07:30:00Z"
    expected["Report"]["ReportScope"] = "FailedTasksOnly"
    s3control.add_response("create_job", {"JobId": "job-id"}, expected)
    result = run_command("backfill", "--yes", "--since", "2026-11-20T08:30:00+01:00", "acme")
    assert result.exit_code == 0, result.output
    s3control.assert_no_pending_responses()


def test_time_since_may_be_an_age(s3control: Stubber) -> None:  # noqa: ARG001 - in its mock
    request = json.loads(run_command("backfill", "--since", "2d").stdout)
    created_after = request["ManifestGenerator"]["S3JobManifestGenerator"]["Filter"]["CreatedAfter"]
    age = datetime.now(UTC) - datetime.fromisoformat(created_after)
    assert timedelta(days=2) <= age < timedelta(days=2, minutes=10)
    for time in ("yesterday", "999999d", "0001-01-01T00:00:00+14:00"):
        assert run_command("backfill", "--since", time).exit_code == 2


@pytest.mark.parametrize("options", [[], ["--json"]], ids=str)
def test_without_yes_the_request_is_printed_and_not_sent(
    s3control: Stubber, stack: LocalStack, options: list[str]
) -> None:
    result = run_command("backfill", *options)
    assert (result.exit_code, result.stderr) == (0, "nothing was changed; --yes does it\n")
    request = json.loads(result.stdout)
    if options:
        assert (request["job_id"], request["report"]) == (None, None)
        request = request["request"]
    expected = build_job(stack.outputs)
    del request["ClientRequestToken"], expected["ClientRequestToken"]
    assert request == expected
    assert request["ManifestGenerator"]["S3JobManifestGenerator"]["Filter"]["KeyNameConstraint"]["MatchAnyPrefix"] == [
        "runs/"
    ]
    s3control.assert_no_pending_responses()


@pytest.mark.parametrize("answer", ["n\n", "y\n"])
def test_job_is_created_after_a_confirmation_at_the_terminal(
    s3control: Stubber, mocker: MockerFixture, answer: str
) -> None:
    mocker.patch("click.testing._NamedTextIOWrapper.isatty", create=True, return_value=True)
    if answer == "y\n":
        s3control.add_response("create_job", {"JobId": "job-id"})
    result = run_command("backfill", stdin=answer.encode())
    assert result.exit_code == 0, result.output
    assert "Create this job? [y/N]: " in result.stderr
    assert ("job job-id created" in result.stdout) == (answer == "y\n")
    s3control.assert_no_pending_responses()


def test_refusal_of_aws_is_one_line(s3control: Stubber) -> None:
    s3control.add_client_error("create_job", "AccessDenied")
    result = run_command("backfill", "--yes")
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert "AccessDenied" in result.stderr


def test_job_as_json(s3control: Stubber, stack: LocalStack) -> None:
    s3control.add_response("create_job", {"JobId": "job-id"})
    result = run_command("backfill", "--yes", "--json")
    report = f"s3://{stack.outputs['RunsBucket']}/backfill/job-job-id/"
    document = json.loads(result.stdout)
    assert (document["job_id"], document["report"]) == ("job-id", report)
    assert document["request"]["Report"]["Bucket"] == f"arn:aws:s3:::{stack.outputs['RunsBucket']}"
    s3control.assert_no_pending_responses()


def test_job_stays_in_the_partition_of_its_stack() -> None:
    job = build_job(
        {
            "RunsBucket": "runs",
            "BackfillFunction": "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:backfill",
            "BatchOperationsRole": "arn:aws-us-gov:iam::123456789012:role/batch",
        }
    )
    assert job["Report"]["Bucket"] == "arn:aws-us-gov:s3:::runs"
