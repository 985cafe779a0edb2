"""`sortline dead-letters`: what is in the dead-letter topic, grouped by reason, and the way back into the stream.

`letters` understands one dead letter, `groups` gathers those with the same reason, `reading` reads the topic and
the marks of what was replayed, `replay` sends letters back and marks them in one transaction, `command` is the
command line.
"""
