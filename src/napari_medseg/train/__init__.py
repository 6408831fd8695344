"""The one fit loop and what it is fed with."""
