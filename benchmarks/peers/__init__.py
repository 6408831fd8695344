"""Other programs that learn from scribbles, run on the same strokes."""
