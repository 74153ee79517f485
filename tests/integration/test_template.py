"""The template, as CloudFormation will see it."""

import json
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from handler.config import load_settings
from local.stack import LocalStack
from local.template import translate

BUCKET_ARN = "arn:${AWS::Partition}:s3:::${AWS::StackName}-runs-${AWS::AccountId}-${AWS::Region}"


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return translate({})


@pytest.fixture(scope="module")
def properties(template: dict[str, Any]) -> dict[str, Any]:
    return {name: resource["Properties"] for name, resource in template["Resources"].items()}


def statements(policy: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {statement["Sid"]: statement for statement in policy["PolicyDocument"]["Statement"]}


@pytest.mark.parametrize("stage", ["production", "development"])
def test_translated_template_has_no_lint(stage: str) -> None:
    """`sam validate --lint` misses cycles, bad runtimes and bad time-outs."""
    text = json.dumps(translate({"Stage": stage}))
    assert [str(match) for match in lint(text, config=ManualArgs(regions=["us-east-1", "eu-central-1"]))] == []


def test_every_parameter_has_a_default(template: dict[str, Any]) -> None:
    """`sam deploy --guided` asks for nothing that a newcomer could not know."""
    assert all("Default" in parameter for parameter in template["Parameters"].values())


def test_bucket_is_versioned_encrypted_private_and_tls_only(properties: dict[str, Any]) -> None:
    bucket = properties["RunsBucket"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (statement,) = properties["RunsBucketPolicy"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_bucket_notifies_the_queue_of_metadata_only(properties: dict[str, Any]) -> None:
    assert properties["RunsBucket"]["NotificationConfiguration"] == {
        "QueueConfigurations": [
            {
                "Event": "s3:ObjectCreated:*",
                "Queue": {"Fn::GetAtt": ["UploadsQueue", "Arn"]},
                "Filter": {
                    "S3Key": {
                        "Rules": [
                            {"Name": "prefix", "Value": "runs/"},
                            {"Name": "suffix", "Value": "/metadata.json"},
                        ]
                    }
                },
            }
        ]
    }


def test_only_the_bucket_of_runs_may_send_to_the_queue(template: dict[str, Any], properties: dict[str, Any]) -> None:
    allowed = statements(properties["UploadsQueuePolicy"])["AllowRunsBucket"]
    assert allowed["Principal"] == {"Service": "s3.amazonaws.com"}
    assert allowed["Action"] == "sqs:SendMessage"
    assert allowed["Condition"] == {
        "ArnEquals": {"aws:SourceArn": {"Fn::Sub": BUCKET_ARN}},
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
    }
    assert BUCKET_ARN.endswith(properties["RunsBucket"]["BucketName"]["Fn::Sub"])
    assert template["Resources"]["RunsBucket"]["DependsOn"] == "UploadsQueuePolicy"


@pytest.mark.parametrize("queue", ["UploadsQueue", "DeadLetterQueue"])
def test_queues_are_encrypted_and_tls_only(properties: dict[str, Any], queue: str) -> None:
    assert properties[queue]["SqsManagedSseEnabled"] is True
    denied = statements(properties[f"{queue}Policy"])["DenyInsecureTransport"]
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_message_stays_hidden_for_six_times_the_functions_timeout(properties: dict[str, Any]) -> None:
    """As Lambda asks: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html."""
    assert properties["UploadsQueue"]["VisibilityTimeout"] >= 6 * properties["RecorderFunction"]["Timeout"]


def test_message_that_fails_five_times_goes_to_the_dead_letter_queue(properties: dict[str, Any]) -> None:
    assert properties["UploadsQueue"]["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]},
        "maxReceiveCount": 5,
    }
    assert properties["DeadLetterQueue"]["MessageRetentionPeriod"] == 14 * 24 * 60 * 60


def test_function_reports_partial_failures_of_its_batches(template: dict[str, Any], properties: dict[str, Any]) -> None:
    source = properties["RecorderFunctionUploads"]
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "MaximumConcurrency"}}
    assert template["Parameters"]["MaximumConcurrency"]["MinValue"] == 2


def test_table_is_kept_and_can_be_restored(template: dict[str, Any], properties: dict[str, Any]) -> None:
    assert template["Resources"]["RunsTable"]["DeletionPolicy"] == "Retain"
    assert template["Resources"]["RunsTable"]["UpdateReplacePolicy"] == "Retain"
    table = properties["RunsTable"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionProtectionEnabled"] == {"Fn::If": ["IsProduction", True, False]}


def test_function_may_do_what_it_does_and_nothing_else(properties: dict[str, Any]) -> None:
    (policy,) = properties["RecorderRole"]["Policies"]
    assert "ManagedPolicyArns" not in properties["RecorderRole"]
    assert {sid: (statement["Action"], statement["Resource"]) for sid, statement in statements(policy).items()} == {
        "ReadMetadata": (
            ["s3:GetObject", "s3:GetObjectVersion"],
            {"Fn::Sub": "${RunsBucket.Arn}/runs/*/metadata.json"},
        ),
        "ListRuns": ("s3:ListBucket", {"Fn::GetAtt": ["RunsBucket", "Arn"]}),
        "WriteRecords": (["dynamodb:GetItem", "dynamodb:UpdateItem"], {"Fn::GetAtt": ["RunsTable", "Arn"]}),
        "TakeUploads": (
            ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
            {"Fn::GetAtt": ["UploadsQueue", "Arn"]},
        ),
        "WriteLogs": (["logs:CreateLogStream", "logs:PutLogEvents"], {"Fn::GetAtt": ["RecorderLogs", "Arn"]}),
        "Trace": (["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*"),
    }


def test_logs_are_json_and_do_not_stay_for_ever(properties: dict[str, Any]) -> None:
    assert properties["RecorderFunction"]["LoggingConfig"] == {"LogFormat": "JSON", "LogGroup": {"Ref": "RecorderLogs"}}
    assert properties["RecorderLogs"]["RetentionInDays"] == {"Ref": "LogRetentionInDays"}


def test_outputs_name_what_people_look_for(template: dict[str, Any]) -> None:
    assert set(template["Outputs"]) == {
        "RunsBucket",
        "RunsTable",
        "UploadsQueue",
        "DeadLetterQueue",
        "RecorderFunction",
    }


def test_default_parameters_give_valid_settings(stack: LocalStack) -> None:
    settings = load_settings(stack.environment)
    assert not settings.development
    assert settings.output_bucket == settings.runs_bucket == stack.outputs["RunsBucket"]
    assert settings.runs_table == stack.outputs["RunsTable"]
