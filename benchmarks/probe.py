"""Measure a handler in its own process, with its package on the path.

Imports little, because imports are part of the measurement. Reads the task as JSON from standard input, and prints
the figures as JSON. A handler is named ``module:function``.
"""

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

Handler = Callable[[dict[str, Any], object], Any]


class Context:
    """The part of Lambda's context that the handlers use."""

    function_name = "recorder"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:recorder"
    aws_request_id = "5c24a0c6-4a1c-4a0b-8d1f-1e5f3f0f6b5e"

    def get_remaining_time_in_millis(self) -> int:
        """Return one minute."""
        return 60_000


def load(name: str) -> Handler:
    """Return the handler of this name; it raises an error for a failed message, which would take too little time."""
    module, _, function = name.partition(":")
    handler: Handler = getattr(importlib.import_module(module), function)

    def handle(event: dict[str, Any], context: object) -> None:
        answer = handler(event, context)
        if answer and answer["batchItemFailures"]:
            raise RuntimeError(f"{name} answered {answer}")

    return handle


def use_one_cpu() -> None:
    """Let this process run on one CPU only, if the system can do that.

    Without the time that AWS takes to answer, threads would exchange the interpreter between CPUs all the time, which
    takes up to a fifth of their CPU time.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])


def start(handler: str, event: dict[str, Any]) -> dict[str, float]:
    """Return the CPU seconds of this process until it is ready for an event, and through its first event.

    The start of the interpreter is included.
    """
    handle = load(handler)
    ready = time.process_time()
    handle(event, Context())
    return {"ready": ready, "first": time.process_time()}


def repeat(handlers: list[str], blocks: list[list[dict[str, Any]]], clock: str) -> list[list[float]]:
    """Return the seconds of each handler for each block of events, by ``clock`` of the module ``time``.

    All handlers handle a block before any of them handles the next one. The order of the handlers is reversed with
    each block.

    The process runs on one CPU, as in `use_one_cpu`: a function of 512 MB has the time of 0.29 vCPU.
    """
    use_one_cpu()
    now = getattr(time, clock)
    loaded = [load(handler) for handler in handlers]
    seconds: list[list[float]] = [[] for _ in loaded]
    turn = list(zip(loaded, seconds, strict=True))
    for events in blocks:
        for handle, taken in turn:
            before = now()
            for event in events:
                handle(event, Context())
            taken.append(now() - before)
        turn.reverse()
    return seconds


def grow(handler: str, idle: dict[str, Any], event: dict[str, Any]) -> dict[str, float]:
    """Return the peak resident memory of this process in bytes: after the event ``idle``, and after ``event``."""
    unit = 1 if sys.platform == "darwin" else 1024
    handle = load(handler)
    handle(idle, Context())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    handle(event, Context())
    return {"idle": before, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}


if __name__ == "__main__":
    task = json.load(sys.stdin)
    measures: dict[str, Callable[..., object]] = {"start": start, "repeat": repeat, "grow": grow}
    figures = measures[task.pop("measure")](**task)
    print(json.dumps(figures), file=sys.stderr, flush=True)
    os._exit(0)  # exit handlers are not measured
