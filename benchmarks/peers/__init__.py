"""The same job on other frameworks, each a script that runs until SIGTERM, and the floor that has no job at all.

They share `plain_job`, so that only the framework differs, and are told what to do by a file (`task.Task`).
Nothing that runs here imports the project: the environments of the peers do not have what it needs.
"""
