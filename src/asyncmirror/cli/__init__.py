"""The command line: flags to settings, events to screens and JSON lines, outcomes to exit codes. One caller of the library."""
