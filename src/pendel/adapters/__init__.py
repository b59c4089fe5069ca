"""The outside world behind ports: stores, files, sockets."""
