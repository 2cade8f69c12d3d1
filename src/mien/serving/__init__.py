"""Serving: the HTTP API and its page, around one recognizer; no torch."""
