from __future__ import annotations

import struct

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streams.offset_kind import OffsetKind, _kind

_BASE_OFFSET = struct.Struct(">q")
_ATTRIBUTES_AT = 21
_CONTROL = 0x20


def _batch(base: int, deltas: list[int], *, is_control: bool = False) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, True, -1, -1, 0, 1 << 16)
    for delta in deltas:
        builder.append(delta, timestamp=1, key=b"k", value=b"v", headers=[])
    raw = bytearray(builder.build())
    raw[:8] = _BASE_OFFSET.pack(base)
    raw[_ATTRIBUTES_AT + 1] |= _CONTROL if is_control else 0
    return bytes(raw)


def test_marks_and_what_compaction_took_are_told_apart() -> None:
    log = _batch(10, [0, 3]) + _batch(14, [0], is_control=True) + _batch(17, [0])
    expected: dict[int, OffsetKind | None] = {
        10: "record",
        11: "gap",
        13: "record",
        14: "control",
        15: "gap",
        17: "record",
        18: None,
    }
    assert {offset: _kind(MemoryRecords(log), offset) for offset in expected} == expected
