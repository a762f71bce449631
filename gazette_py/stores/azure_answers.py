"""What errors of Azure's blob service mean, and which of them an operator must act on. Pure."""

from typing import Final

from gazette_py.errors import StoreDeniedError, StoreError
from gazette_py.stores import s3_answers

_DENIED_CODES: Final = frozenset(("ContainerNotFound", "ContainerDisabled", "AccountIsDisabled"))


def classify(status: int, code: str) -> type[StoreError]:
    """Return the kind of an error from its HTTP status and the service's code, perhaps "".

    A missing blob has status 404 with a code of its own, and so has a missing container.
    """
    return StoreDeniedError if code in _DENIED_CODES else s3_answers.classify(status, code)
