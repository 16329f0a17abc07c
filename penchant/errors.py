"""Every error Penchant raises.

PenchantError
├── InvalidArgument        a caller's field is out of bounds      INVALID_ARGUMENT
├── BundleError            a bundle cannot be used
│   ├── BundleMismatch     schema, shape or checksum differs      FAILED_PRECONDITION
│   └── UnknownBundle      the version asked for is not held here FAILED_PRECONDITION
├── StoreUnavailable       the online store did not answer        UNAVAILABLE
├── ServiceUnavailable another service did not answer in time     UNAVAILABLE
├── ClientClosed           a call of a client after its close()
├── Overloaded             a bound was reached; retry later       RESOURCE_EXHAUSTED
├── DataError              a data file is bad: file, line, column, remedy
├── ConfigError            the configuration is bad
├── LogError               the event log is held by another or broken
│   ├── LogFenced          another writer took the log over
│   └── LogUnavailable     the event log cannot be reached now    UNAVAILABLE
└── ProcessFailed          a process of the stack did not start, or gave up
"""


class PenchantError(Exception):
    """Base of all; the message says what is wrong, with the value, and the remedy."""


class InvalidArgument(PenchantError):
    """A caller's field is out of bounds."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class BundleError(PenchantError):
    """A bundle cannot be used."""


class BundleMismatch(BundleError):
    """A bundle's files do not match its manifest, or the manifest does not match this program."""


class UnknownBundle(BundleError):
    """The bundle version asked for is not held here."""


class StoreUnavailable(PenchantError):
    """The online store did not answer in time."""


class ServiceUnavailable(PenchantError):
    """Another service did not answer in time, or refused; reason is the canonical code's name.

    said: the text is the server's own, about its own trouble.
    """

    def __init__(self, message: str, reason: str = "UNAVAILABLE", said: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.said = said


class ClientClosed(PenchantError):
    """A call of a client that was closed, before or during it."""


class Overloaded(PenchantError):
    """A bound was reached."""

    def __init__(self, message: str, retry_delay_ms: int) -> None:
        super().__init__(message)
        self.retry_delay_ms = retry_delay_ms


class DataError(PenchantError):
    """A data file is bad."""

    def __init__(self, file: str, reason: str, line: int | None = None, column: str | None = None) -> None:
        place = file + (f":{line}" if line is not None else "") + (f" [{column}]" if column else "")
        super().__init__(f"{place}: {reason}")
        self.file = file
        self.line = line
        self.column = column
        self.reason = reason


class ConfigError(PenchantError):
    """The configuration is bad."""


class LogError(PenchantError):
    """The event log is held by another process, or broken."""


class LogFenced(LogError):
    """Another writer took the event log over: this one never writes again."""


class LogUnavailable(LogError):
    """The event log did not answer in time; whether what was appended is in it will be known when it does."""


class ProcessFailed(PenchantError):
    """A process of the stack did not become healthy, or ended when it should not have."""
