variable "source_ami" {
  type        = string
  description = "Id of the source AMI. AMI Bakery sets it, so that the hashed AMI is the one that is used."
}

variable "instance_type" {
  type    = string
  default = "t3.micro"
}

locals {
  stamp = regex_replace(timestamp(), "[^0-9]", "")
}

source "amazon-ebs" "web" {
  region        = "us-east-1"
  source_ami    = var.source_ami
  instance_type = var.instance_type
  ssh_username  = "ubuntu"
  ami_name      = "web-${local.stamp}"

  tags = {
    Name = "web"
  }
}

build {
  sources = ["source.amazon-ebs.web"]

  provisioner "shell" {
    script          = "../../common/packages.sh"
    execute_command = "sudo env {{ .Vars }} sh '{{ .Path }}'"
  }

  provisioner "file" {
    source      = "files/"
    destination = "/tmp/files"
  }

  provisioner "shell" {
    inline = ["sudo install -m 0644 /tmp/files/nginx.conf /etc/nginx/nginx.conf"]
  }
}
