"""OCPP 1.6, 2.0.1 and 2.1 without I/O: frames, typed messages, composite schedules."""
