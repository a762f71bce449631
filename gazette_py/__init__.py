"""gazette_py: a Gazette-compatible journal broker over object storage."""

__version__ = "0.1.0"
