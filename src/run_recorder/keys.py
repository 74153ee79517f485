"""The grammar of object keys and of sequencers. Pure."""

import re

from run_recorder.domain import DOCUMENT, Run

_ID = r"[A-Za-z0-9][A-Za-z0-9._:=@+~-]{0,127}"
_METADATA_KEY = re.compile(rf"runs/({_ID})/({_ID})/metadata\.json")
_SEQUENCER = re.compile(r"[0-9A-Fa-f]{1,32}")


def parse_key(key: str) -> Run | None:
    """Return the run whose metadata.json a decoded object key names; None for any other key."""
    match = _METADATA_KEY.fullmatch(key)
    return Run(match[1], match[2]) if match else None


def parse_name(name: str) -> Run | None:
    """Return the run with the name ``ORG/RUN``; None if that cannot be the name of a run."""
    return parse_key(f"runs/{name}/{DOCUMENT}")


def parse_sequencer(value: object) -> str | None:
    """Return S3's sequencer in upper case, padded to 32 digits; None if it is not hexadecimal.

    The order of the padded strings is the order of the integers. The AWS documentation is inconsistent about
    sequencers of different lengths; their digits are a time, which compares as an integer.
    """
    if isinstance(value, str) and _SEQUENCER.fullmatch(value):
        return value.upper().zfill(32)
    return None
