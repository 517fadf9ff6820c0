"""What this computer offers: cores, memory, compiled code, optional packages; and how to leave work that cannot be stopped."""
