"""The template, translated to CloudFormation."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from handler.app import lambda_handler
from local.stack import LocalStack
from local.template import translate
from run_recorder.cli.backfill import REPORT_PREFIX
from run_recorder.config import load_settings
from tests.support.resolution import evaluate, resolve, statements

BUCKET_ARN = "arn:${AWS::Partition}:s3:::${AWS::StackName}-runs-${AWS::AccountId}-${AWS::Region}"
RECORDS_ARN = {"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${ExistingRunsTable}"}
FIRST_RELEASE = Path(__file__).with_name("template-1.0.0.yaml")
EXISTING = {"ExistingRunsBucket": "legacy"}
EXISTING_TABLE = {
    "ExistingRunsTable": "records",
    "ExistingRunsTableStreamArn": "arn:aws:dynamodb:us-east-1:123456789012:table/records/stream/2026-11-20",
}
MODES = {
    "own bucket and table": {},
    "existing bucket": EXISTING,
    "existing table": EXISTING_TABLE,
    "existing bucket and table": EXISTING | EXISTING_TABLE,
}


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return translate({})


@pytest.fixture(scope="module")
def properties(resources: dict[str, Any]) -> dict[str, Any]:
    return {name: resource["Properties"] for name, resource in resources.items()}


@pytest.fixture(scope="module", params=list(MODES.values()), ids=list(MODES))
def each_mode(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {name: resource["Properties"] for name, resource in resolve(request.param).items()}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("stage", ["production", "development"])
def test_translated_template_has_no_lint(stage: str, mode: dict[str, str]) -> None:
    """`sam validate --lint` misses cycles, bad runtimes and bad time-outs."""
    text = json.dumps(translate({"Stage": stage, **mode}))
    assert [str(match) for match in lint(text, config=ManualArgs(regions=["us-east-1", "eu-central-1"]))] == []


def test_every_parameter_has_a_default(template: dict[str, Any]) -> None:
    """`sam deploy --guided` can be answered with defaults only."""
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


def test_only_the_bucket_of_runs_may_send_to_the_queue(resources: dict[str, Any], properties: dict[str, Any]) -> None:
    policy = statements(properties["UploadsQueuePolicy"])
    assert policy.keys() == {"AllowRunsBucket", "DenyInsecureTransport"}
    allowed = policy["AllowRunsBucket"]
    assert allowed["Principal"] == {"Service": "s3.amazonaws.com"}
    assert allowed["Action"] == "sqs:SendMessage"
    assert allowed["Condition"] == {
        "ArnEquals": {"aws:SourceArn": {"Fn::Sub": BUCKET_ARN}},
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
    }
    assert BUCKET_ARN.endswith(properties["RunsBucket"]["BucketName"]["Fn::Sub"])
    assert resources["RunsBucket"]["DependsOn"] == "UploadsQueuePolicy"
    assert statements(properties["DeadLetterQueuePolicy"]).keys() == {"DenyInsecureTransport"}


def test_existing_bucket_is_listened_to_and_not_touched() -> None:
    resources = resolve(EXISTING)
    assert not [name for name, resource in resources.items() if resource["Type"].startswith("AWS::S3::")]
    assert "UploadsRule" not in resolve({})
    rule = resources["UploadsRule"]["Properties"]
    assert rule["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": ["legacy"]}, "object": {"key": [{"wildcard": "runs/*/*/metadata.json"}]}},
    }
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["UploadsQueue", "Arn"]}
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}}


@pytest.mark.parametrize(
    ("queue", "others"), [("UploadsQueue", {"AllowRunsBucket"}), ("DeadLetterQueue", set())], ids=str
)
def test_only_the_rule_and_the_bucket_of_the_stack_may_send_for_an_existing_bucket(
    queue: str, others: set[str]
) -> None:
    """The bucket that the stack created earlier can still send notifications, which must reach the log."""
    policy = statements(resolve(EXISTING)[f"{queue}Policy"]["Properties"])
    assert policy.keys() == {"AllowUploadsRule", "DenyInsecureTransport"} | others
    allowed = policy["AllowUploadsRule"]
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    assert allowed["Resource"] == {"Fn::GetAtt": [queue, "Arn"]}
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["UploadsRule", "Arn"]}}}


def test_key_of_an_existing_bucket_may_decrypt_and_no_other() -> None:
    assert "DecryptionPolicy" not in resolve(EXISTING)
    assert "DecryptionPolicy" not in resolve({"ExistingRunsBucketKeyArn": "arn:key"})
    policy = resolve({**EXISTING, "ExistingRunsBucketKeyArn": "arn:key"})["DecryptionPolicy"]["Properties"]
    assert statements(policy) == {
        "Decrypt": {"Sid": "Decrypt", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": "arn:key"}
    }
    assert policy["Roles"] == [{"Ref": "RecorderRole"}, {"Ref": "BackfillRole"}]


@pytest.mark.parametrize(("mode", "bucket"), [({}, {"Ref": "RunsBucket"}), (EXISTING, "legacy")])
def test_functions_and_policies_name_the_same_bucket(mode: dict[str, str], bucket: Any) -> None:
    resources = resolve(mode)
    for function in ("RecorderFunction", "BackfillFunction"):
        variables = resources[function]["Properties"]["Environment"]["Variables"]
        assert variables["RUNS_BUCKET"] == variables["OUTPUT_BUCKET"] == bucket
    policies = [resources["RecordingPolicy"]["Properties"], *resources["BatchOperationsRole"]["Properties"]["Policies"]]
    named = [
        statement["Resource"]["Fn::Sub"][1]["Bucket"]
        for policy in policies
        for statement in policy["PolicyDocument"]["Statement"]
        if "Fn::Sub" in statement["Resource"]
    ]
    assert named == [bucket] * 5


@pytest.mark.parametrize("queue", ["UploadsQueue", "DeadLetterQueue", "UndeliveredEventsQueue"])
def test_queues_are_encrypted_and_tls_only(each_mode: dict[str, Any], queue: str) -> None:
    assert each_mode[queue]["SqsManagedSseEnabled"] is True
    denied = statements(each_mode[f"{queue}Policy"])["DenyInsecureTransport"]
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_message_stays_hidden_for_six_times_the_functions_timeout(each_mode: dict[str, Any]) -> None:
    """As AWS recommends: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html."""
    assert each_mode["UploadsQueue"]["VisibilityTimeout"] >= 6 * each_mode["RecorderFunction"]["Timeout"]


def test_message_that_fails_five_times_goes_to_the_dead_letter_queue(each_mode: dict[str, Any]) -> None:
    assert each_mode["UploadsQueue"]["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]},
        "maxReceiveCount": 5,
    }
    assert each_mode["DeadLetterQueue"]["MessageRetentionPeriod"] == 14 * 24 * 60 * 60


def test_function_reports_partial_failures_of_its_batches(template: dict[str, Any], properties: dict[str, Any]) -> None:
    source = properties["RecorderFunctionUploads"]
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["BatchSize"] == 10
    assert "MaximumBatchingWindowInSeconds" not in source  # a lone run does not wait
    assert source["ScalingConfig"] == {"MaximumConcurrency": 50}
    assert template["Parameters"]["MaximumConcurrency"]["MinValue"] == 2


def test_existing_table_replaces_that_of_the_stack_and_nothing_else(resources: dict[str, Any]) -> None:
    existing = resolve(EXISTING_TABLE)
    assert resources.keys() - existing.keys() == {"RunsTable"}
    assert existing.keys() <= resources.keys()
    stream = EXISTING_TABLE["ExistingRunsTableStreamArn"]
    for pipe in ("RunRecordedPipe", "RunRejectedPipe"):
        properties = existing[pipe]["Properties"]
        assert properties["Source"] == stream
        assert properties["TargetParameters"]["EventBridgeEventBusParameters"]["Resources"] == [RECORDS_ARN]
    policy = existing["EventsRole"]["Properties"]["Policies"][0]
    assert statements(policy)["ReadStream"]["Resource"] == stream
    assert not re.search(r"'RunsTable'|\bRunsTable\.", str(existing))


@pytest.mark.parametrize(
    ("parameters", "broken"),
    [
        ({}, []),
        ({"ExistingRunsTable": "records", "PublishEvents": "false"}, []),
        (EXISTING_TABLE, []),
        ({"ExistingRunsTable": "records"}, ["EventsNeedAStream"]),
        ({"ExistingRunsTableStreamArn": "arn"}, ["StreamBelongsToATable"]),
    ],
    ids=["neither", "no events", "both", "table without a stream", "stream without a table"],
)
def test_rules_refuse_a_table_whose_stream_the_pipes_cannot_read(
    template: dict[str, Any], parameters: dict[str, str], broken: list[str]
) -> None:
    defaults = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}

    def holds(condition: Any) -> bool:
        return bool(evaluate(condition, {}, defaults | parameters))

    assert broken == [
        name
        for name, rule in template["Rules"].items()
        if holds(rule["RuleCondition"]) and not all(holds(each["Assert"]) for each in rule["Assertions"])
    ]


@pytest.mark.parametrize(
    ("resource", "policy"),
    [
        ("RunsBucket", ("RetainExceptOnCreate", "Retain")),
        ("RunsBucketPolicy", ("RetainExceptOnCreate", "Retain")),
        ("RunsTable", ("Retain", "Retain")),
        ("RecorderLogs", ("Delete", "Delete")),
    ],
)
def test_data_outlives_the_stack_and_a_failed_first_deployment_can_be_repeated(
    resources: dict[str, Any], resource: str, policy: tuple[str, str]
) -> None:
    """The bucket has a fixed name, which a failed first deployment must not leave taken."""
    stated = resources[resource]
    assert (stated["DeletionPolicy"], stated["UpdateReplacePolicy"]) == policy


def test_no_other_resource_outlives_the_stack(resources: dict[str, Any]) -> None:
    retained = {
        name for name, resource in resources.items() if resource.get("DeletionPolicy", "Delete").startswith("Retain")
    }
    assert retained == {"RunsBucket", "RunsBucketPolicy", "RunsTable"}


def find_lost(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Return the resources that an update removes or replaces, by the properties that AWS cannot change in place."""

    def is_replaced(name: str) -> bool:
        old, new = before[name], after[name]
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", new["Type"]).schema
        paths = [path.split("/")[2:] for path in schema.get("createOnlyProperties", [])]
        return old["Type"] != new["Type"] or any(
            find_value(old["Properties"], path) != find_value(new["Properties"], path) for path in paths
        )

    return {name for name in before if name not in after or is_replaced(name)}


