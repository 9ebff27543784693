"""Results: measured, marked, exported, each with the record of how it was made."""
