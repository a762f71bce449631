"""HTTP: journals as bytes, events and JSON, and a broker's diagnostics."""
