"""Reads the rows of a damaged database page by page, without SQLite.

SQLite stops at a malformed page. Here each page is decoded separately. A row counts if its checksum
is correct, even if no other page refers to it. The file format is described at
https://www.sqlite.org/fileformat2.html; comments name its sections.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from symact.storage.schema import MAGIC, TABLES, checksum

#: The page size of SQLite's default.
_PAGE_SIZE = 4096
_LEAF = 0x0D
#: No record of symact has more columns.
_MOST_COLUMNS = 16

Pages = dict[int, bytes]
#: For each table its rows by their numbers; those of ``meta`` by their revision.
Rows = dict[str, dict[int, Sequence[Any]]]


def whole_rows(file: Path) -> Rows:
    """Return every whole row of each table."""
    pages, size, usable, free = _pages(file)
    found: Rows = {table: {} for table in TABLES}
    # A free page may hold what a later row has replaced: it counts only where nothing else does.
    for number in sorted(pages, key=lambda n: (n in free, n)):
        start = 100 if number == 1 else 0
        for rowid, record in _records(pages, number, start, size, usable):
            table = _table_of(record, rowid)
            if table is not None:
                name, row = table
                found[name].setdefault(int(row[2]) if name == "meta" else rowid, row)
    return found


def _table_of(record: list[Any], rowid: int) -> tuple[str, Sequence[Any]] | None:
    """Return the table that a record is a row of, and the row, if its checksum says so."""
    for name, columns in TABLES.items():
        if len(record) != len(columns) + 1:
            continue
        row = [
            rowid
            if "INTEGER PRIMARY KEY" in kind
            # SQLite stores whole numbers as integers also where the column is real.
            else (float(value) if "REAL" in kind and isinstance(value, int) else value)
            for value, kind in zip(record, columns.values(), strict=False)
        ]
        if all(map(_is_of, row, columns.values())) and checksum(row) == record[-1]:
            return name, row
    return None


def _is_of(value: Any, kind: str) -> bool:
    """Whether a value is of the type of a column; none is NULL."""
    types = {"TEXT": str, "INTEGER": int, "REAL": float}
    return isinstance(value, types[kind.partition(" ")[0]])


def _pages(file: Path) -> tuple[Pages, int, int, frozenset[int]]:
    """Return the pages as the log leaves them, their size, its usable part, and the free ones."""
    data = file.read_bytes()
    size = _PAGE_SIZE
    if data[:16] == MAGIC and len(data) >= 18:
        (stated,) = struct.unpack(">H", data[16:18])
        stated = 65536 if stated == 1 else stated
        size = stated if stated >= 512 and stated & (stated - 1) == 0 else size
    usable = size - (data[20] if data[:16] == MAGIC and len(data) > 20 else 0)
    pages = {
        number: data[start : start + size]
        for number, start in enumerate(range(0, len(data), size), start=1)
    }
    pages |= _logged(file.with_name(f"{file.name}-wal"), size)
    return pages, size, usable, _free(pages, usable)


def _logged(log: Path, size: int) -> Pages:
    """Return the newest committed page of each number in a write-ahead log (section 4)."""
    data = log.read_bytes() if log.exists() else b""
    if len(data) < 32 or struct.unpack(">I", data[:4])[0] & ~1 != 0x377F0682:
        return {}
    order = ">" if data[3] & 1 else "<"
    if struct.unpack(">I", data[8:12])[0] != size:
        return {}
    sums = _summed((0, 0), data[:24], order)
    committed: Pages = {}
    written: Pages = {}
    for start in range(32, len(data) - size - 23, size + 24):
        head, page = data[start : start + 24], data[start + 24 : start + 24 + size]
        sums = _summed(_summed(sums, head[:8], order), page, order)
        number, commit = struct.unpack(">II", head[:8])
        if head[8:16] != data[16:24] or struct.unpack(">II", head[16:24]) != sums:
            break  # what follows was never finished, or is damaged
        written[number] = page
        if commit:
            committed |= written
            written = {}
    return committed


def _summed(sums: tuple[int, int], data: bytes, order: str) -> tuple[int, int]:
    """Go on with the checksum of a log (section 4.2)."""
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for place in range(0, len(words), 2):
        first = (first + words[place] + second) & 0xFFFFFFFF
        second = (second + words[place + 1] + first) & 0xFFFFFFFF
    return first, second


def _free(pages: Pages, usable: int) -> frozenset[int]:
    """Return the pages of the freelist (section 1.5), as far as it can be followed."""
    free: set[int] = set()
    head = pages.get(1, b"")
    number = struct.unpack(">I", head[32:36])[0] if len(head) >= 36 else 0
    while number in pages and number not in free:
        free.add(number)
        trunk = pages[number]
        if len(trunk) < usable:
            break
        number, count = struct.unpack(">II", trunk[:8])
        count = min(count, usable // 4 - 2)
        free.update(struct.unpack(f">{count}I", trunk[8 : 8 + 4 * count]))
    return frozenset(free)


def _records(
    pages: Pages, number: int, start: int, size: int, usable: int
) -> Iterator[tuple[int, list[Any]]]:
    """Yield the records of a leaf of a table (section 1.6) that can be decoded."""
    page = pages[number]
    if len(page) < size or page[start] != _LEAF:
        return
    (cells,) = struct.unpack(">H", page[start + 3 : start + 5])
    for place in range(start + 8, min(start + 8 + 2 * cells, size - 1), 2):
        (at,) = struct.unpack(">H", page[place : place + 2])
        try:
            length, at = _varint(page, at)
            rowid, at = _varint(page, at)
            if length > len(pages) * size:
                continue
            record = _decode(_payload(pages, page, at, length, usable))
        except (IndexError, ValueError, struct.error, KeyError):
            continue  # no record
        yield rowid, record


def _payload(pages: Pages, page: bytes, at: int, length: int, usable: int) -> bytes:
    """Return what a cell holds, with what flowed over to other pages."""
    local = length
    if length > usable - 35:
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        local = least if local > usable - 35 else local
    data = bytearray(page[at : at + local])
    if local < length:
        (number,) = struct.unpack(">I", page[at + local : at + local + 4])
        while len(data) < length:
            more = pages[number]
            if len(more) < usable:
                raise ValueError("cut off")
            data += more[4 : min(usable, 4 + length - len(data))]
            (number,) = struct.unpack(">I", more[:4])
            if len(data) < length and number == 0:
                raise ValueError("cut off")
    return bytes(data)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of one to nine bytes and where it ends."""
    value = 0
    for place in range(8):
        byte = data[at + place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + place + 1
    return value << 8 | data[at + 8], at + 9


def _decode(data: bytes) -> list[Any]:
    """Return the values of a record (section 2.1)."""
    end, at = _varint(data, 0)
    kinds: list[int] = []
    while at < end:
        kind, at = _varint(data, at)
        kinds.append(kind)
        if len(kinds) > _MOST_COLUMNS:
            raise ValueError("no record of symact")
    values: list[Any] = []
    for kind in kinds:
        size = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind] if kind < 10 else (kind - 12) // 2
        part = data[at : at + size]
        if size < 0 or len(part) != size:
            raise ValueError("cut off")
        at += size
        if kind == 0:
            values.append(None)
        elif kind <= 6:
            values.append(int.from_bytes(part, "big", signed=True))
        elif kind == 7:
            values.append(struct.unpack(">d", part)[0])
        elif kind <= 9:
            values.append(kind - 8)
        else:
            values.append(part.decode() if kind % 2 else part)
    return values
