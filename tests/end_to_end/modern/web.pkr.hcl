packer {
  required_version = ">= 1.10.0"

  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "~> 1.8"
    }
  }
}

variable "team" {
  type = string
}

variable "config_checksum" {
  type    = string
  default = ""
}

data "amazon-ami" "jammy" {
  region      = "us-east-1"
  owners      = ["099720109477"]
  most_recent = true
  filters = {
    name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"
  }
}

local "script" {
  expression = "${path.root}/files/${local.release}.sh"
}

local "stamp" {
  expression = formatdate("YYYYMMDDhhmmss", timestamp())
}

locals {
  release = "setup"
  tags = {
    Team                = var.team
    Base                = data.amazon-ami.jammy.name
    ami_config_checksum = var.config_checksum
  }
}

source "amazon-ebs" "web" {
  region        = "us-east-1"
  source_ami    = data.amazon-ami.jammy.id
  instance_type = "t3.micro"
  ssh_username  = "ubuntu"
  ami_name      = "${var.team}-web-${local.stamp}"

  dynamic "tag" {
    for_each = local.tags
    content {
      key   = tag.key
      value = tag.value
    }
  }
}

build {
  sources = ["source.amazon-ebs.web"]

  provisioner "shell" {
    script = local.script
  }
}
