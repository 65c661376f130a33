"""The command line: one module a command, each a signature and one call.

Begin with main.py, which registers the commands and turns errors into one line and an exit code.
"""
