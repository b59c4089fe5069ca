"""The virtual station: everything a real station does, without I/O and with time as argument.

It obeys charging profiles through the same composite engine that the backend uses to predict it,
queues transaction messages while offline, and moves a car's battery by what its meter measures.
"""
