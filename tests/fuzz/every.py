"""All that is fuzzed."""

from typing import Any

from tests.fuzz import answers, configuration, control, journals, names, pure, requests
from tests.fuzz.target import Target

TARGETS: tuple[Target[Any], ...] = (
    *pure.TARGETS,
    *names.TARGETS,
    *answers.TARGETS,
    *journals.TARGETS,
    *configuration.TARGETS,
    *requests.TARGETS,
    *control.TARGETS,
)
