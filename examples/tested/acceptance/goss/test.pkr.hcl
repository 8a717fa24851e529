variable "source_ami" {
  type = string
}

variable "aws_region" {
  type = string
}

# This builder starts an instance of the AMI, and creates no AMI. With Packer 1.7 or newer,
# amazon-ebs with skip_create_ami = true does the same.
source "amazon-ebsvolume" "test" {
  region        = var.aws_region
  source_ami    = var.source_ami
  instance_type = "t3.micro"
  ssh_username  = "ubuntu"
}

build {
  sources = ["source.amazon-ebsvolume.test"]

  provisioner "file" {
    source      = "goss.yaml"
    destination = "/tmp/goss.yaml"
  }

  provisioner "shell" {
    inline = [
      "curl -fsSL -o /tmp/goss https://github.com/goss-org/goss/releases/download/v0.4.9/goss-linux-amd64",
      "chmod +x /tmp/goss",
      "sudo /tmp/goss --gossfile /tmp/goss.yaml validate --retry-timeout 60s --sleep 2s",
    ]
  }
}
