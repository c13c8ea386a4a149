"""The HTTP side of the API: routes, authentication and the shapes of requests and answers."""
