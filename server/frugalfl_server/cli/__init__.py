"""The verbs of the server, one file each."""
