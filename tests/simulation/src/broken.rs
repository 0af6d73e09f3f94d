//! The proof that the safeguards are needed: each can be taken out, and then the simulation must fail. They are
//! taken out around the cores, in what the simulation models itself (disk, network, clients): the cores that run
//! here are the ones that are shipped, and nothing in them can be switched off.

/// A safeguard that is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Broken {
    /// The stream's store writes an append again that it has written before.
    Dedup,
    /// The token of an earlier connection counts as that of the current one.
    Fencing,
    /// The backend answers when it has committed, before that is on disk.
    FsyncBeforeAck,
    /// A complete message that arrives with another text has a hash that fits it.
    FinalHash,
    /// The reader keeps what was streamed, without comparing its hash with the complete message's.
    ReaderRepair,
    /// A lease never ends.
    LeaseExpiry,
    /// A repeated request of a person has another idempotency key.
    IdempotencyKeys,
    /// A connection takes effect when it is handed out, whoever hears of it.
    PendingEpoch,
    /// The agent is told that it may run any number of processes.
    Governor,
}

impl Broken {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Dedup,
        Self::Fencing,
        Self::FsyncBeforeAck,
        Self::FinalHash,
        Self::ReaderRepair,
        Self::LeaseExpiry,
        Self::IdempotencyKeys,
        Self::PendingEpoch,
        Self::Governor,
    ];
}
