"""A simulated day on the real store: the parts joined, and their books compared."""
