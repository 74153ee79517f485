"""Outcomes and the identity of a run."""

import enum
import logging
from typing import Any

import pytest

from run_recorder.domain import ObjectVersion, Outcome, Run


def test_every_outcome_has_a_metric_of_its_own() -> None:
    metrics = [outcome.metric for outcome in Outcome]
    assert all(metrics)
    assert len(set(metrics)) == len(Outcome)


def test_metrics_and_log_levels_of_the_outcomes() -> None:
    assert {outcome.value: (outcome.metric, outcome.log_level) for outcome in Outcome} == {
        "recorded": ("RunsRecorded", logging.INFO),
        "rejected": ("RunsRejected", logging.INFO),
        "pending": ("RunsPending", logging.INFO),
        "duplicate": ("DuplicateEvents", logging.INFO),
        "stale": ("StaleEvents", logging.INFO),
        "ignored": ("IgnoredEvents", logging.WARNING),
        "failed": ("FailedEvents", logging.ERROR),
    }


@pytest.mark.parametrize("outcome", Outcome)
def test_outcome_is_the_text_that_answers_and_records_hold(outcome: Outcome) -> None:
    assert outcome == outcome.value
    assert str(outcome) == outcome.value
    find_member: Any = Outcome
    assert find_member(outcome.value) is outcome


@pytest.mark.parametrize(
    "values", ["archived", ("archived",), ("archived", "RunsArchived")], ids=["value", "tuple", "no log level"]
)
def test_outcome_without_a_metric_or_a_log_level_cannot_be_made(values: Any) -> None:
    make_member = vars(Outcome)["_new_member_"]
    with pytest.raises(TypeError, match=r"missing .* required positional argument"):

        class _Outcome(enum.StrEnum):
            __new__ = make_member
            ARCHIVED = values


def test_run_states_where_its_files_are() -> None:
    run = Run("acme", "run-0001")
    assert (run.path, run.prefix) == ("acme/run-0001/", "runs/acme/run-0001/")


def test_versions_are_the_same_only_with_the_same_entity_tag() -> None:
    assert ObjectVersion("v1", "e") == ObjectVersion("v1", "e")
    assert ObjectVersion(None, "e") != ObjectVersion("v1", "e")
    assert ObjectVersion(None, "e") != ObjectVersion(None, "f")
