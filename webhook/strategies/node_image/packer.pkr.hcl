# Only the source that is asked for is built:
#   packer build -only=amazon-ebs.image …            an AMI with the models
#   packer build -only=amazon-ebsvolume.snapshot …   a snapshot of a data volume with the models

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "~> 1"
    }
  }
}

variable "region" {
  type        = string
  description = "The region of the cluster."
}

variable "iam_instance_profile" {
  type        = string
  description = "An instance profile whose role can read the models."
}

variable "instance_type" {
  type        = string
  description = "The instance that downloads the models, of the architecture of the parent image."
  default     = "m7i.2xlarge"
}

variable "subnet_id" {
  type        = string
  description = "The subnet of the instance. Without one, the default VPC is used."
  default     = null
}

data "amazon-parameterstore" "parent" {
  region = var.region
  name   = var.parent_image
}

source "amazon-ebs" "image" {
  ami_name             = "${var.name}-${formatdate("YYYYMMDDhhmmss", timestamp())}"
  tags                 = var.tags
  snapshot_tags        = var.tags
  region               = var.region
  subnet_id            = var.subnet_id
  instance_type        = var.instance_type
  iam_instance_profile = var.iam_instance_profile
  source_ami           = data.amazon-parameterstore.parent.value
  ssh_username         = "ec2-user"

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = var.root_size
    delete_on_termination = true
  }

  metadata_options {
    http_tokens = "required"
  }

  # The snapshot of a large volume takes longer than the default allows.
  aws_polling {
    delay_seconds = 30
    max_attempts  = 480
  }
}

source "amazon-ebsvolume" "snapshot" {
  region               = var.region
  subnet_id            = var.subnet_id
  instance_type        = var.instance_type
  iam_instance_profile = var.iam_instance_profile
  source_ami           = data.amazon-parameterstore.parent.value
  ssh_username         = "ec2-user"

  ebs_volumes {
    device_name           = "/dev/xvdb"
    volume_type           = "gp3"
    volume_size           = var.data_size
    delete_on_termination = true
    snapshot_volume       = true
    snapshot_description  = var.name
    snapshot_tags         = var.tags
  }

  metadata_options {
    http_tokens = "required"
  }

  aws_polling {
    delay_seconds = 30
    max_attempts  = 480
  }
}

build {
  sources = ["source.amazon-ebs.image", "source.amazon-ebsvolume.snapshot"]

  # Nodes find the file system by its label.
  provisioner "shell" {
    only = ["amazon-ebsvolume.snapshot"]
    inline = [
      "sudo mkfs.xfs -L models /dev/xvdb",
      "sudo mkdir -p '${var.path}'",
      "sudo mount LABEL=models '${var.path}'",
    ]
  }

  provisioner "shell" {
    script          = "${path.root}/${var.script}"
    execute_command = "sudo sh {{ .Path }}"
  }

  provisioner "shell" {
    only   = ["amazon-ebsvolume.snapshot"]
    inline = ["sudo umount '${var.path}'"]
  }
}
