"""Pure decisions: keys, filters, parts, what to do with an entry, how long to wait. No I/O, no clock, no asyncio."""
