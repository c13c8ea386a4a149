"""The demo: a seeded market of several participants through the venue's real doors."""
