"""Rendered pictures with exact depth: `world/` says what is in them, `renderer/` how it is seen."""
