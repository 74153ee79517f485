"""The lines of the log are those of Powertools."""

import logging
import sys
from typing import Any

import pytest
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from handler.log import make_logger

LOGGER = make_logger("recorder")
FIELDS = {"outcome": "failed", "key": "runs/ä/\N{SNOWMAN}", "attempt": 2, "cold_start": False}


def record(level: int = logging.INFO, error: BaseException | None = None) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("name", level, __file__, 1, "Run upload handled: 100 %", (), exc_info)


def format_here(line: logging.LogRecord, fields: dict[str, Any]) -> str:
    line.fields = fields
    return LOGGER.registered_formatter.format(line)


def format_by_powertools(line: logging.LogRecord, fields: dict[str, Any]) -> str:
    vars(line).update(fields)
    return LambdaPowertoolsFormatter(service="recorder", location=None).format(line)


@pytest.mark.parametrize("trace", ["", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"])
@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_line_is_that_of_powertools(monkeypatch: pytest.MonkeyPatch, trace: str, level: int) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
    line = record(level)
    line.created, line.msecs = 1_795_163_400.25, 250.0
    same = logging.makeLogRecord(vars(line))
    assert format_here(line, FIELDS) == format_by_powertools(same, FIELDS)
    assert ("xray_trace_id" in format_by_powertools(record(level), FIELDS)) == bool(trace)


def test_line_of_an_exception_is_that_of_powertools() -> None:
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        error = sys.exception()
    line = record(logging.ERROR, error)
    same = logging.makeLogRecord(vars(line))
    expected = format_by_powertools(same, FIELDS)
    assert "stack_trace" in expected
    assert format_here(line, FIELDS) == expected
