"""All state the writer owns: what the events did, moved by applying them."""
