"""What the file system says: entries as they come, and stable reads. Nothing here writes to the source."""
