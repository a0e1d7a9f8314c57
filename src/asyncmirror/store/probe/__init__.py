"""Finding out what a store verifies, by asking it."""
