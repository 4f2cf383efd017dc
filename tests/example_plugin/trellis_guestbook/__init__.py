"""A guestbook for Trellis."""
