"""A trading day made up from a seed, and the books that check it to the penny."""
