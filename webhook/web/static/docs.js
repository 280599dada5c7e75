// Shows the OpenAPI document with Swagger UI. FastAPI's own page does this in an inline script, which the
// Content-Security-Policy forbids.

const { SwaggerUIBundle } = window;

SwaggerUIBundle({
  url: "./openapi.json",
  dom_id: "#api",
  deepLinking: true,
  validatorUrl: null, // the default validator is an external service
});
