"""Fragment stores: where closed fragments are kept as plain files."""
