"""Run directories: the database, its codec and its recovery."""
