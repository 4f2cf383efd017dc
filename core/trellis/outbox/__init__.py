"""The outbox: one row per piece of durable work, written with the change that asks for it."""
