"""The lean wire: requests that carry a body, sent with as little work as each of them needs. `plane.Wire` is its door."""
