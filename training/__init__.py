"""Training, evaluation and data tools for AnyDepth; run from the repository root."""
