"""Every error a user can meet: what it is about, what to do, and the exit code. Standard library only.

The exit codes follow sysexits where a number fits, 2 for usage, and 128 + n for signals.
"""

from __future__ import annotations

from typing import Any, ClassVar

from cifar_tui.text import safe_text

_FIRST_LINE_LIMIT = 400
_LINE_LIMIT = 300


class CifarTuiError(Exception):
    """An error with one message, and optionally where it is, what state things are in, and a hint.

    Args:
        message: names the object, what was found and what was expected. Outside text in it is made safe
            when the error is shown.
        where: a path or place.
        state: what was kept or changed.
        hint: what to do: best a command that works as written.
        id: a stable id that replaces the class's own, such as ``E-DATA-HASH``.
    """

    id: str = "E-INTERNAL"
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        where: object = None,
        state: str | None = None,
        hint: str | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = None if where is None else str(where)
        self.state = state
        self.hint = hint
        if id is not None:
            self.id = id

    def block(self) -> str:
        """The error as at most six lines of printable text, without a traceback."""
        lines = [f"error: {safe_text(self.message, _FIRST_LINE_LIMIT)}"]
        for label, value in (("where", self.where), ("state", self.state), ("hint", self.hint)):
            if value:
                lines.append(f"  {label + ':':<6} {safe_text(value, _LINE_LIMIT)}")
        lines.append(f"  [{self.id}, exit {self.exit_code}]")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same fields as one JSON object."""
        return {
            "error": {"id": self.id},
            "exit": self.exit_code,
            "message": safe_text(self.message),
            "where": None if self.where is None else safe_text(self.where),
            "state": self.state,
            "hint": self.hint,
        }


class UsageError(CifarTuiError):
    """A bad flag, value or combination, or a terminal where one is needed."""

    id = "E-USAGE"
    exit_code = 2


class DivergedError(CifarTuiError):
    """The loss or the weights stopped being finite."""

    id = "E-DIVERGED"
    exit_code = 3


class DamagedError(CifarTuiError):
    """Data, a checkpoint or a record that is not what it must be."""

    id = "E-DAMAGED"
    exit_code = 65


class NotThereError(CifarTuiError):
    """A dataset, run or checkpoint that does not exist."""

    id = "E-MISSING"
    exit_code = 66


class UnavailableError(CifarTuiError):
    """The network or a device cannot be reached."""

    id = "E-UNAVAILABLE"
    exit_code = 69


class SystemResourceError(CifarTuiError):
    """Out of memory, or a device that was lost."""

    id = "E-RESOURCE"
    exit_code = 71


class CannotCreateError(CifarTuiError):
    """A file or folder that cannot be made."""

    id = "E-CANNOT-CREATE"
    exit_code = 73


class StorageError(CifarTuiError):
    """Input or output failed, or the disk is full."""

    id = "E-STORAGE"
    exit_code = 74


class LockedError(CifarTuiError):
    """Another process holds what is needed."""

    id = "E-LOCKED"
    exit_code = 75


class ProtocolError(CifarTuiError):
    """A server broke the rules of its protocol."""

    id = "E-PROTOCOL"
    exit_code = 76


class AccessError(CifarTuiError):
    """Permission denied."""

    id = "E-PERMISSION"
    exit_code = 77


class ConfigFileError(CifarTuiError):
    """A configuration file that cannot be used."""

    id = "E-CONFIG"
    exit_code = 78


class InterruptedBySignal(CifarTuiError):  # noqa: N818 - it names what happened
    """A signal ended the work after its state was saved; exit code 128 + its number."""

    id = "E-SIGNAL"

    def __init__(self, signal_number: int, message: str, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number  # type: ignore[misc]


def from_os_error(error: OSError, doing: str, path: object, hint: str | None = None) -> CifarTuiError:
    """The matching error for an `OSError`: permission, missing parent, full disk or plain I/O."""
    import errno

    reason = error.strerror or type(error).__name__
    message = f"cannot {doing} {path}: {reason}"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return AccessError(message, hint=hint)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageError(message, hint=hint or "free some disk space and run the same command again")
    if error.errno in {
        errno.EROFS,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.ENAMETOOLONG,
        errno.EISDIR,
        errno.ELOOP,
    }:
        return CannotCreateError(message, hint=hint)
    if error.errno == errno.ENOENT:
        return NotThereError(message, hint=hint)
    return StorageError(message, hint=hint)
