//! The OpenAI-compatible gateway: checks, forwards and meters every request.
