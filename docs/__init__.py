"""The documents, and what writes those parts of them that are read off the code: `python -m docs.generate`."""
