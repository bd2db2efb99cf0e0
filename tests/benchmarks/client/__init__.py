"""What the client costs the training thread."""
