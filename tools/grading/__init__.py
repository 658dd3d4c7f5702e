"""Grading of notebooks that came back: what a student answered, run apart from everything else."""
