"""Rules of HTTP that hold for any application: what browsers may ask, and what answers weigh.

Knows nothing of Trellis.
"""
