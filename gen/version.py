"""The version of gen, kept apart from `gen/__init__.py` so that every room may import it."""

__version__ = "0.1.0"
