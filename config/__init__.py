"""Shipped as `trellis_config`: settings per environment as TOML, and files for the programs around Trellis. Data only."""
