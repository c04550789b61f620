"""Programs of other systems become expressions; nothing of them is ever run."""

from symact.importers._python import Imported, from_source
from symact.importers._read import read
from symact.importers._records import Record, read_records, write_records

__all__ = ["Imported", "Record", "from_source", "read", "read_records", "write_records"]
