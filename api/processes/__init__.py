"""The processes of the venue, and the supervisor that starts and stops them."""
