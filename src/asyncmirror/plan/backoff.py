"""How long to wait before a failed request is made again: exponential, with full jitter.

Owns the bounds. Pure: chance is given. Full jitter (a pause drawn evenly from zero to the bound) spreads clients that failed
together; source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. Base and cap are the SDKs'.
"""

BASE = 0.1
"""Seconds: the bound after the first failure."""
THROTTLED_BASE = 1.0
"""The same where the store asked for fewer requests: they are slower to come again."""
CAP = 20.0
"""Seconds: no bound is higher."""
# 0.1 s doubled eight times is beyond the cap; more would only overflow.
_MAX_DOUBLINGS = 16


def delay(failures: int, chance: float, *, throttled: bool = False) -> float:
    """Seconds to wait after so many failures.

    Args:
        failures: How often the request has failed, 1 or more.
        chance: Drawn evenly from [0, 1).
        throttled: Whether the last failure was the store's wish for fewer requests.
    """
    bound = (THROTTLED_BASE if throttled else BASE) * 2.0 ** min(failures - 1, _MAX_DOUBLINGS)
    return chance * min(bound, CAP)
