"""Runners: they carry a tool's events to whoever asked for the run."""
