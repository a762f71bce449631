"""The commands of `journalctl`, a module each: options, and what to call."""
