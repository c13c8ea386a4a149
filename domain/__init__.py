"""Money, orders, positions, accounts and the rules they keep, without I/O, clock or chance."""
