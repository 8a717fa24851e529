"""The EC2 API of the embedded EC2: moto, made as strict as EC2."""
