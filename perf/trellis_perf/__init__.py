"""The performance suite: load scenarios that the plugins bring, and what they measure, judged."""