def find_value(properties: Any, path: list[str]) -> Any:
    for name in path:
        properties = properties.get(name, {})
    return properties


HOLDS_DATA = {"AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue"}


@pytest.mark.parametrize("mode", [{}, EXISTING], ids=["own bucket", "existing bucket"])
@pytest.mark.parametrize("stage", ["production", "development"])
def test_upgrade_from_1_0_0_and_the_way_back_replace_nothing_that_holds_data(stage: str, mode: dict[str, str]) -> None:
    parameters = {"Stage": stage, **mode}
    old, new = resolve(parameters, FIRST_RELEASE), resolve(parameters)
    for before, after in ((old, new), (new, old)):
        lost = find_lost(before, after)
        assert not {before[name]["Type"] for name in lost} & HOLDS_DATA
    assert find_lost(old, new) == {"RecordingPolicy"}  # by one with another description


def test_replacement_and_removal_are_found() -> None:
    resources = resolve({})
    table = {**resources["RunsTable"], "Properties": {**resources["RunsTable"]["Properties"], "TableName": "other"}}
    assert find_lost(resources, {**resources, "RunsTable": table}) == {"RunsTable"}
    assert find_lost(resources, {name: resources[name] for name in resources if name != "UploadsQueue"}) == {
        "UploadsQueue"
    }


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ({}, EXISTING, {"RunsBucket", "RunsBucketPolicy"}),
        ({}, EXISTING_TABLE, {"RunsTable", "RunRecordedPipe", "RunRejectedPipe"}),
        (EXISTING, {}, {"UploadsRule"}),
    ],
    ids=["own to existing bucket", "own to existing table", "existing to own bucket"],
)
def test_change_of_the_bucket_or_the_table_takes_away_what_it_replaces_alone(
    before: dict[str, str], after: dict[str, str], lost: set[str]
) -> None:
    """Resources with data are retained by the policies that are tested above."""
    assert find_lost(resolve(before), resolve(after)) == lost


