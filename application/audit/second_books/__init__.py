"""The second bookkeeper: it knows the events and nothing of the desk that made them."""
