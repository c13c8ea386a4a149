"""How the store comes to its present shape, and how it moves to another."""
