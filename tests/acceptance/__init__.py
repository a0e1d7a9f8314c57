"""The command itself against servers in processes of their own: what the project promises, seen from outside.

Nothing here knows an inside of the product, only what is written down for users: keys, exit codes, JSON lines, the journal's
tables.
"""
