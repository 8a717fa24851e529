variable "aws_region" {
  type = string
}

source "amazon-ebs" "web" {
  region        = var.aws_region
  instance_type = "t3.micro"
  ssh_username  = "ubuntu"
  ami_name      = "web-{{timestamp}}"

  source_ami_filter {
    owners      = ["099720109477"]
    most_recent = true
    filters = {
      name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"
    }
  }
}

build {
  sources = ["source.amazon-ebs.web"]

  provisioner "shell" {
    script = "setup.sh"
  }
}
