"""Import programs of other systems as expressions, without running them."""

from symact.importers.python import Imported, from_source
from symact.importers.records import Record, read_records, write_records
from symact.importers.results import Summary, read, read_with_summary, refusals

__all__ = [
    "Imported",
    "Record",
    "Summary",
    "from_source",
    "read",
    "read_records",
    "read_with_summary",
    "refusals",
    "write_records",
]
