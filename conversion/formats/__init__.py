"""Original checkpoint formats, one file for each origin."""
