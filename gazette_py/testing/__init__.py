"""Stand-ins for tests. Nothing outside of tests imports them."""
