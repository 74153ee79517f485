"""The outcomes, each with all that belongs to it."""

import logging

from handler.domain import Outcome


def test_each_outcome_has_a_metric_of_its_own_and_a_log_level() -> None:
    assert {outcome.value: (outcome.metric, logging.getLevelName(outcome.log_level)) for outcome in Outcome} == {
        "recorded": ("RunsRecorded", "INFO"),
        "rejected": ("RunsRejected", "INFO"),
        "duplicate": ("DuplicateEvents", "INFO"),
        "stale": ("StaleEvents", "INFO"),
        "ignored": ("IgnoredEvents", "WARNING"),
        "failed": ("FailedEvents", "ERROR"),
    }


def test_outcome_is_found_by_its_text() -> None:
    assert Outcome("stale") is Outcome.STALE
    assert f"{Outcome.STALE}" == "stale"
