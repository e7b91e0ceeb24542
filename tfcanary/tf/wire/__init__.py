"""What lies in files and on sockets of TensorFlow's world, read and written without TensorFlow."""
