"""What a key says of a run, and what a sequencer says of the order of a key's uploads."""

import re

from run_recorder.domain import Run

_ID = r"[A-Za-z0-9][A-Za-z0-9._:=@+~-]{0,127}"
_METADATA_KEY = re.compile(rf"runs/({_ID})/({_ID})/metadata\.json")
_SEQUENCER = re.compile(r"[0-9A-Fa-f]{1,32}")


def parse_key(key: str) -> Run | None:
    """The run that a decoded object key completes; None for any other key."""
    match = _METADATA_KEY.fullmatch(key)
    return Run(match[1], match[2]) if match else None


def parse_sequencer(value: object) -> str | None:
    """S3's sequencer in the one spelling whose string order is its integer order.

    The AWS pages disagree on how sequencers of different lengths compare. Their digits
    are a clock, so only comparison as integers, padding on the left, is right.
    """
    if isinstance(value, str) and _SEQUENCER.fullmatch(value):
        return value.upper().zfill(32)
    return None
