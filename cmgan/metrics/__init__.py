"""Metrics of enhanced speech, and the processes that compute them."""
