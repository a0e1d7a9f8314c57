"""Mirror a very large file tree into S3-compatible object storage, and prove that it is all there.

The library's surface is `asyncmirror.Mirror` with `asyncmirror.Settings`; what the command line does is one caller of it.
Names are resolved on first use, so that `import asyncmirror` costs nothing.
"""

from typing import TYPE_CHECKING

from asyncmirror.version import VERSION

if TYPE_CHECKING:
    from asyncmirror.engine.mirror import Mirror
    from asyncmirror.settings import Settings

__version__ = VERSION
__all__ = ["Mirror", "Settings", "__version__"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name == "Mirror":
        from asyncmirror.engine.mirror import Mirror  # noqa: PLC0415  lazily, on purpose

        return Mirror
    if name == "Settings":
        from asyncmirror.settings import Settings  # noqa: PLC0415  lazily, on purpose

        return Settings
    raise AttributeError(f"module 'asyncmirror' has no attribute {name!r}")
