"""The cost of the function, compared with bare boto3 calls and with a handler built from the tutorials."""
