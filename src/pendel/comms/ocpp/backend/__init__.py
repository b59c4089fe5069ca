"""The logic of a charging network backend, without I/O: typed requests in, answers out."""
