"""Files that other tools read and write: the outline of a tree, and queues of batches."""
