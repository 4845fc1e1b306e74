"""What the Python suites share: starting clusters, looking at processes, running tests."""
