variable "config_checksum" {
  type    = string
  default = ""
}

source "amazon-ebs" "app" {
  region        = "us-east-1"
  ami_regions   = ["eu-west-1"]
  instance_type = "t3.small"
  ssh_username  = "admin"
  ssh_interface = "public_dns"
  ami_name      = "modern"

  source_ami_filter {
    filters = {
      name = "debian-12-amd64-*"
    }
    owners      = ["136693071363"]
    most_recent = true
  }

  ami_block_device_mappings {
    device_name = "/dev/sdb"
    volume_size = 20
  }

  run_tags = {
    made-by = "test"
  }

  tags = {
    ami_config_checksum = var.config_checksum
  }
}

build {
  sources = ["source.amazon-ebs.app"]

  provisioner "file" {
    source      = "upload/tree/"
    destination = "/opt/tree"
  }
}
