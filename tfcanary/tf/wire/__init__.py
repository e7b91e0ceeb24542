"""The file and message formats of TensorFlow and TF Serving, read and written without importing TensorFlow."""
