"""What a live model's own initialization does, as values: recorded by an adapter, written here as a spec."""
