"""The preview over HTTP: POST /preview, the web page, access control and API documentation."""
