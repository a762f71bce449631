"""Command line programs: parse, build, run; no logic."""
