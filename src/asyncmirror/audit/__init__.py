"""Journal, listing and source held against each other: whether all is there, and what is there already."""
