"""The command line: one thin module a verb, each of which parses, calls and prints."""
