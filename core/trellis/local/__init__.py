"""The embedded world: broker, supervisor, mailbox and push sink. A laptop needs nothing else."""
