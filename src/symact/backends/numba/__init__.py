"""The numba backend: a compiled interpreter of flat programs."""
