"""AnyDepth for Transformers."""
