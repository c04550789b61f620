"""Trainers of small networks."""
