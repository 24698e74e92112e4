"""Model cards, reference outputs and what else a repository on the Hub holds."""
