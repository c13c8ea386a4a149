"""Matching: the book and the rules around it."""
