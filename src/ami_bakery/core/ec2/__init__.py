"""AMIs, regions and other EC2 resources, as values."""
