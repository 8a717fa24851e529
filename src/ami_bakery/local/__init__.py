"""The embedded EC2: real Packer and real boto3 against moto, made as strict as EC2, with no account."""
