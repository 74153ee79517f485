"""Documents as producers upload them."""

import json
from typing import Any


def document(**fields: Any) -> bytes:
    """Return a document with these fields; its model is the version 1 of "m" unless they state another."""
    return json.dumps({"model": {"name": "m", "version": "1"}, **fields}, ensure_ascii=False).encode()


def good(model: str, **fields: Any) -> bytes:
    """Return an accepted document that is recognised by the name of its model."""
    return document(model={"name": model, "version": "1"}, **fields)


GOOD = document()
BAD = b'{"model": 1}'
"""A document whose error is final, whatever the settings are."""
INCOMPLETE = document(files=[{"path": "late.csv"}])
"""A document that is accepted as soon as its file is there."""
