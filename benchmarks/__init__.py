"""What the function costs, beside the least possible and beside the usual."""
