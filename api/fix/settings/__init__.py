"""What is agreed with the clients of the FIX gateway: a template for each session."""
