from tests.store.conftest import chain

__all__ = ["chain"]
