"""The preview for people and programs: POST /preview, the page, access control and API documentation."""
