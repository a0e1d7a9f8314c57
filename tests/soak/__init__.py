"""Runs that are killed, at every step and at random moments, on trees that keep changing; the accounts of what came of it."""
