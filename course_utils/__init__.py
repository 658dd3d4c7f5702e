"""Shared code of the course: one module per notebook, `classroom` for what a notebook shows and asks."""

__version__ = "0.1.0"
