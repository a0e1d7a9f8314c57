"""The version, where every room may import it from."""

VERSION = "0.1.0"
