"""The object store: a narrow port, its adapters, and the decorators that retry and limit."""
