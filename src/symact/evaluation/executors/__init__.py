"""Executors that train candidates: threads, processes and Ray."""
