"""Networks, tiled inference and the model store."""
