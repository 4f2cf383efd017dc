"""Events of the feed, sent to operators' endpoints by the Standard Webhooks specification."""
