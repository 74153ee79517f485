"""The deployed stack on this machine: the real template, created in moto."""
