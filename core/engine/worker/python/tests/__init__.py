"""Tests of the worker: each starts a real one over a real socket pair."""
