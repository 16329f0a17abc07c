"""Append-only segment files: records with a rising position and a checksum, one writer, any number of readers.

<folder>/lock                     held by the writer while it lives; its text is the writer's epoch
<folder>/<position>.segment       records from that position on; the name is 20 digits
<folder>/<position>.torn          what a crash left after the last whole batch, kept for a person to look at

A segment is a header (magic, first position, the epoch of the writer that made it, checksum) and records:
uint32 length, uint32 CRC-32 of (position, length, payload), payload; all little endian. The top bit of the length says
that the batch goes on with the next record: a batch that a crash cut short is no part of the log.
"""

from penchant.segments.format import MAX_RECORD_BYTES
from penchant.segments.reader import SegmentReader, read_segments
from penchant.segments.writer import SegmentWriter

__all__ = ["MAX_RECORD_BYTES", "SegmentReader", "SegmentWriter", "read_segments"]
