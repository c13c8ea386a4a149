"""Days to rehearse: recorded ones, and made-up ones."""
