"""Routes phase: every blueprint carries its plugin's name and every route states its access rule."""
