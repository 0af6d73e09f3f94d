//! Runs chat sessions of one machine: the loop over transport, driver and the agent core.
