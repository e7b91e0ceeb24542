"""What reads the world and changes nothing: the gate of a SavedModel, its trial load, and the evaluation of answers; each returns Evidence."""