def test_table_is_kept_and_can_be_restored(resources: dict[str, Any]) -> None:
    table = resources["RunsTable"]["Properties"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionProtectionEnabled"] is True
    development = resolve({"Stage": "development"})["RunsTable"]["Properties"]
    assert development["DeletionProtectionEnabled"] is False


def test_index_gives_the_newest_runs_of_an_organisation(stack: LocalStack) -> None:
    for path in ("acme/a", "acme/b", "globex/c", "acme/d", "acme/b"):
        stack.upload(f"runs/{path}/metadata.json", b'{"name": "n", "model": {"name": "m", "version": "1"}}')
        while stack.deliver(lambda_handler):
            pass
    items = stack.dynamodb.query(
        TableName=stack.outputs["RunsTable"],
        IndexName="NewestRuns",
        KeyConditionExpression="organisation_id = :organisation_id",
        ExpressionAttributeValues={":organisation_id": {"S": "acme"}},
        ScanIndexForward=False,
    )["Items"]
    assert [item["run_id"]["S"] for item in items] == ["b", "d", "a"]
    attributes = {"organisation_id", "run_id", "recorded_at", "status", "name", "uploaded_at"}
    assert all(item.keys() == attributes for item in items)


def test_functions_may_do_what_they_do_and_nothing_else(each_mode: dict[str, Any]) -> None:
    allowed = statements(each_mode["RecordingPolicy"])
    assert {sid: statement["Action"] for sid, statement in allowed.items()} == {
        "ReadMetadata": ["s3:GetObject", "s3:GetObjectVersion"],
        "ListRuns": "s3:ListBucket",
        "ListVersions": "s3:ListBucketVersions",
        "WriteRecords": ["dynamodb:GetItem", "dynamodb:UpdateItem"],
        "WriteLogs": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Trace": ["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
    }
    assert allowed["ReadMetadata"]["Resource"]["Fn::Sub"][0].endswith("/runs/*/metadata.json")
    assert allowed["ListRuns"]["Resource"]["Fn::Sub"][0].endswith(":::${Bucket}")
    assert allowed["ListRuns"]["Condition"] == {"StringLikeIfExists": {"s3:prefix": "runs/*"}}
    assert allowed["ListVersions"]["Resource"]["Fn::Sub"][0].endswith(":::${Bucket}")
    assert allowed["ListVersions"]["Condition"] == {"StringLike": {"s3:prefix": "runs/*"}}
    is_own = "RunsTable" in each_mode
    assert allowed["WriteRecords"]["Resource"] == ({"Fn::GetAtt": ["RunsTable", "Arn"]} if is_own else RECORDS_ARN)
    for function in ("RecorderFunction", "BackfillFunction"):
        variables = each_mode[function]["Environment"]["Variables"]
        assert variables["RUNS_TABLE"] == ({"Ref": "RunsTable"} if is_own else "records")
    assert allowed["WriteLogs"]["Resource"] == {"Fn::GetAtt": ["RecorderLogs", "Arn"]}
    for role in ("RecorderRole", "BackfillRole"):
        assert each_mode[role]["ManagedPolicyArns"] == [{"Ref": "RecordingPolicy"}]
    assert "Policies" not in each_mode["BackfillRole"]
    (queue_policy,) = each_mode["RecorderRole"]["Policies"]
    assert statements(queue_policy) == {
        "TakeUploads": {
            "Sid": "TakeUploads",
            "Effect": "Allow",
            "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
            "Resource": {"Fn::GetAtt": ["UploadsQueue", "Arn"]},
        },
        "PutBackUploads": {
            "Sid": "PutBackUploads",
            "Effect": "Allow",
            "Action": "sqs:SendMessage",
            "Resource": {"Fn::GetAtt": ["UploadsQueue", "Arn"]},
        },
    }


def test_batch_operations_may_list_invoke_and_report(each_mode: dict[str, Any]) -> None:
    role = each_mode["BatchOperationsRole"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "batchoperations.s3.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    (policy,) = role["Policies"]
    assert {sid: statement["Action"] for sid, statement in statements(policy).items()} == {
        "Record": "lambda:InvokeFunction",
        "GenerateManifest": "s3:PutInventoryConfiguration",
        "Report": "s3:PutObject",
    }
    assert statements(policy)["Report"]["Resource"]["Fn::Sub"][0].endswith(f"/{REPORT_PREFIX}/*")


def test_both_functions_run_the_same_code_alike(each_mode: dict[str, Any]) -> None:
    recorder, backfill = dict(each_mode["RecorderFunction"]), dict(each_mode["BackfillFunction"])
    assert (recorder.pop("Handler"), backfill.pop("Handler")) == (
        "handler.app.lambda_handler",
        "handler.app.backfill_handler",
    )
    for function in (recorder, backfill):
        del function["Role"], function["Description"]
    variables = dict(recorder["Environment"]["Variables"])
    assert variables.pop("UPLOADS_QUEUE_URL") == {"Ref": "UploadsQueue"}
    recorder["Environment"] = {"Variables": variables}
    assert recorder.pop("RecursiveLoop") == "Allow"
    assert recorder == backfill


def test_logs_are_json_and_do_not_stay_for_ever(each_mode: dict[str, Any]) -> None:
    for function in ("RecorderFunction", "BackfillFunction"):
        assert each_mode[function]["LoggingConfig"] == {"LogFormat": "JSON", "LogGroup": {"Ref": "RecorderLogs"}}
    assert each_mode["RecorderLogs"]["RetentionInDays"] == 90


def test_outputs_name_what_people_look_for(template: dict[str, Any]) -> None:
    assert set(template["Outputs"]) == {
        "RunsBucket",
        "RunsTable",
        "UploadsQueue",
        "DeadLetterQueue",
        "RecorderFunction",
        "BackfillFunction",
        "BatchOperationsRole",
        "UndeliveredEventsQueue",
        "Dashboard",
    }


def test_metrics_of_the_stacks_of_an_account_are_kept_apart(each_mode: dict[str, Any]) -> None:
    variables = each_mode["RecorderFunction"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}


def test_default_parameters_give_valid_settings(stack: LocalStack) -> None:
    settings = load_settings(stack.environment)
    assert not settings.development
    assert settings.output_bucket == settings.runs_bucket == stack.outputs["RunsBucket"]
    assert settings.runs_table == stack.outputs["RunsTable"]
