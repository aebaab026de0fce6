"""The plain server, and what sends it requests."""
