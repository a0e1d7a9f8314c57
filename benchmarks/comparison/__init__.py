"""asyncmirror against its peers: the same trees, the same server, whole processes, in turn."""
