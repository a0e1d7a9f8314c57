"""The journal: what is known to be in the bucket, in SQLite, written by one thread over one connection."""
