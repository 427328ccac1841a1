"""A run over several machines: what runs on each of them, and how it gets there."""
