//! The trait that carries calls, watches and streams between an agent and a backend, with a fake and the suite every transport passes.
