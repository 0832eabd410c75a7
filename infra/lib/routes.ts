/**
 * Every call of the API. What is not here is answered by API Gateway itself.
 * The test of the deployed stack holds this against the OpenAPI document.
 */
export const ROUTES = [
  'GET /health',
  'GET /openapi.json',
  'POST /jobs',
  'POST /createLiveJob',
  'GET /jobs',
  'GET /jobs/{id}',
  'PATCH /jobs/{id}',
  'DELETE /jobs/{id}',
  'GET /jobs/{id}/events',
  'PUT /jobs/{id}/stop',
  'PUT /jobs/{id}/pause',
  'PUT /jobs/{id}/resume',
  'PUT /jobs/{id}/stream-key',
  'GET /workers',
  'GET /workers/{id}',
  'DELETE /workers/{id}',
] as const;

/** The one call that anybody may make. */
export const UNAUTHENTICATED = 'GET /health';
