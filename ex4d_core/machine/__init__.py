"""What this computer offers: cores, memory, compiled code, OpenCV; and how to leave work that cannot be stopped."""
