"""For producers of runs: checks a folder, uploads it as a run, and waits for the verdict."""
