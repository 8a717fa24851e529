"""The Auto Scaling API of the embedded EC2, as far as it names AMIs."""
