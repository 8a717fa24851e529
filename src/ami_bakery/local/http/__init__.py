"""The HTTP side of the embedded EC2: proxy, TLS, signatures, requests and responses."""
