"""What fits the ports of the application to PostgreSQL, sockets, files and brokers."""
