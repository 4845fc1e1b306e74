"""The long form: what goes wrong on a system, and what the user is told."""
