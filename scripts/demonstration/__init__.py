"""What scripts/demo runs: the tree, the processes, the evidence and the story in `__main__`."""
