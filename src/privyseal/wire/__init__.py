"""Protocol cores without I/O: bytes in, values out; time and randomness are arguments."""
