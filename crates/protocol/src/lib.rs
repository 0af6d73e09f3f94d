//! Ids, wire types, state machines, and the two sans-IO cores of the orchestrator.
