"""EC2, SSM and STS, through boto3 or directly over HTTP."""
