"""Run Recorder: turns every run uploaded to S3 into one correct, durable record."""
