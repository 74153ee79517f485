"""The version of the package, of the command and of the Lambda function."""

__version__ = "2.0.0"
