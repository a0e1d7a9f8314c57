"""`asyncmirror doctor`: what a sync would meet, looked at beforehand."""
