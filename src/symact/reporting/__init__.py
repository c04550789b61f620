"""Comparisons, statistics, tables, pages and figures."""
