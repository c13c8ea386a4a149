"""The one writer: admission, numbering, committing, recovering, and what time asks of it."""
