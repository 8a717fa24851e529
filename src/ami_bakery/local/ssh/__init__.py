"""The SSH side of the embedded EC2: one server for each instance."""
