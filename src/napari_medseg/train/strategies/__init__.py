"""What a training step computes, one published method per file."""
