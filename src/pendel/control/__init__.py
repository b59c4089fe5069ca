"""LAYER 3: decisions, pure given (state, now): promise, forecast, plan, dispatch."""
