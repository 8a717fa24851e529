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

  provisioner "shell" {
    script = "check.sh"
  }
}
