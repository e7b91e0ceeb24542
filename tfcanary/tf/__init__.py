"""All that is specific to TensorFlow: its file and message formats, its loader of SavedModels, and our own model server."""
