"""What the reader finds in a template, compared with what the real Packer opens when it runs it."""
