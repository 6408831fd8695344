"""The vocabulary of the package: numpy and scipy only, no torch, no Qt, no napari."""
