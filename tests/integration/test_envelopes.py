"""An upload gets the same record in whichever envelope its event arrives."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from handler.app import backfill_handler, lambda_handler
from local.invoke import choose_handler
from local.samples import SAMPLES
from local.show import plain
from local.stack import LocalStack
from tests.support import events
from tests.support.documents import GOOD
from tests.support.events import (
    NO_S3_EVENT,
    Event,
    batch_event,
    batch_task,
    name_envelope,
    notification,
    sns_body,
    sns_event,
    sqs_event,
)
from tests.support.names import key_of

RUN_ID = "2026-11-20T08:30+01:00=a@b~c_d"
KEY = key_of(RUN_ID)
SEQUENCER = "0055AED6DCD90281E5"


@pytest.fixture
def uploaded(put_metadata: Callable[..., dict[str, str]]) -> dict[str, str]:
    """What an S3 notification says of an upload whose key has to be encoded."""
    return put_metadata(GOOD, KEY)


@pytest.fixture
def s3_notification(uploaded: dict[str, str]) -> Event:
    return notification(events.s3_record(quote_plus(KEY, safe="/"), sequencer=SEQUENCER, **uploaded))


@pytest.fixture
def eventbridge_event(uploaded: dict[str, str]) -> Event:
    """The event of EventBridge, which spells sequencers in another way."""
    sequencer = SEQUENCER.lower().removeprefix("00")
    return events.eventbridge_event(KEY, etag=uploaded["eTag"], version_id=uploaded["versionId"], sequencer=sequencer)


def back_fill(encode: Callable[[str], str]) -> dict[str, Any]:
    """Hand a task of S3 Batch Operations to the function, with the key in one of S3's encodings; return the answer."""
    return backfill_handler(batch_event(batch_task(encode(KEY), schema="1.0"), schema="1.0"), None)


def test_every_envelope_ends_in_the_same_record(
    stack: LocalStack, s3_notification: Event, eventbridge_event: Event
) -> None:
    delivered = [
        s3_notification,
        sqs_event(s3_notification),
        sns_event(s3_notification),
        sqs_event(sns_body(s3_notification)),
        eventbridge_event,
        sqs_event(eventbridge_event),
    ]
    envelopes = {name_envelope(event): event for event in delivered}
    samples = [json.loads(sample.read_text()) for sample in SAMPLES]
    assert envelopes.keys() == {
        name_envelope(event) for event in samples if choose_handler(event) is lambda_handler
    } - {NO_S3_EVENT}
    records = {}
    for envelope, event in envelopes.items():
        lambda_handler(event, None)
        (item,) = stack.records()
        record = plain(item)
        del record["recorded_at"], record["first_recorded_at"]
        records[envelope] = record
        stack.delete_records()
    expected = records["S3 notification"]
    assert (expected["organisation_id"], expected["run_id"]) == ("acme", RUN_ID)
    assert expected["sequencer"] == SEQUENCER.rjust(32, "0")
    assert records == dict.fromkeys(envelopes, expected)

    for encode in (quote, quote_plus):
        back_fill(encode)
        unsequenced = plain(stack.records()[0])
        assert "sequencer" not in unsequenced
        assert unsequenced["config"] == expected["config"]
        assert unsequenced["version_id"] == expected["version_id"]


@pytest.mark.usefixtures("stack")
def test_same_upload_in_two_envelopes_is_a_duplicate(s3_notification: Event, eventbridge_event: Event) -> None:
    assert lambda_handler(eventbridge_event, None)["outcomes"][0]["outcome"] == "recorded"
    assert lambda_handler(s3_notification, None)["outcomes"][0]["outcome"] == "duplicate"
    assert back_fill(quote)["results"][0]["resultString"] == "duplicate"
