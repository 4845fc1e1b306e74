"""Each launcher on its system, end to end with the Python client."""
