"""Sessions on disk: projects, and the copies of what is not saved yet."""
