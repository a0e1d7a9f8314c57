"""What a browser, a monitoring system and a program are told over HTTP of the runs of this process."""
