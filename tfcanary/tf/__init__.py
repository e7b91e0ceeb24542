"""TensorFlow's side: the formats on the wire and on disk, the loader of SavedModels, and the embedded model server."""
