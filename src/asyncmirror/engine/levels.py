"""From which level on loggers log, told from one process to another.

Owns how levels become a value and are set again. Which they are is the command line's, and so is what becomes of a line.
"""

import logging
from collections.abc import Mapping
from typing import TypeAlias

LogLevels: TypeAlias = Mapping[str, int]
"""Levels by the loggers' names, only those that were set; the root's is ``root``."""


def log_levels() -> LogLevels:
    """What was set in this process."""
    loggers = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    return {each.name: each.level for each in (logging.root, *loggers) if each.level != logging.NOTSET}


def log_from(levels: LogLevels) -> None:
    """Set the same in this process."""
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
