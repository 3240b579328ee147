"""A search that runs: one artefact on the disk, a function that searches it, and a web service."""
