"""The errors of the core: one base, few leaves. The edge maps them to a status or a close code, once, and nowhere else."""


class TerminalsError(Exception):
    """What a person may be told: `code` is stable and can be grepped, the message says what, why and what to do."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class Invalid(TerminalsError):
    """The caller sent something that can't be meant."""

    code = "invalid"


class TooLarge(TerminalsError):
    """More bytes than we take."""

    code = "too_large"


class NotFound(TerminalsError):
    """Unknown, or somebody else's: callers can't tell which."""

    code = "not_found"


class Forbidden(TerminalsError):
    """Known, and no longer allowed."""

    code = "revoked"


class Conflict(TerminalsError):
    """Understood, but not in this state."""

    code = "conflict"


class Ended(TerminalsError):
    """The session is over: nothing can be attached to it any more."""

    code = "ended"


class Taken(TerminalsError):
    """A newer owner holds the terminal."""

    code = "taken"

    def __init__(self, message: str, *, epoch: int) -> None:
        super().__init__(message)
        self.epoch = epoch


class Lost(TerminalsError):
    """The shell is gone and left no exit record."""

    code = "shell_lost"


class Cut(TerminalsError):
    """The path to the container broke. Trying again is the cure."""

    code = "cut"


class Refused(TerminalsError):
    """LXD understood and said no; the message is its reason."""

    code = "lxd_refused"


class Unavailable(TerminalsError):
    """A backing service doesn't answer. Nothing is lost: try again in a moment."""

    code = "unavailable"
