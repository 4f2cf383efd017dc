"""What people do in the app, counted."""
