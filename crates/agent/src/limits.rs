//! What a machine runs at most, unless it is set: from the memory that the computer has.

use opencode_driver::memory;

/// The fewest processes that are allowed by default.
const PROCESSES_MIN: usize = 4;
/// The most: beyond that a person has to say so.
const PROCESSES_MAX: usize = 64;
/// So much of the computer's memory is reckoned for a process with all that it starts.
const PROCESS_BYTES: u64 = 1024 * 1024 * 1024;
/// The part of the computer's memory that all processes may take, in a hundred.
const MEMORY_PERCENT: u64 = 70;

/// How many processes there may be at once by default: one for each GiB of memory, at least 4 and at most 64.
#[must_use]
pub fn processes() -> usize {
    memory::of_computer().map_or(PROCESSES_MIN, processes_for)
}

/// How much memory they may take by default: 70 % of the computer's. `None` where that is not known.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    memory::of_computer().map(|bytes| bytes / 100 * MEMORY_PERCENT)
}

fn processes_for(bytes: u64) -> usize {
    usize::try_from(bytes / PROCESS_BYTES)
        .unwrap_or(PROCESSES_MAX)
        .clamp(PROCESSES_MIN, PROCESSES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_for_each_gib_within_bounds() {
        const GIB: u64 = 1024 * 1024 * 1024;
        assert_eq!(processes_for(2 * GIB), 4);
        assert_eq!(processes_for(16 * GIB + 5), 16);
        assert_eq!(processes_for(1024 * GIB), 64);
    }
}
