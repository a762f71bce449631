"""Logs and metrics: what a running process tells its operators."""
