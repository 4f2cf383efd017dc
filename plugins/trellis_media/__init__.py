"""Upload, transform and deliver files."""
