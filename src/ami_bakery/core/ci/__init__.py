"""What CI systems read: annotations, job details, dotenv files, Terraform variables."""
