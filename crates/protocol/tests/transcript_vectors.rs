//! Holds the transcript to `tests/vectors/transcript-*.json`, as the page's tests hold its twin in TypeScript.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::path::{Path, PathBuf};

use protocol::transcript::{Applied, Transcript};
use protocol::wire::{Chunk, Part};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    about: String,
    chunks: Vec<Chunk>,
    applied: Vec<Expected>,
    parts: Vec<Part>,
    sealed: bool,
    hash: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Expected {
    Yes,
    Duplicate,
    Gap(u64),
}

impl From<Applied> for Expected {
    fn from(applied: Applied) -> Self {
        match applied {
            Applied::Yes => Self::Yes,
            Applied::Duplicate => Self::Duplicate,
            Applied::Gap { expected } => Self::Gap(expected),
        }
    }
}

#[test]
fn chunks_build_the_same_parts_as_in_the_page() {
    let files = vector_files();
    assert!(files.len() >= 20, "only {} vectors found", files.len());
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let vector: Vector = serde_json::from_str(&std::fs::read_to_string(&file).unwrap())
            .unwrap_or_else(|error| panic!("{name} can't be read: {error}"));
        let mut transcript = Transcript::default();
        let applied: Vec<Expected> = vector
            .chunks
            .iter()
            .map(|chunk| transcript.apply(chunk).into())
            .collect();
        assert_eq!(applied, vector.applied, "{name}: {}", vector.about);
        assert_eq!(transcript.parts(), vector.parts, "{name}: {}", vector.about);
        assert_eq!(
            transcript.is_sealed(),
            vector.sealed,
            "{name}: {}",
            vector.about
        );
        assert_eq!(transcript.hash(), vector.hash, "{name}: {}", vector.about);
    }
}

fn vector_files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("transcript-"))
                && path
                    .extension()
                    .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    files
}
