"""The EC2 API of the embedded EC2: moto, with checks that EC2 has and moto lacks."""
