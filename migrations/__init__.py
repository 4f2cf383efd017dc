"""The migration environment, and the revisions of the tables of the core."""
