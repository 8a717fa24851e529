"""The part of the Auto Scaling API that names AMIs."""
