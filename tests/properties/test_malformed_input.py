"""Any document and any event, however malformed, end as documented.

For example, the document ``{"model": {"name": "m", "version": "1"}, "tags": {"a": 1e400}}``:

1. `tests/properties/documents.py` states from the documentation whether it is accepted: a number has at most 38
   digits and lies between 1E-130 and 9.99E+125, and a tag is a string. So it is rejected at ``/tags/a``.
2. The handler gets its event in one of the envelopes of `tests/properties/events.py`.
3. The outcome must be ``rejected``, with an error at that place, and the record must have no config.
4. An accepted document must be read back from the table exactly as it was sent.

hypothesis draws such documents, events and keys; the lists of hostile values are tried in every place.
"""

import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
from boto3.dynamodb.types import TypeSerializer
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from moto.core.responses import ActionResult

from handler.app import backfill_handler, lambda_handler
from local.samples import EVENTS, SAMPLES
from local.show import plain
from local.stack import LocalStack
from run_recorder.domain import Outcome, Run
from run_recorder.errors import UnknownEventError
from run_recorder.events import is_from_sqs, parse_messages, parse_tasks
from tests.properties.documents import check_document, comparable, read_document
from tests.properties.events import check_key, check_text, run_of
from tests.properties.mutation import NAMES, PIECES, VALUES, Object, Token, replace_each, spoil, spoil_values, write
from tests.support.documents import GOOD, document
from tests.support.events import (
    Event,
    batch_event,
    batch_task,
    eventbridge_event,
    notification,
    s3_record,
    sns_body,
    sns_event,
    sqs_event,
    sqs_record,
)
from tests.support.fake_aws import fake_aws
from tests.support.fake_s3 import ANY_VERSION, FakeS3
from tests.support.fake_table import Item
from tests.support.names import KEY, RUN

BUCKET = "run-recorder-runs-123456789012-us-east-1"  # the one that the sample events name
OBJECTS = {
    path.relative_to(EVENTS / "objects").as_posix(): path.read_bytes() for path in (EVENTS / "objects").rglob("*.*")
}
EVENT_TEXTS = [path.read_text() for path in SAMPLES]
FULL_DOCUMENT = """{
    "schema_version": 1, "organisation_id": "acme", "run_id": "run-0001", "name": "n", "created_by": "é",
    "created_at": "2026-11-20T08:30:00Z", "model": {"name": "m", "version": "1"}, "tags": {"k": "v"},
    "parameters": {"a": [1, 2.50, null, true, {"b": -1e-7}]}, "files": [{"path": "a/b", "size": 0}, {"path": "…"}]
}"""
CONTROL = Run("control", "run")

chance = st.randoms(use_true_random=False)
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,45})(\.[0-9]{1,45})?([eE][+-]?[0-9]{1,4})?", fullmatch=True).map(Token)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda members: st.lists(members) | st.lists(st.tuples(st.text(max_size=3), members).map(list)).map(Object),
    max_leaves=8,
)
documents = {
    "spoilt": (20, st.builds(spoil, st.sampled_from([FULL_DOCUMENT, "{}"]), chance)),
    "of any values": (4, values.map(lambda value: write(Object([["parameters", Object([["p", value]])]])).encode())),
    "of any bytes": (2, st.binary()),
}
events = st.builds(spoil, st.sampled_from(EVENT_TEXTS), chance).map(lambda body: body.decode("utf-8", "replace"))
ids = st.lists(st.sampled_from(["A", "1", ".", "_", ":", "=", "@", "~", "-", "x" * 127]), min_size=1).map("".join)
parts = st.lists(st.sampled_from(["/", "A", *(piece for piece in PIECES if piece != "\ud800")])).map("".join)
keys = (
    st.text(max_size=50)
    | parts
    | st.builds("runs/{}/{}/metadata.json".format, ids, ids | parts | st.lists(ids, max_size=3).map("/".join))
    | st.builds("runs/{}/{}/metadata.json{}".format, ids, ids, st.sampled_from(["", "\n", " ", "/", "%0A", "\0"]))
)


