"""The Parameter Store of the embedded EC2, stricter than moto's."""
