"""One picture of a running system, and ways to look at it."""
