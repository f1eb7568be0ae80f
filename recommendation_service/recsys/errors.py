"""The one family of errors. Raised low, translated once at each edge (command, script, HTTP)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class RecsysError(Exception):
    """Something a person can mend; the message names the object, what was found, and the mend."""

    code: ClassVar[str] = "recsys_error"

    def __init__(self, message: str, **detail: object) -> None:
        super().__init__(message)
        self.detail: Mapping[str, object] = detail


class ConfigError(RecsysError):
    """A setting or a hyper-parameter that cannot work."""

    code = "config_error"


class DataError(RecsysError):
    """Input data that is missing, malformed or too small to learn from."""

    code = "data_error"


class ArtifactError(RecsysError):
    """A file on disk that is missing, damaged, or not what its manifest says."""

    code = "artifact_error"


class NotFittedError(RecsysError):
    """A recommender was asked before it was fitted or loaded."""

    code = "not_fitted"


class InvalidRequestError(RecsysError):
    """A caller asked for something that cannot be answered as asked."""

    code = "invalid_request"


class NotFoundError(InvalidRequestError):
    """The thing asked about is not known here."""

    code = "not_found"


class UnavailableError(RecsysError):
    """Nothing can answer now; trying again later may."""

    code = "unavailable"


def interrupt_in(error: BaseException) -> KeyboardInterrupt | None:
    """The Ctrl-C that an error is or was made from, if it was.

    numba makes a SystemError of one that comes while it compiles or loads a kernel.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__
    return cause
