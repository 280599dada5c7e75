"""What people use in a browser or by HTTP: POST /preview, the preview page, their access control and API documentation."""
