"""Shipped as `trellis_config`: data for each environment and for the programs around; no code."""
