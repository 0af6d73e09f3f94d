//! The transport over plain HTTP and server-sent events.
