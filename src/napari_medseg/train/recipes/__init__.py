"""How the shipped weights are made, one command each: ``medseg train NAME``."""
