"""What is checked and recorded for each kind of command, and what follows from it."""
