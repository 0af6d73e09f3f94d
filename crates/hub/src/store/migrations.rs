//! The schema, as the list of steps that made it. A step that was released is never edited.

/// Step `n` brings a database from `PRAGMA user_version` `n` to `n + 1`.
pub(super) const MIGRATIONS: &[&str] = &[
    // 1: the backend core's rows, and the streams.
    "
    CREATE TABLE rows (
        key   TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- AUTOINCREMENT: an id is never given twice, so offsets and entity tags of a deleted stream never fit its successor.
    CREATE TABLE stream (
        id            INTEGER PRIMARY KEY AUTOINCREMENT,
        path          TEXT NOT NULL UNIQUE,
        content_type  TEXT NOT NULL,
        tail          INTEGER NOT NULL,           -- bytes
        settled       INTEGER NOT NULL DEFAULT 0, -- bytes of them in stream_chunk; the rest is in stream_log
        closed        INTEGER NOT NULL DEFAULT 0,
        closed_by     TEXT,                       -- producer id, with the next two: who closed it
        closed_epoch  INTEGER,
        closed_seq    INTEGER,
        writer_seq    TEXT,                       -- the last Stream-Seq
        producer      TEXT,                       -- the producer that appended last, with the next two: its state
        producer_epoch INTEGER,
        producer_seq  INTEGER,
        ttl_s         INTEGER,                    -- sliding, counted from touched_ms
        touched_ms    INTEGER NOT NULL,
        expires_ms    INTEGER                     -- absolute
    ) STRICT;
    CREATE INDEX stream_expiring ON stream (id) WHERE ttl_s IS NOT NULL OR expires_ms IS NOT NULL;

    -- Each append is a row of stream_log first: all streams share its last page, so that a group commit writes
    -- few pages. Now and then all of it is moved to stream_chunk, where a stream's appends lie together.
    CREATE TABLE stream_log (
        id      INTEGER PRIMARY KEY,
        stream  INTEGER NOT NULL,
        start   INTEGER NOT NULL, -- bytes before it in the stream
        data    BLOB NOT NULL
    ) STRICT;
    CREATE TABLE stream_chunk (
        stream  INTEGER NOT NULL,
        start   INTEGER NOT NULL,
        data    BLOB NOT NULL,
        PRIMARY KEY (stream, start)
    ) STRICT, WITHOUT ROWID;

    -- The producers of a stream but for the last one, which for most streams is the only one.
    CREATE TABLE stream_producer (
        stream    INTEGER NOT NULL,
        producer  TEXT NOT NULL,
        epoch     INTEGER NOT NULL,
        last_seq  INTEGER NOT NULL,
        PRIMARY KEY (stream, producer)
    ) STRICT, WITHOUT ROWID;

    -- Deleted streams whose chunks are yet to be removed, a few at a time.
    CREATE TABLE stream_garbage (
        stream  INTEGER PRIMARY KEY
    ) STRICT;
    ",
    // 2: people, and what they sign in with. Of a secret only its hash is kept.
    "
    CREATE TABLE person (
        id            TEXT PRIMARY KEY,
        name          TEXT NOT NULL,
        password      TEXT,             -- argon2id, as a PHC string
        created_ms    INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE sign_in_link (
        hash          TEXT PRIMARY KEY,
        person        TEXT NOT NULL REFERENCES person (id),
        expires_ms    INTEGER NOT NULL,
        process_bound INTEGER NOT NULL  -- void when the hub starts anew
    ) STRICT;

    -- What shows who somebody is: a cookie, or a token for programs.
    CREATE TABLE sign_in (
        hash          TEXT PRIMARY KEY,
        id            TEXT NOT NULL UNIQUE,
        person        TEXT NOT NULL REFERENCES person (id),
        kind          TEXT NOT NULL,    -- browser, token, local
        name          TEXT NOT NULL,
        created_ms    INTEGER NOT NULL,
        used_ms       INTEGER NOT NULL  -- to the hour
    ) STRICT;
    ",
    // 3: A stream's row has its tail and its producer's state as they were when the log was settled, or later.
    // If its tail is beyond what is settled, its last row in the log has them as they are.
    "
    ALTER TABLE stream_log ADD COLUMN producer_epoch INTEGER; -- of the producer named in the stream's row,
    ALTER TABLE stream_log ADD COLUMN producer_seq INTEGER;   -- after this append; NULL if there is none
    ",
];
