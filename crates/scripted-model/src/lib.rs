//! A local OpenAI-compatible model that follows a script: for the demo and for tests.
