"""The broker process: thin shells around the machines of `core`."""
