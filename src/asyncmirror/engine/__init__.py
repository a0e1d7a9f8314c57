"""The run: channel, workers, drain and signals, tied together by `mirror`."""
