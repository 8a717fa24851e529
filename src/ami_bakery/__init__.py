"""AMI Bakery: bake AWS machine images with Packer, and only when their definition changed."""
