"""The performance suite: runs the load scenarios that the plugins bring, and judges what they measure."""
