"""Depth data: readers (files to arrays), sources (where samples come from), transforms, and the training loader."""