@pytest.fixture(autouse=True)
def sample_bucket(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RUNS_BUCKET", BUCKET)


@pytest.fixture
def try_all(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Check many examples of a strategy, and record how many there were."""

    def try_all(name: str, strategy: st.SearchStrategy[Any], check: Callable[[Any], object], times: int = 1) -> None:
        tried = 0

        @settings(max_examples=times * settings().max_examples)
        @given(strategy)
        def try_one(example: Any) -> None:
            nonlocal tried
            tried += 1
            check(example)

        try_one()
        record_property(name, tried)

    return try_all


@pytest.mark.parametrize(("times", "strategy"), documents.values(), ids=documents)
def test_document_is_accepted_only_if_it_should_be_and_then_kept_exactly(
    try_all: Callable[..., None], times: int, strategy: st.SearchStrategy[bytes]
) -> None:
    try_all("hostile documents", strategy, check_document, times)


def test_every_hostile_value_alone_is_judged_in_every_place(record_property: Callable[[str, object], None]) -> None:
    hostile = [*replace_each(FULL_DOCUMENT), *(write(Object([[name, "a"]])) for name in NAMES)]
    for text in hostile:
        check_document(text.encode())
    record_property("hostile documents", len(hostile))


def test_every_hostile_value_alone_is_taken_or_refused_in_every_place_of_an_event(
    record_property: Callable[[str, object], None],
) -> None:
    encoded = "runs%2Facme/run-0001/metadata.json"
    by_s3 = notification(s3_record(encoded, versionId="v", sequencer="1"))
    envelopes: list[Event] = [
        sqs_event(by_s3), sqs_event(sns_body(by_s3)), sns_event(by_s3), eventbridge_event(KEY),
        batch_event(batch_task(encoded)),
    ]  # fmt: skip
    hostile = [text for event in envelopes for text in replace_each(json.dumps(event))]
    for text in hostile:
        check_text(text)
    for value in VALUES:
        check_text(write(value))
    record_property("hostile events", len(hostile) + len(VALUES))


def test_event_names_only_what_stands_in_it(try_all: Callable[..., None]) -> None:
    try_all("hostile events", events, check_text, times=10)


def test_key_is_decoded_as_its_envelope_demands(try_all: Callable[..., None]) -> None:
    try_all("hostile keys", keys, check_key, times=5)
    check_key("".join(map(chr, range(0x300))))


def test_hostile_events_and_documents_together_end_as_documented(try_all: Callable[..., None]) -> None:
    def make(text: str, random: Random) -> tuple[str, dict[str, bytes]]:
        objects = {
            key: spoil(body.decode(), random) if key.endswith("/metadata.json") else body
            for key, body in OBJECTS.items()
        }
        without_etags = re.sub("eTag|etag", "tag", text)  # of other documents, so that reading these would fail
        return spoil_values(without_etags, random), objects

    try_all(
        "hostile invocations",
        st.builds(make, st.sampled_from(EVENT_TEXTS), chance),
        lambda example: check_invocation(*example),
        times=4,
    )


def check_invocation(text: str, objects: dict[str, bytes]) -> None:
    """Both functions answer an event as documented, and record just what is in the bucket."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        reject()  # no event that Lambda could deliver
    is_sqs = is_from_sqs(event)
    if is_sqs:
        event["Records"].append(sqs_record(notification(s3_record(CONTROL.prefix + "metadata.json")), "control"))
    objects[CONTROL.prefix + "metadata.json"] = GOOD
    output, complaints = io.StringIO(), io.StringIO()
    s3 = FakeS3(BUCKET)
    for key, body in objects.items():
        s3.put(body, ANY_VERSION, key=key)
    with fake_aws(s3) as table, redirect_stdout(output), redirect_stderr(complaints):
        answer = check_answer(event)
        check_backfill_answer(event)
    assert complaints.getvalue() == ""
    for line in output.getvalue().splitlines():
        json.loads(line)
    for run, item in table.items.items():
        check_record(run, item, objects)
    assert (CONTROL in table.items) is (is_sqs and answer is not None)


def check_answer(event: Any) -> Any:
    try:
        answer = lambda_handler(event, None)
    except UnknownEventError:
        assert not is_from_sqs(event) or not all(map(is_message, event["Records"]))
        return None
    if "batchItemFailures" in answer:
        refused = [message.item_id for message in parse_messages(event) if message.error]
        assert answer == {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in refused]}
    else:
        assert {outcome["outcome"] for outcome in answer["outcomes"]} <= set(Outcome)
        json.dumps(answer, ensure_ascii=False).encode()  # as Lambda's runtime does
    return answer


def is_message(record: Any) -> bool:
    return (
        isinstance(record, dict) and record.get("eventSource") == "aws:sqs" and isinstance(record.get("messageId"), str)
    )


def check_backfill_answer(event: Any) -> None:
    try:
        results = backfill_handler(event, None)["results"]
    except UnknownEventError:
        return
    expected = [(task.item_id, "PermanentFailure" if task.error else "Succeeded") for task in parse_tasks(event)]
    assert [(result["taskId"], result["resultCode"]) for result in results] == expected


def check_record(run: Run, item: Item, objects: dict[str, bytes]) -> None:
    record = plain(item)
    assert run_of(record["key"]) == run
    expected_document = read_document(objects[record["key"]], run)
    if record["status"] == "recorded":
        assert expected_document is not None
        expected = TypeSerializer().serialize(expected_document.get("parameters", {}))
        assert comparable(item["config"]["M"]["parameters"]) == comparable(expected)
        assert record["config"]["input"] == f"s3://{BUCKET}/{run.prefix}"
        assert record["config"]["output"].endswith(f"/results/{run.path}")
    else:
        assert record["status"] == "rejected"
        assert 1 <= len(record["errors"]) <= 20
        assert "config" not in record


@pytest.fixture
def encoded_start_after(environment: pytest.MonkeyPatch) -> None:
    """Answers to LIST requests that state their StartAfter in URL encoding, as S3 does and moto does not."""

    def encode_start_after(result: Any) -> Any:
        if isinstance(result, dict) and "StartAfter" in result:
            result = {**result, "StartAfter": quote(result["StartAfter"])}
        return ActionResult(result)

    environment.setattr("moto.s3.responses.ActionResult", encode_start_after)


@pytest.mark.usefixtures("encoded_start_after")
def test_files_are_found_whatever_bytes_their_keys_have(
    stack: LocalStack, put_metadata: Callable[..., dict[str, str]], notify: Callable[..., dict[str, Any]]
) -> None:
    paths = ["".join(map(chr, range(start, start + 0x60))) for start in (0x01, 0x61, 0xC1, 0x7FF, 0xFFA0, 0x1F600)]
    paths = [path.replace("/", "") for path in paths]
    for path in paths:
        stack.upload("runs/acme/run-0001/" + path, b"")
    body = document(files=[{"path": path, "size": 0} for path in paths])
    assert notify(sequencer="1", **put_metadata(body)).get("errors") is None


def test_what_is_accepted_is_read_from_the_table_as_it_was_sent(
    stack: LocalStack, put_metadata: Callable[..., dict[str, str]], notify: Callable[..., dict[str, Any]]
) -> None:
    kept = [value for value in map(write, VALUES) if check_document(b'{"parameters": {"a": %s}}' % value.encode())]
    body = GOOD[:-1] + f', "parameters": {{"a": [{",".join(kept)}]}}}}'.encode()
    assert notify(sequencer="1", **put_metadata(body))["outcome"] == "recorded"
    (item,) = stack.records()
    expected_document = read_document(body, RUN)
    assert expected_document is not None
    expected = TypeSerializer().serialize(expected_document["parameters"])
    assert comparable(item["config"]["M"]["parameters"]) == comparable(expected)
