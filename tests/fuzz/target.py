"""One thing that is fuzzed: what is put in, how it is set up, and what must hold for every input.

Owns the search and the limits of one input: whatever a check raises is a find, and so is an input that takes too long. Knows no
product.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.alarm import HungError, limited

T = TypeVar("T")
V = TypeVar("V")
Run = Callable[[Coroutine[Any, Any, V]], V]
_PHASES = (Phase.explicit, Phase.generate, Phase.target, Phase.shrink)


@dataclass(frozen=True)
class Target(Generic[T]):
    """What is fuzzed.

    Args:
        name: For `--only`.
        inputs: What is put in.
        opened: Sets up, in a directory of its own, and gives the check: it raises where something is wrong with an input.
        examples: How many inputs the test suite tries.
        seconds: How long one input may take.
    """

    name: str
    inputs: st.SearchStrategy[T]
    opened: Callable[[Path], AbstractContextManager[Callable[[T], None]]]
    examples: int
    seconds: float = 30.0

    def hunt(self, work: Path, number: int, examples: int = 0) -> int:
        """Try inputs, and give how many. A find is raised, with the smallest input that shows it.

        Args:
            work: An empty directory.
            number: The seed.
            examples: How many inputs; 0: as many as the suite tries.
        """
        tried = 0
        with self.opened(work) as check:

            @seed(number)
            @settings(
                max_examples=examples or self.examples,
                deadline=None,
                database=None,
                phases=_PHASES,
                suppress_health_check=list(HealthCheck),
            )
            @given(self.inputs)
            def attempt(value: T) -> None:
                nonlocal tried
                tried += 1
                try:
                    with limited(self.seconds):
                        check(value)
                except HungError as error:
                    error.add_note(f"{self.name}: {value!r}")
                    raise

            attempt()
        return tried


@contextmanager
def looping() -> Iterator[Run[Any]]:
    """A loop for all inputs of a target. What would be logged as an unhandled exception of a task or callback is raised."""
    with asyncio.Runner() as runner:
        unhandled: list[dict[str, Any]] = []
        runner.get_loop().set_exception_handler(lambda _, context: unhandled.append(context))

        def run(work: Coroutine[Any, Any, V]) -> V:
            unhandled.clear()
            result = runner.run(work)
            assert not unhandled, unhandled
            return result

        yield run


def constant(check: Callable[[T], None]) -> Callable[[Path], AbstractContextManager[Callable[[T], None]]]:
    """The set-up of a check that needs none."""

    @contextmanager
    def opened(_: Path) -> Iterator[Callable[[T], None]]:
        yield check

    return opened


@st.composite
def mutated(draw: st.DrawFn, originals: st.SearchStrategy[bytes], most: int = 4) -> bytes:
    """Bytes with a few pieces cut out, doubled, overwritten or put in."""
    data = bytearray(draw(originals))
    for _ in range(draw(st.integers(0, most))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 8)))
        match draw(st.sampled_from(["cut", "double", "write", "insert", "end"])):
            case "cut":
                del data[at:end]
            case "double":
                data[at:at] = data[at:end]
            case "write":
                data[at:end] = draw(st.binary(min_size=end - at, max_size=end - at))
            case "insert":
                data[at:at] = draw(st.binary(max_size=8) | st.sampled_from([b"\r\n", b"\0", b"<", b"&#0;", b"\xff", b":"]))
            case _:
                del data[at:]
    return bytes(data)


@st.composite
def in_pieces(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> list[bytes]:
    """Bytes, cut in some places."""
    data = draw(whole)
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=5)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
