"""A second bookkeeper that knows nothing of the first reads the whole log."""
