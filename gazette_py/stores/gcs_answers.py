"""What errors of Google Cloud Storage mean, and which of them an operator must act on. Pure."""

import json

from gazette_py.errors import StoreDeniedError, StoreError
from gazette_py.stores import s3_answers


def classify(status: int, message: str, operation: str) -> type[StoreError]:
    """Return the kind of an operation's error from its HTTP status and message.

    Status 404 is of an object or of its bucket. Uploads and listings need no object, and elsewhere
    the message tells.
    """
    is_of_object = message.startswith("No such object")  # And then names bucket and object.
    is_of_bucket = operation in ("put", "list") or "bucket" in message.lower()
    if status == 404 and is_of_bucket and not is_of_object:
        return StoreDeniedError
    return s3_answers.classify(status, "")


def error_message(body: bytes) -> str:
    """Return the message of an error's body, which is JSON, or text where content was asked for."""
    text = body.decode(errors="replace").strip()
    try:
        parsed = json.loads(text)
        return str(parsed["error"]["message"])
    except (ValueError, TypeError, KeyError):
        return text[:500]
