"""A record of the event or item log, as every program reads it."""

from penchant.errors import LogError
from penchant.v1 import log_pb2

RECORD_VERSION = 1


def read_record(position: int, payload: bytes) -> log_pb2.LogRecord:
    """Raises LogError for a record of a newer version, or an encrypted one."""
    record = log_pb2.LogRecord.FromString(payload)
    if record.schema_version != RECORD_VERSION or record.key_id:
        raise LogError(
            f"record {position} is of version {record.schema_version} (key {record.key_id!r}), this program reads "
            f"plain records of version {RECORD_VERSION}: run the newer program"
        )
    return record
